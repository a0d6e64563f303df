import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BloomTracker, Counter } from '../../../src/index.ts'
import { RedisStore } from '../../../src/redis.ts'
import { Bloom } from '../../../src/sketches.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `visitor ${from + at}`)

describe('Bloom filters in Redis', () => {
	let server: RedisServer
	let redis: Redis
	beforeAll(async () => {
		server = await startRedis()
		redis = new Redis(server.url)
	})
	afterAll(async () => {
		redis.disconnect()
		await server.stop()
	})

	it.each([
		['a few visitors, bit by bit', [40, 60]],
		['a crowd, as a whole bitmap', [3_000, 5_000]],
		['a crowd and then a few', [3_000, 50]],
	])('%s: the bytes in Redis are those of the filter, and no id is in them', async (name, portions) => {
		const namespace = `bits-${portions.join('-')}`
		const counter = new Counter({ store: new RedisStore(server.url, { partitions: 1 }), namespace, uniques: 'bloom' })
		const filter = new Bloom({ capacity: 10_000, errorRate: 0.01 })
		let from = 0
		for (const portion of portions) {
			for (const visitor of numbered(from, from + portion)) {
				void counter.hit('/a', { visitor })
				filter.add(visitor)
			}
			from += portion
			await counter.flush()
		}
		const bytes = await redis.getBuffer(`{${namespace}:0}:uniq=/a`)
		// Redis cuts the zeros at the end.
		expect(Buffer.from(filter.toBitmap()).subarray(0, bytes!.length)).toEqual(bytes)
		expect(
			filter
				.toBitmap()
				.subarray(bytes!.length)
				.every((byte) => byte === 0),
		).toBe(true)
		expect(bytes!.includes('visitor'), name).toBe(false)
		expect(await redis.keys(`{${namespace}:0}:tmp*`)).toEqual([])

		const reader = new Counter({ store: new RedisStore(server.url, { partitions: 1 }), namespace, uniques: 'bloom' })
		const { value, error } = await reader.uniques('/a')
		expect(Math.abs(value - from)).toBeLessThanOrEqual(Math.max(1, 4 * error * from))
		await counter.close()
		await reader.close()
	})

	it('filters of another shape are refused: both are named', async () => {
		const open = (capacity: number) =>
			new Counter({ store: new RedisStore(server.url), namespace: 'shapes', uniques: new BloomTracker({ capacity }) })
		const [small, large] = [open(1_000), open(1_000_000)]
		await small.hit('/a', { visitor: 'ada' })
		await small.flush()
		await expect(large.uniques('/a')).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_MISMATCH',
			message: /bloom:9592:7.*bloom:9585064:7|bloom:9585064:7.*bloom:9592:7/,
		})
		await small.close()
		await large.close()
	})
})
