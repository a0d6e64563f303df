/** Every key of a bucket gets its deadline, whatever kept the server from taking it at first: one without would stay for ever. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { hour, type Writer } from '../../../src/testing/contract/desk.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, until } from './support.ts'

let server: RedisServer
let b: Bench
let writer: Writer
/** The same for all hits of a test, which may come in two minutes. */
let now = 0

beforeAll(async () => {
	server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(() => {
	b = bench(server.port)
	writer = b.open()
	now = b.desk.minute()
})
afterEach(() => b.end())

/** Keys of buckets, and those of them that have no deadline. */
async function bucketKeys(): Promise<{ all: number; immortal: string[] }> {
	const keys = (await b.redis.keys(`{${b.desk.namespace}:0}:*`)).filter((key) => /:(minute|hour|day|trend):\d/.test(key))
	const ttls = await Promise.all(keys.map((key) => b.redis.pttl(key)))
	return { all: keys.length, immortal: keys.filter((_, i) => ttls[i] === -1) }
}

const hit = (agoMs = 0) => ({ key: '/home', minute: now - agoMs, visitors: ['ada'] })

it('a bucket gets its deadline with the first hits', async () => {
	await writer.hit(hit())
	// Hits in three levels and a trend; visitors of the key and of all keys in a day.
	expect(await bucketKeys()).toEqual({ all: 6, immortal: [] })
})

it('a bucket gets its deadline though the server had forgotten the scripts when it began', async () => {
	await writer.hit(hit())
	await b.redis.script('FLUSH')
	await writer.hit(hit(3 * hour))
	const { all, immortal } = await bucketKeys()
	expect(all).toBeGreaterThanOrEqual(8)
	expect(immortal).toEqual([])
})

it('a bucket gets its deadline again on a server that is empty at the next connection', async () => {
	await writer.hit(hit())
	await b.redis.flushall()
	b.redis.disconnect(true)
	await until(async () => expect(await writer.count('/home')).toBe(1))
	await writer.hit(hit())
	expect(await bucketKeys()).toEqual({ all: 6, immortal: [] })
})

it.each([1, 2, 3])('a bucket gets its deadline though the server had no room for it at first, %i times', async (times) => {
	// Of another day, whose minutes are over.
	await writer.hit(hit(30 * hour))
	await b.redis.config('SET', 'maxmemory', '1')
	const [batch] = writer.batches([hit()])
	for (; times > 0; times--) await expect(async () => writer.session.apply(batch!)).rejects.toThrow('OOM')
	await b.redis.config('SET', 'maxmemory', '0')
	await writer.session.apply(batch!)
	const { all, immortal } = await bucketKeys()
	expect(all).toBeGreaterThanOrEqual(10)
	expect(immortal).toEqual([])
})

it('visitors who come after a deletion get the deadline of their bucket', async () => {
	await writer.hit(hit())
	await writer.hit({ ...hit(), visitors: ['bob'] })
	await writer.delete('/home')
	await writer.hit({ ...hit(), visitors: ['cy'] })
	expect(await bucketKeys()).toEqual({ all: 6, immortal: [] })
})

it('a bucket that a writer left without a deadline when it was killed gets it from the next one', async () => {
	await writer.hit(hit())
	for (const key of await b.redis.keys(`{${b.desk.namespace}:0}:*`)) await b.redis.persist(key)
	expect((await bucketKeys()).immortal.length).toBe(6)
	await b.open().hit(hit())
	expect(await bucketKeys()).toEqual({ all: 6, immortal: [] })
})
