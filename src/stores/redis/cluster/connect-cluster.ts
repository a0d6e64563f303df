/** A cluster's client of our own, for a store that was given addresses. */
import { loadIoredis, type OwnClient, ownOptions } from '../connect.ts'

/** How often the slots are looked at, so that a failover is noticed though nothing was sent. */
const REFRESH_MS = 5_000

/** Set like the client of one server. Rejects with ERR_TALLYMARK_SETUP when ioredis is not installed. */
export async function connectCluster(
	nodes: readonly (string | { host: string; port: number })[],
	timeoutMs: number,
	onError: (error: unknown) => void,
): Promise<OwnClient> {
	const { Cluster } = await loadIoredis()
	const { retryStrategy, ...redisOptions } = ownOptions(timeoutMs)
	const cluster = new Cluster([...nodes], {
		enableOfflineQueue: false,
		clusterRetryStrategy: retryStrategy,
		slotsRefreshInterval: REFRESH_MS,
		redisOptions: { ...redisOptions, ...accessOf(nodes) },
	})
	cluster.on('error', onError)
	cluster.on('node error', onError)
	return cluster
}

/** Who we are, and whether it is told in secret, by the first url: the nodes that are found later have none. */
function accessOf(nodes: readonly (string | { host: string; port: number })[]) {
	const first = nodes.find((node) => typeof node === 'string')
	if (first === undefined) return {}
	const { protocol, username, password } = new URL(first)
	return {
		...(username !== '' && { username: decodeURIComponent(username) }),
		...(password !== '' && { password: decodeURIComponent(password) }),
		...(protocol === 'rediss:' && { tls: {} }),
	}
}
