/** `tallymark/redis`: numbers in Redis. A url needs ioredis; a client that is passed in can be ioredis 5 or 6, iovalkey, or anything alike. */
export type { RedisClient, RedisPipeline } from './stores/redis/client.ts'
export type { ClusterClient, ClusterNode } from './stores/redis/cluster/cluster-client.ts'
export { type ClusterNodes, RedisClusterStore, type RedisClusterStoreOptions } from './stores/redis/cluster/cluster-store.ts'
export { RedisStore, type RedisStoreOptions } from './stores/redis/redis-store.ts'
export type { RebalancePlan, RebalanceProgress, RebalanceReport } from './stores/redis/ring/progress.ts'
export {
	type ShardedNode,
	ShardedRedisStore,
	type ShardedRedisStoreOptions,
	type StoreRebalanceOptions,
} from './stores/redis/ring/sharded-store.ts'
