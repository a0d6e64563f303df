/** Where the numbers are kept, as the environment says. */
import type { Store } from '../../src/index.ts'
import { RedisClusterStore, RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import type { Settings } from './settings.ts'

/** undefined: in the memory of this process. */
export function storeFrom({ redisUrl, redisNodes, redisCluster }: Settings): Store | undefined {
	if (redisUrl !== undefined) return new RedisStore(redisUrl)
	if (redisNodes !== undefined) return new ShardedRedisStore({ nodes: redisNodes.map((url) => ({ url })) })
	if (redisCluster !== undefined) return new RedisClusterStore(redisCluster)
	return undefined
}
