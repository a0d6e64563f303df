import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { RedisClusterStore } from '../../../../src/redis.ts'
import { storeContract } from '../../../../src/testing.ts'
import { RedisCluster } from '../../../support/redis-cluster.ts'

let redis: RedisCluster
let client: Cluster
let client5: Cluster5

beforeAll(async () => {
	redis = await RedisCluster.start()
	client = new Cluster(redis.addresses)
	// Each case makes a store of its own, and all of them run at the same time.
	client.setMaxListeners(0)
	client5 = new Cluster5(redis.addresses)
	client5.setMaxListeners(0)
	for (const each of [client, client5]) each.on('+node', (node) => node.setMaxListeners(0))
}, 30_000)

afterAll(async () => {
	client?.disconnect()
	client5?.disconnect()
	await redis?.stop()
})

describe.concurrent('the cluster store, over a client of the caller', () => {
	for (const { name, run } of storeContract(() => new RedisClusterStore(client), { trackers: ['set', 'hyperloglog', 'bloom'] }))
		it(name, run)
})

describe.concurrent('the cluster store, over a client of ioredis 5', () => {
	for (const { name, run } of storeContract(() => new RedisClusterStore(client5), { trackers: ['hyperloglog'] })) it(name, run)
})

describe.concurrent('the cluster store, over a client of its own and with few partitions', () => {
	for (const { name, run } of storeContract(() => new RedisClusterStore(redis.addresses, { partitions: 4 }), { trackers: ['hyperloglog'] }))
		it(name, run)
})
