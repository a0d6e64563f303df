/** Where numbers are, as it is said on the command line. */
import type { Cluster, Redis } from 'ioredis'
import { BadInputError } from '../errors.ts'
import { RedisClusterStore } from '../stores/redis/cluster/cluster-store.ts'
import { loadIoredis } from '../stores/redis/connect.ts'
import { Failure } from '../stores/redis/failure.ts'
import { Keys } from '../stores/redis/keys.ts'
import { agreementField, parseAgreement, type StoredSettings } from '../stores/redis/meta.ts'
import { RedisStore } from '../stores/redis/redis-store.ts'
import { type ShardedNode, ShardedRedisStore } from '../stores/redis/ring/sharded-store.ts'
import type { Store } from '../stores/store.ts'

export type Place = StorePlace | { readonly kind: 'file'; readonly path: string }

export interface StorePlace {
	readonly kind: 'store'
	/** Without passwords. */
	readonly name: string
	/** `partitions`: undefined for the store's default. */
	open(partitions: number | undefined): Store
	/** What the namespace was written with; undefined when nothing is there. */
	settings(namespace: string): Promise<StoredSettings | undefined>
}

/** The names of places, for the help. */
export const places = `redis://host:port                          one Redis (rediss:// too)
redis-ring:redis://a,name=redis://b,...    a ring: nodes as they are named in its placement, by default host:port
redis-cluster:host:port,host:port,...      a Redis Cluster: some of its nodes (or redis:// urls)
file:backup.tmk                            a file; file:backup.tmk.gz packs it`

const TIMEOUT_MS = 30_000

/** Throws ERR_TALLYMARK_OPTION for a text that names no place. */
export function placeOf(option: string, text: string): Place {
	const [, kind, rest] = /^(file|redis-ring|redis-cluster|rediss?):(.+)$/.exec(text) ?? []
	if (kind === undefined || rest === undefined) {
		// Not quoted: a url can have a password in it.
		throw new BadInputError('ERR_TALLYMARK_OPTION', `Expected \`--${option}\` to be one of\n${places}`)
	}
	if (kind === 'file') return { kind, path: rest }
	const limits = { readTimeoutMs: TIMEOUT_MS, writeTimeoutMs: TIMEOUT_MS }
	if (kind === 'redis-ring') {
		const nodes = rest.split(',').map(nodeOf)
		const names = nodes.map(({ name, url }) => name ?? withoutPassword(url)).join(',')
		return {
			kind: 'store',
			name: `redis-ring:${names}`,
			open: (partitions) => new ShardedRedisStore({ ...limits, nodes, partitions, name: `ring ${names}` }),
			settings: (namespace) =>
				settingsIn(
					nodes.map(({ url }) => url),
					namespace,
				),
		}
	}
	if (kind === 'redis-cluster') {
		const nodes = rest.split(',').map((node) => (/^rediss?:/.test(node) ? node : `redis://${node}`))
		const names = nodes.map(withoutPassword).join(',')
		return {
			kind: 'store',
			name: `redis-cluster:${names}`,
			open: (partitions) => new RedisClusterStore(nodes, { ...limits, partitions, name: `cluster ${names}` }),
			settings: async (namespace) => {
				const { Cluster } = await loadIoredis()
				const cluster = new Cluster(nodes, { clusterRetryStrategy: () => null, redisOptions: { connectTimeout: TIMEOUT_MS } })
				return asked(cluster, `cluster ${names}`, namespace)
			},
		}
	}
	return {
		kind: 'store',
		name: withoutPassword(text),
		// With its database: what it is called is what a target remembers of it.
		open: (partitions) => new RedisStore(text, { ...limits, partitions, name: withoutPassword(text).replace(/^\w+:\/\//, '') }),
		settings: (namespace) => settingsIn([text], namespace),
	}
}

function nodeOf(text: string): ShardedNode & { readonly url: string } {
	const [, name, url] = /^(?:([^:/=]+(?::\d+)?)=)?(rediss?:\/\/.+)$/.exec(text) ?? []
	if (url === undefined)
		throw new BadInputError('ERR_TALLYMARK_OPTION', 'Expected a node of a ring to be redis://host:port, or name=redis://host:port')
	return { name, url }
}

/** What the first of these servers has that has any. */
async function settingsIn(urls: readonly string[], namespace: string): Promise<StoredSettings | undefined> {
	const { Redis } = await loadIoredis()
	for (const url of urls) {
		const client = new Redis(url, { retryStrategy: () => null, connectTimeout: TIMEOUT_MS })
		const settings = await asked(client, withoutPassword(url), namespace)
		if (settings !== undefined) return settings
	}
	return undefined
}

/** What a client finds, which is let go of then. Throws StoreUnavailableError with the name that is given. */
async function asked(client: Redis | Cluster, name: string, namespace: string): Promise<StoredSettings | undefined> {
	// A client that gives up says that its connection is closed; why, it says before.
	let reason: unknown
	client.on('error', (error) => {
		reason = error
	})
	try {
		return parseAgreement(await client.hget(new Keys(namespace).meta, agreementField))
	} catch (error) {
		throw new Failure(error instanceof Error && error.message === 'Connection is closed.' ? rootOf(reason ?? error) : error).toError(name)
	} finally {
		client.disconnect()
	}
}

/** Of an error that only says that all failed, the errors that did. */
function rootOf(error: unknown): unknown {
	const { lastNodeError } = error as { lastNodeError?: unknown }
	if (lastNodeError !== undefined) return rootOf(lastNodeError)
	if (error instanceof AggregateError) return new Error(error.errors.map(({ message }: Error) => message).join(', '), { cause: error })
	return error
}

function withoutPassword(text: string): string {
	if (!URL.canParse(text)) return text
	const { protocol, host, pathname } = new URL(text)
	return `${protocol}//${host}${pathname === '/' ? '' : pathname}`
}
