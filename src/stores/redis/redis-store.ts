/** The store over one Redis. Needs Redis 6.2 or later (ZMSCORE), and `maxmemory-policy noeviction`: what is evicted is lost. */
import { BadInputError, expected } from '../../errors.ts'
import type { SessionSettings, Store, StoreSession } from '../store.ts'
import type { RedisClient } from './client.ts'
import { connect, type OwnClient } from './connect.ts'
import { Link } from './link.ts'
import { SingleRoute } from './route.ts'
import { RedisSession, type SessionLimits } from './session.ts'
import { visitorForm } from './visitor-form.ts'

export interface RedisStoreOptions {
	/**
	 * Shares of the keys, 1 to 1,024, fixed for the life of the data. A share of up to 128 keys takes a quarter of the memory for each; more shares make
	 * more commands of the same hits. @default 16
	 */
	readonly partitions?: number | undefined
	/** For `servedBy` and messages. @default the port, where it is known */
	readonly name?: string | undefined
	/**
	 * How long a batch can be sent again after it was acknowledged, should the server lose it: longer than its disk or its replicas may be behind.
	 * 100 to 3,600,000. @default 60_000
	 */
	readonly retentionMs?: number | undefined
	/** Memory for that, over all, and as much again for the visitors the server is known to have; beyond it the oldest go first. 1 MB to 1 GB. @default 67_108_864 */
	readonly retainedBytes?: number | undefined
	/** A reading without an answer fails after this. 10 to 60,000. @default 2_000 */
	readonly readTimeoutMs?: number | undefined
	/** A batch without an answer is sent again after this. 10 to 60,000. @default 5_000 */
	readonly writeTimeoutMs?: number | undefined
}

const known: Record<keyof Required<RedisStoreOptions>, true> = {
	partitions: true,
	name: true,
	retentionMs: true,
	retainedBytes: true,
	readTimeoutMs: true,
	writeTimeoutMs: true,
}

/** A client that is passed in stays the caller's, with whatever options it has; one that is made for a url is closed with the last session. */
export class RedisStore implements Store {
	readonly name: string
	readonly partitions: number
	readonly #target: RedisClient | string
	readonly #limits: SessionLimits
	#route: SingleRoute | undefined
	/** Made for a url. */
	#own: Promise<OwnClient> | undefined
	#sessions = 0

	constructor(target: RedisClient | string, options: RedisStoreOptions = {}) {
		for (const option of Object.keys(options)) {
			if (!Object.hasOwn(known, option)) {
				throw new BadInputError(
					'ERR_TALLYMARK_OPTION',
					`Expected the options of a RedisStore to be known ones (${Object.keys(known).join(', ')}), got \`${option}\``,
				)
			}
		}
		const port = portOf(target)
		const { partitions, name = port, retentionMs, retainedBytes, readTimeoutMs, writeTimeoutMs } = options
		if (name !== undefined && (typeof name !== 'string' || name === '')) throw expected('ERR_TALLYMARK_OPTION', 'name', 'a text', name)
		this.name = name === undefined ? 'redis' : `redis:${name}`
		this.partitions = whole('partitions', partitions, 16, 1, 1_024)
		this.#target = target
		this.#limits = {
			partitions: this.partitions,
			retentionMs: whole('retentionMs', retentionMs, 60_000, 100, 3_600_000),
			retainedBytes: whole('retainedBytes', retainedBytes, 2 ** 26, 2 ** 20, 2 ** 30) / this.partitions,
			readTimeoutMs: whole('readTimeoutMs', readTimeoutMs, 2_000, 10, 60_000),
			writeTimeoutMs: whole('writeTimeoutMs', writeTimeoutMs, 5_000, 10, 60_000),
		}
	}

	/** Throws ERR_TALLYMARK_OPTION for a tracker that Redis has no form for. Connects with the first call. */
	open(settings: SessionSettings): StoreSession {
		if (settings.tracker !== undefined) visitorForm(settings.tracker)
		this.#route ??= new SingleRoute(this.#newLink())
		this.#sessions++
		return new RedisSession(this.#route, settings, this.#limits, () => this.#release())
	}

	#newLink(): Link {
		const target = this.#target
		if (typeof target !== 'string') return new Link(this.name, () => target)
		const link: Link = new Link(this.name, () => {
			this.#own = connect(target, this.#limits.writeTimeoutMs, (error) => link.noteError(error))
			return this.#own
		})
		return link
	}

	#release(): void {
		this.#sessions--
		if (this.#sessions > 0) return
		this.#route?.home.detach()
		this.#route = undefined
		void this.#own?.then(
			(client) => client.disconnect(),
			() => {},
		)
		this.#own = undefined
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
	const { options } = target as { options?: { port?: unknown } }
	return options?.port === undefined ? undefined : String(options.port)
}

function whole(name: string, value: number | undefined, fallback: number, least: number, most: number): number {
	if (value === undefined) return fallback
	if (!Number.isSafeInteger(value) || value < least || value > most) {
		throw expected('ERR_TALLYMARK_OPTION', name, `a whole number from ${least} to ${most}`, value)
	}
	return value
}
