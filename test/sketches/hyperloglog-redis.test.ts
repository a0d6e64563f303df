/** The promise of HyperLogLog, held against a real Redis: the same registers, counts and bytes, in both directions. */

import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { couponOf, HyperLogLog, preimagesOf } from '../../src/sketches.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { ids, randomCoupon, randomFrom } from './ids.ts'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
	server = await startRedis()
	redis = new Redis(server.port)
})
afterAll(async () => {
	redis?.disconnect()
	await server?.stop()
})
beforeEach(async () => {
	await redis.flushall()
})

const stored = async (key: string) => new Uint8Array((await redis.getBuffer(key))!)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
/** Compares by text: a diff of 12,304 numbers takes longer to print than to find. */
const same = (a: Uint8Array, b: Uint8Array) => expect(hex(a) === hex(b)).toBe(true)

async function fill(key: string, visitors: Iterable<string | Buffer>) {
	let chunk: (string | Buffer)[] = []
	// An empty PFADD makes the empty value, as for n = 0.
	await redis.pfadd(key, ...chunk)
	for (const visitor of visitors) {
		chunk.push(visitor)
		if (chunk.length === 5_000) {
			await redis.pfadd(key, ...chunk)
			chunk = []
		}
	}
	if (chunk.length > 0) await redis.pfadd(key, ...chunk)
}

function sketchOf(visitors: Iterable<string>): HyperLogLog {
	const sketch = new HyperLogLog()
	for (const visitor of visitors) sketch.add(visitor)
	return sketch
}

/** SET of each kind of image is counted by Redis as it is here. */
async function expectRedisToAgree(sketch: HyperLogLog) {
	for (const encoding of ['dense', 'sparse', 'auto'] as const) {
		for (const cached of [false, true]) {
			await redis.set('sent', Buffer.from(sketch.toRedis({ encoding, cached })))
			expect(await redis.pfcount('sent')).toBe(sketch.count())
		}
	}
}

describe.each([1, 2, 3])('seed %i', (seed) => {
	test.each([0, 1, 2, 10, 100, 1_000, 1_600, 2_000, 10_000, 100_000])('%i visitors: the same registers, count and image', async (n) => {
		const sketch = sketchOf(ids(n, `seed ${seed}`))
		await fill('added', ids(n, `seed ${seed}`))
		expect(await redis.pfcount('added')).toBe(sketch.count())
		const image = await stored('added')
		same(HyperLogLog.fromRedis(image).toRedis(), sketch.toRedis())
		same(image, sketch.toRedis({ encoding: 'auto', cached: true }))
		await expectRedisToAgree(sketch)
	})
})

test('a million visitors: the same registers, count and image', async () => {
	const sketch = sketchOf(ids(1_000_000))
	await fill('added', ids(1_000_000))
	expect(await redis.pfcount('added')).toBe(sketch.count())
	same(await stored('added'), sketch.toRedis({ cached: true }))
	await expectRedisToAgree(sketch)
})

test.each([1, 2, 3, 4, 5])('the sparse image turns dense at the very visitor at which it does in Redis (seed %i)', async (seed) => {
	const sketch = new HyperLogLog()
	const lengths: number[] = []
	for (const visitor of ids(1_800, `turn ${seed}`)) {
		sketch.add(visitor)
		await redis.pfadd('turn', visitor)
		if (sketch.size < 1_450) continue
		const length = await redis.strlen('turn')
		expect(sketch.toRedis({ encoding: 'auto' }).length).toBe(length)
		lengths.push(length)
	}
	expect(lengths[0]).toBeLessThanOrEqual(3_000)
	expect(lengths.at(-1)).toBe(12_304)
})

test('ids of every kind of character are the same visitor on both sides', async () => {
	const random = randomFrom(5)
	const strange = Array.from({ length: 3_000 }, () => {
		const spread = [0x80, 0x800, 0x3000, 0x10000][Math.floor(random() * 4)]!
		return Array.from({ length: 1 + Math.floor(random() * 30) }, () => String.fromCharCode(Math.floor(random() * spread))).join('')
	})
	strange.push('', '\0', 'a\ud800b', '\udc00', '😀', '日本語'.repeat(50), 'x'.repeat(100_000), `${'x'.repeat(100_000)}é`)
	await fill('added', strange)
	same(HyperLogLog.fromRedis(await stored('added')).toRedis(), sketchOf(strange).toRedis())
})

