/**
 * The store over a Redis Cluster. A partition is in one slot, whole; the cluster says which node has it, and moves it. Needs Redis 6.2 or later, and
 * `maxmemory-policy noeviction` on every node.
 */
import { expected } from '../../../errors.ts'
import type { SessionSettings, Store, StoreSession } from '../../store.ts'
import { Sessions } from '../sessions.ts'
import { checkOptions, type RedisOptions } from '../store-options.ts'
import type { ClusterClient } from './cluster-client.ts'
import { ClusterWire } from './cluster-wire.ts'
import { connectCluster } from './connect-cluster.ts'

/** Some nodes, to find the others by: addresses, or urls such as redis://user:password@host:6379 (the first one's user is taken for all). */
export type ClusterNodes = readonly (string | { readonly host: string; readonly port: number })[]

export interface RedisClusterStoreOptions extends RedisOptions {
	/** Shares of the keys, 1 to 1,024, fixed for the life of the data: what the cluster can spread over its nodes. @default 64 */
	readonly partitions?: number | undefined
	/** For `servedBy` and messages. @default 'cluster' */
	readonly name?: string | undefined
}

/** A client that is passed in stays the caller's, with whatever options it has; one that is made for addresses is closed with the last session. */
export class RedisClusterStore implements Store {
	readonly name: string
	readonly partitions: number
	readonly #sessions: Sessions

	constructor(target: ClusterClient | ClusterNodes, options: RedisClusterStoreOptions = {}) {
		const { name, limits, replicas } = checkOptions('RedisClusterStore', options, 'cluster', 64)
		this.name = name
		this.partitions = limits.partitions
		const source = isNodes(target) ? connectCluster.bind(undefined, target.map(checkNode), limits.writeTimeoutMs) : checkClient(target)
		this.#sessions = new Sessions(name, limits, source, () => new ClusterWire(replicas))
	}

	/** Throws ERR_TALLYMARK_OPTION for a tracker that Redis has no form for. Connects with the first call. */
	open(settings: SessionSettings): StoreSession {
		return this.#sessions.open(settings)
	}
}

const wanted = 'a client of a Redis Cluster, or addresses of some of its nodes ({ host, port }, or urls)'

function isNodes(target: ClusterClient | ClusterNodes): target is ClusterNodes {
	return Array.isArray(target) && target.length > 0
}

function checkClient(client: ClusterClient): ClusterClient {
	const methods = ['pipeline', 'on', 'nodes'] as const
	if (methods.some((method) => typeof client?.[method] !== 'function')) throw expected('ERR_TALLYMARK_OPTION', 'cluster', wanted, client)
	const { keyPrefix, redisOptions } = client.options ?? {}
	if (keyPrefix !== undefined && keyPrefix !== '' && redisOptions?.keyPrefix !== keyPrefix)
		throw expected(
			'ERR_TALLYMARK_OPTION',
			'cluster',
			'a client with its keyPrefix in its redisOptions, where its nodes have it too',
			client,
		)
	return client
}

function checkNode(node: ClusterNodes[number]): string | { host: string; port: number } {
	if (typeof node === 'string') {
		// Not quoted: a url can have a password in it.
		if (!/^rediss?:\/\/./.test(node) || !URL.canParse(node))
			throw expected('ERR_TALLYMARK_OPTION', 'cluster', wanted, `${node.slice(0, 8)}…`)
		return node
	}
	const { host, port } = Object(node) as { host?: unknown; port?: unknown }
	if (typeof host !== 'string' || host === '' || !Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535)
		throw expected('ERR_TALLYMARK_OPTION', 'cluster', wanted, node)
	return { host, port: Number(port) }
}
