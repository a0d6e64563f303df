import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { ShardedRedisStore } from '../../../../src/redis.ts'
import { storeContract } from '../../../../src/testing.ts'
import { type RedisServer, startRedis } from '../../../support/redis-server.ts'

let servers: RedisServer[]
let clients: Redis[]
let clients5: Redis5[]

beforeAll(async () => {
	servers = await Promise.all([startRedis(), startRedis(), startRedis()])
	clients = servers.map(({ port }) => new Redis(port))
	clients5 = servers.map(({ port }) => new Redis5(port))
	// Each case makes a store of its own, and all of them run at the same time.
	for (const client of [...clients, ...clients5]) client.setMaxListeners(0)
})

afterAll(async () => {
	for (const client of [...clients, ...clients5]) client.disconnect()
	await Promise.all(servers.map((server) => server.stop()))
})

const named = <Client>(all: readonly Client[]) => all.map((client, i) => ({ name: `node ${i}`, client }))

describe.concurrent('the sharded store, over clients of the caller', () => {
	for (const { name, run } of storeContract(() => new ShardedRedisStore({ nodes: named(clients) }), {
		trackers: ['set', 'hyperloglog', 'bloom'],
	}))
		it(name, run)
})

describe.concurrent('the sharded store, over clients of ioredis 5', () => {
	for (const { name, run } of storeContract(() => new ShardedRedisStore({ nodes: named(clients5), partitions: 8 }), {
		trackers: ['hyperloglog'],
	}))
		it(name, run)
})

describe.concurrent('the sharded store, over clients of its own', () => {
	const store = () => new ShardedRedisStore({ nodes: servers.map(({ url }, i) => ({ url, weight: i + 1 })), partitions: 16 })
	for (const { name, run } of storeContract(store, { trackers: ['hyperloglog'] })) it(name, run)
})
