import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copy } from '../../../../src/copy.ts'
import { Counter, MemoryStore } from '../../../../src/index.ts'
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

it('what is copied into a cluster ends when it should', async () => {
	const [from, namespace] = [new MemoryStore(), 'copied']
	const counter = new Counter({ store: from, namespace })
	for (let i = 0; i < 50; i++) void counter.hit(`/page/${i}`, { visitor: 'ada' })
	await counter.close()
	await copy({ from, to: new RedisClusterStore(client), namespace })
	const names = (await Promise.all(redis.members.map(({ admin }) => admin.keys(`{${namespace}:*`)))).flat()
	const buckets = names.filter((name) => /:(minute|hour|day|trend):/.test(name))
	expect(buckets.length).toBeGreaterThan(100)
	expect((await Promise.all(buckets.map(async (name) => [name, await client.ttl(name)] as const))).filter(([, ttl]) => ttl < 0)).toEqual([])
})
