import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { RedisStore } from '../../../src/redis.ts'
import { storeContract } from '../../../src/testing.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
let client: Redis
let client5: Redis5

beforeAll(async () => {
	server = await startRedis()
	client = new Redis(server.port)
	// Each case makes a store of its own, and all of them run at the same time.
	client.setMaxListeners(0)
	client5 = new Redis5(server.port)
	client5.setMaxListeners(0)
})

afterAll(async () => {
	client.disconnect()
	client5.disconnect()
	await server.stop()
})

describe.concurrent('the Redis store, over a client of the caller', () => {
	for (const { name, run } of storeContract(() => new RedisStore(client), { trackers: ['set', 'hyperloglog', 'bloom'] })) it(name, run)
})

describe.concurrent('the Redis store, over a client of ioredis 5', () => {
	for (const { name, run } of storeContract(() => new RedisStore(client5), { trackers: ['hyperloglog'] })) it(name, run)
})

describe.concurrent('the Redis store, over a client of its own and with one partition', () => {
	for (const { name, run } of storeContract(() => new RedisStore(server.url, { partitions: 1 }), { trackers: ['hyperloglog'] }))
		it(name, run)
})
