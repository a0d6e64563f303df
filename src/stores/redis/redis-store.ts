/** The store over one Redis. Needs Redis 6.2 or later (ZMSCORE), and `maxmemory-policy noeviction`: what is evicted is lost. */
import { expected } from '../../errors.ts'
import type { SessionSettings, Store, StoreSession } from '../store.ts'
import type { RedisClient } from './client.ts'
import { connect } from './connect.ts'
import { Sessions } from './sessions.ts'
import { checkOptions, type RedisOptions } from './store-options.ts'
import { singleWire } from './wire.ts'

export interface RedisStoreOptions extends RedisOptions {
	/**
	 * Shares of the keys, 1 to 1,024, fixed for the life of the data. A share of up to 128 keys takes a quarter of the memory for each; more shares make
	 * more commands of the same hits. @default 16
	 */
	readonly partitions?: number | undefined
}

/** A client that is passed in stays the caller's, with whatever options it has; one that is made for a url is closed with the last session. */
export class RedisStore implements Store {
	readonly name: string
	readonly partitions: number
	readonly #sessions: Sessions

	constructor(target: RedisClient | string, options: RedisStoreOptions = {}) {
		const { name, limits, replicas } = checkOptions('RedisStore', options, portOf(target), 16)
		this.name = name
		this.partitions = limits.partitions
		const source = typeof target === 'string' ? connect.bind(undefined, target, limits.writeTimeoutMs) : target
		this.#sessions = new Sessions(name, limits, source, () => singleWire(replicas))
	}

	/** Throws ERR_TALLYMARK_OPTION for a tracker that Redis has no form for. Connects with the first call. */
	open(settings: SessionSettings): StoreSession {
		return this.#sessions.open(settings)
	}
}

/** The port of a url, or of a client that tells; checks both. */
function portOf(target: RedisClient | string): string | undefined {
	if (typeof target === 'string') {
		let url: URL | undefined
		try {
			url = new URL(target)
		} catch {}
		if (url === undefined || !/^rediss?:$/.test(url.protocol)) {
			// Not quoted: a url can have a password in it.
			throw expected('ERR_TALLYMARK_OPTION', 'client', 'a Redis client, or a url such as redis://localhost:6379', `${target.slice(0, 8)}…`)
		}
		return url.port === '' ? '6379' : url.port
	}
	if (typeof target?.pipeline !== 'function' || typeof target.on !== 'function') {
		throw expected('ERR_TALLYMARK_OPTION', 'client', 'a Redis client, or a url such as redis://localhost:6379', target)
	}
	const { options, isCluster } = target as { options?: { port?: unknown }; isCluster?: unknown }
	if (isCluster === true)
		throw expected('ERR_TALLYMARK_OPTION', 'client', 'of one Redis; RedisClusterStore takes that of a cluster', target)
	return options?.port === undefined ? undefined : String(options.port)
}