test('random images, likely and unlikely ones, are counted alike', async () => {
	const random = randomFrom(7)
	for (let run = 0; run < 600; run++) {
		const sketch = new HyperLogLog()
		const n = Math.floor(random() ** 4 * 60_000)
		const floor = run % 3 === 0 ? Math.floor(random() * 51) : 0
		for (let i = 0; i < n; i++) {
			const coupon = randomCoupon(random)
			sketch.addCoupon(floor === 0 ? coupon : (coupon & ~63) | Math.max(1 + Math.floor(random() * 51), floor))
		}
		// From here on the count of Redis no longer fits the 64 bits that it prints.
		if (sketch.count() >= 2 ** 63) continue
		await redis.set('sent', Buffer.from(sketch.toRedis()))
		expect(await redis.pfcount('sent')).toBe(sketch.count())
		same(HyperLogLog.fromRedis(await stored('sent')).toRedis(), sketch.toRedis())
	}
})

test('PFMERGE and merge make the same union, whichever side is dense or sparse', async () => {
	for (const [a, b] of [
		[50_000, 50_000],
		[300, 700],
		[20, 60_000],
		[60_000, 20],
		[0, 5],
	] as const) {
		await redis.flushall()
		const mine = sketchOf(ids(a, 'mine'))
		const theirs = sketchOf(ids(b, 'theirs'))
		await fill('theirs', ids(b, 'theirs'))
		await redis.set('mine', Buffer.from(mine.toRedis({ encoding: 'auto' })))
		await redis.pfmerge('union', 'mine', 'theirs')
		const union = mine.clone()
		union.merge(HyperLogLog.fromRedis(await stored('theirs')))
		expect(await redis.pfcount('union')).toBe(union.count())
		expect(await redis.pfcount('mine', 'theirs')).toBe(union.count())
		same(HyperLogLog.fromRedis(await stored('union')).toRedis(), union.toRedis())
		mine.merge(theirs)
		same(mine.toRedis(), union.toRedis())
	}
})

const preimageElements = (coupons: ArrayLike<number>) => {
	const packed = Buffer.from(preimagesOf(coupons).buffer)
	return Array.from({ length: coupons.length }, (_, i) => packed.subarray(8 * i, 8 * i + 8))
}

test('PFADD of the preimages of a diff brings Redis to the union, and again changes nothing', async () => {
	for (const [before, more] of [
		[0, 5],
		[0, 3_000],
		[1_000, 10_000],
		[100_000, 10_000],
	] as const) {
		await redis.flushall()
		await fill('key', ids(before, 'old'))
		const remote = HyperLogLog.fromRedis(await stored('key'))
		const local = remote.clone()
		for (const visitor of ids(more, 'new')) local.add(visitor)
		const elements = preimageElements(local.diff(remote))
		expect(await redis.pfadd('key', ...elements)).toBe(1)
		expect(await redis.pfcount('key')).toBe(local.count())
		same(HyperLogLog.fromRedis(await stored('key')).toRedis(), local.toRedis())
		expect(await redis.pfadd('key', ...elements)).toBe(0)
	}
})

test('every rank from 1 to 51 can be set by its preimage', async () => {
	const coupons = Array.from({ length: 51 }, (_, i) => ((i * 321) << 6) | (i + 1))
	await redis.pfadd('key', ...preimageElements(coupons))
	expect([...HyperLogLog.fromRedis(await stored('key')).coupons()]).toEqual(coupons)
	expect(couponOf(0, 0) & 63).toBe(51)
})

test('what fromRedis refuses, Redis refuses too', async () => {
	const random = randomFrom(11)
	const good = sketchOf(ids(40)).toRedis({ encoding: 'sparse' })
	let refused = 0
	for (let run = 0; run < 1_500; run++) {
		const image = good.slice(0, good.length - Math.floor(random() * 3))
		const changes = Math.floor(random() * 3)
		for (let i = 0; i < changes; i++)
			image[random() < 0.3 ? Math.floor(random() * 5) : 16 + Math.floor(random() * (image.length - 16))] = Math.floor(random() * 256)
		// Dense by its header, too short by far: refused by both.
		await redis.set('sent', Buffer.from(image))
		const theirs = await redis.pfcount('sent').catch(() => 'refused')
		let mine: number | 'refused' = 'refused'
		try {
			mine = HyperLogLog.fromRedis(image).count()
		} catch {
			refused++
		}
		if (mine === 'refused') expect(await redis.pfmerge('out', 'sent').catch(() => 'refused')).toBe('refused')
		else if (image[15]! >= 0x80) expect(theirs).toBe(mine)
	}
	expect(refused).toBeGreaterThan(300)
})
