/** What is asked of the client of a Redis Cluster, beyond what is asked of any: ioredis 5 and 6 have it, and iovalkey. */
import type { RedisClient } from '../client.ts'

/** The client's connection to one node. */
export interface ClusterNode extends RedisClient {
	readonly options: { readonly host?: string | undefined; readonly port?: number | undefined }
}

export interface NodeAddress {
	readonly host: string
	readonly port: number
}

export interface ClusterClient extends RedisClient {
	/** By slot, 'host:port' of its master and then of its replicas. */
	readonly slots: readonly (readonly string[] | undefined)[]
	readonly options?: {
		readonly keyPrefix?: string | undefined
		readonly natMap?: Readonly<Record<string, NodeAddress>> | ((address: string) => NodeAddress | null | undefined) | undefined
		readonly redisOptions?: { readonly keyPrefix?: string | undefined } | undefined
	}
	/** The nodes there are, as far as the client knows. */
	nodes(role: 'all' | 'master' | 'slave'): readonly ClusterNode[]
	/** Asks the nodes anew who has which slot. */
	refreshSlotsCache?(): void
	/** Besides its state: '+node' and '-node' with a connection to a node, and 'refresh' when the slots are known anew. */
	on(event: string, listener: (node: ClusterNode) => void): unknown
	off(event: string, listener: (node: ClusterNode) => void): unknown
}

export function addressOf({ options }: ClusterNode): string {
	return `${options.host}:${options.port}`
}
