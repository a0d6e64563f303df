import bloomFilters from 'bloom-filters'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashed, hashText } from '../../src/hash/murmur64.ts'
import { Bloom, fromFilter, type MembershipFilter } from '../../src/sketches.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { codeOf } from './codes.ts'
import { ids, randomFrom } from './ids.ts'

const random32 = (random: () => number) => (random() * 2 ** 32) | 0

function filled(n: number, options: ConstructorParameters<typeof Bloom>[0], seed = 1): Bloom {
	const random = randomFrom(seed)
	const filter = new Bloom(options)
	for (let i = 0; i < n; i++) filter.addHash(random32(random), random32(random))
	return filter
}

describe('a Bloom filter', () => {
	test('never forgets a visitor, and says new at most once for each', () => {
		fc.assert(
			fc.property(fc.array(fc.string({ maxLength: 6 }), { maxLength: 300 }), fc.integer({ min: 1, max: 100 }), (visitors, capacity) => {
				const filter = new Bloom({ capacity })
				const added = new Set<string>()
				for (const visitor of visitors) {
					const known = filter.has(visitor)
					expect(filter.add(visitor)).toBe(!known)
					if (added.has(visitor)) expect(known).toBe(true)
					added.add(visitor)
					expect(filter.has(visitor)).toBe(true)
					expect(filter.add(visitor)).toBe(false)
				}
			}),
		)
	})

	test.each([0.1, 0.01, 0.001])('takes an unknown visitor for a known one at a rate of %f when full', (errorRate) => {
		const filter = filled(100_000, { capacity: 100_000, errorRate })
		const random = randomFrom(99)
		let wrong = 0
		for (let i = 0; i < 400_000; i++) if (filter.hasHash(random32(random), random32(random))) wrong++
		// Five standard errors of a count, and 3 % for the rounding of k.
		const expected = 400_000 * errorRate
		expect(wrong).toBeLessThan(expected * 1.03 + 5 * Math.sqrt(expected))
		expect(wrong).toBeGreaterThan(expected * 0.9 - 5 * Math.sqrt(expected))
	})

	test('has the size that theory gives', () => {
		const filter = new Bloom({ capacity: 1_000_000, errorRate: 0.01 })
		expect(filter.bits).toBe(9_585_064)
		expect(filter.hashes).toBe(7)
		expect(new Bloom({ capacity: 1, errorRate: 0.5 }).hashes).toBe(1)
	})

	// Measured on filters twice this size: 0.013, 0.05 and 0.11 %; the plain count of new ones is 0.17 % and 23 % short.
	test.each([
		['at its capacity', 1, 0.001],
		['at twice its capacity', 2, 0.002],
		['at four times its capacity', 4, 0.005],
	])('counts %s with an error (RMS of 20) below the stated one', (_what, load, most) => {
		let squares = 0
		let sum = 0
		for (let seed = 1; seed <= 20; seed++) {
			const n = 50_000 * load
			const error = filled(n, { capacity: 50_000 }, seed).count() / n - 1
			squares += error * error
			sum += error
		}
		expect(Math.sqrt(squares / 20)).toBeLessThan(most)
		expect(Math.abs(sum / 20)).toBeLessThan(most / 2)
	})

	test('counts few visitors exactly', () => {
		const filter = new Bloom({ capacity: 10_000 })
		let n = 0
		for (const visitor of ids(100)) {
			filter.add(visitor)
			expect(filter.count()).toBe(++n)
		}
	})

	test('counts by its share of bits set within half a percent', () => {
		for (const n of [10_000, 50_000, 100_000]) {
			const filter = filled(n, { capacity: 50_000 })
			expect(Math.abs(filter.countByFill() / n - 1)).toBeLessThan(0.005)
		}
	})

	test('answers a finite number when every bit is set', () => {
		const filter = filled(2_000, { bits: 64, hashes: 3 })
		expect(filter.bitsSet).toBe(64)
		expect(Number.isFinite(filter.count())).toBe(true)
		expect(filter.countByFill()).toBe(Math.round((-64 / 3) * Math.log(1 / 64)))
		expect(filter.add('more')).toBe(false)
	})
})

describe('a union', () => {
	test('holds the visitors of both and counts them once', () => {
		const both = new Bloom({ capacity: 20_000 })
		const a = new Bloom({ capacity: 20_000 })
		const b = new Bloom({ capacity: 20_000 })
		let n = 0
		for (const visitor of ids(20_000)) {
			both.add(visitor)
			if (n < 12_000) a.add(visitor)
			if (n >= 8_000) b.add(visitor)
			n++
		}
		const before = Buffer.from(b.toBytes()).toString('hex')
		expect(a.union(b)).toBe(true)
		expect(Buffer.compare(a.toBitmap(), both.toBitmap())).toBe(0)
		expect(a.bitsSet).toBe(both.bitsSet)
		expect(Math.abs(a.count() / 20_000 - 1)).toBeLessThan(0.005)
		expect(Buffer.from(b.toBytes()).toString('hex')).toBe(before)
		expect(a.union(b)).toBe(false)
		// New visitors go on being weighed.
		for (const visitor of ids(5_000, 'later')) a.add(visitor)
		expect(Math.abs(a.count() / 25_000 - 1)).toBeLessThan(0.005)
	})

	test('with a filter that adds nothing leaves the count as it was', () => {
		const a = filled(5_000, { capacity: 5_000 })
		const count = a.count()
		expect(a.union(filled(3_000, { capacity: 5_000 }))).toBe(false)
		expect(a.count()).toBe(count)
	})

	test('of unlike filters is refused and changes nothing', () => {
		const a = filled(100, { capacity: 1_000 })
		const before = Buffer.from(a.toBytes()).toString('hex')
		for (const other of [new Bloom({ capacity: 1_001 }), new Bloom({ bits: a.bits, hashes: a.hashes + 1 }), {}, undefined]) {
			expect(codeOf(() => a.union(other as Bloom))).toBe('ERR_TALLYMARK_SKETCH')
		}
		expect(Buffer.from(a.toBytes()).toString('hex')).toBe(before)
	})
})

describe('bytes', () => {
	test('come back the same, wherever they lie in a larger buffer', () => {
		const filter = filled(700, { capacity: 500, errorRate: 0.02 })
		const bytes = filter.toBytes()
		const larger = new Uint8Array(bytes.length + 7)
		larger.set(bytes, 3)
		const back = Bloom.fromBytes(larger.subarray(3, 3 + bytes.length))
		expect([...back.toBytes()]).toEqual([...bytes])
		expect(back.count()).toBe(filter.count())
		expect(back.hashes).toBe(filter.hashes)
	})

	test('that are cut, foreign or contradict themselves are refused', () => {
		const good = filled(60, { capacity: 50 }).toBytes()
		const changed = (change: (view: DataView) => void) => {
			const copy = good.slice()
			change(new DataView(copy.buffer))
			return copy
		}
		const bad: unknown[] = [
			undefined,
			'BTMF',
			new Uint8Array(),
			good.subarray(0, 23),
			good.subarray(0, good.length - 1),
			Uint8Array.from([...good, 0]),
			changed((view) => view.setUint8(0, 0x41)),
			changed((view) => view.setUint8(4, 2)),
			changed((view) => view.setUint8(5, 0)),
			changed((view) => view.setUint8(5, 33)),
			changed((view) => view.setUint8(6, 1)),
			changed((view) => view.setUint32(8, 0, true)),
			changed((view) => view.setUint32(8, 0xfffffff8, true)),
			changed((view) => view.setUint32(12, 1, true)),
			changed((view) => view.setUint8(30, view.getUint8(30) ^ 1)),
			changed((view) => view.setFloat64(16, Number.NaN, true)),
			changed((view) => view.setFloat64(16, -1, true)),
			changed((view) => view.setFloat64(16, 3, true)),
			changed((view) => view.setFloat64(16, Number.POSITIVE_INFINITY, true)),
		]
		for (const bytes of bad) expect(codeOf(() => Bloom.fromBytes(bytes as Uint8Array))).toBe('ERR_TALLYMARK_SKETCH')
	})

	test('at random are refused, and never anything but refused or read', () => {
		const good = filled(60, { capacity: 50 }).toBytes()
		fc.assert(
			fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }), (changes) => {
				const copy = good.slice()
				for (const [at, byte] of changes) copy[at] = byte
				const code = codeOf(() => Bloom.fromBytes(copy))
				expect(['ERR_TALLYMARK_SKETCH', 'nothing thrown']).toContain(code)
			}),
			{ numRuns: 1_000 },
		)
	})
})

test.each([
	undefined,
	{ capacity: 0 },
	{ capacity: 1.5 },
	{ capacity: Number.NaN },
	{ capacity: 1e12 },
	{ capacity: 10, errorRate: 0 },
	{ capacity: 10, errorRate: 0.6 },
	{ capacity: 10, errorRate: Number.NaN },
	{ bits: 12, hashes: 3 },
	{ bits: 0, hashes: 3 },
	{ bits: 2 ** 32, hashes: 3 },
	{ bits: 16, hashes: 0 },
	{ bits: 16, hashes: 33 },
])('options %j are refused', (options) => {
	expect(codeOf(() => new Bloom(options as { capacity: number }))).toBe('ERR_TALLYMARK_SKETCH')
})

describe('in Redis', () => {
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

	test('SETBIT of the places makes the same bitmap, BITOP OR the same union, BITCOUNT the same share', async () => {
		const a = new Bloom({ capacity: 500 })
		const b = new Bloom({ capacity: 500 })
		const pipeline = redis.pipeline()
		for (const visitor of ids(300)) {
			a.add(visitor)
			hashText(visitor)
			for (const place of a.placesOf(hashed[0]!, hashed[1]!)) pipeline.setbit('a', place, 1)
		}
		await pipeline.exec()
		for (const visitor of ids(300, 'other')) b.add(visitor)
		const stored = Bloom.fromBitmap((await redis.getBuffer('a'))!, { capacity: 500 })
		expect([...stored.toBitmap()]).toEqual([...a.toBitmap()])
		expect(stored.bitsSet).toBe(a.bitsSet)
		expect(stored.count()).toBe(a.countByFill())
		await redis.set('b', Buffer.from(b.toBitmap()))
		await redis.bitop('OR', 'both', 'a', 'b')
		a.union(b)
		expect(await redis.bitcount('both')).toBe(a.bitsSet)
		expect(await redis.getbit('both', a.placesOf(1, 2)[0]!)).toBe(
			Number(a.toBitmap()[a.placesOf(1, 2)[0]! >>> 3]! >>> (7 - (a.placesOf(1, 2)[0]! & 7))) & 1,
		)
		expect([...Bloom.fromBitmap((await redis.getBuffer('both'))!, { capacity: 500 }).toBitmap()]).toEqual([...a.toBitmap()])
	})

	test('a bitmap that Redis cut behind its last 1 is read, a longer one refused', () => {
		const empty = Bloom.fromBitmap(new Uint8Array(), { capacity: 500 })
		expect(empty.count()).toBe(0)
		expect(codeOf(() => Bloom.fromBitmap(new Uint8Array(10_000), { capacity: 500 }))).toBe('ERR_TALLYMARK_SKETCH')
	})
})

describe('a counter over another filter', () => {
	test('counts what the filter did not know, with one of the bloom-filters package', () => {
		const counter = fromFilter(bloomFilters.BloomFilter.create(1_000, 0.001))
		for (let round = 0; round < 2; round++) for (const visitor of ids(500)) expect(counter.add(visitor)).toBe(round === 0)
		expect(counter.count()).toBe(500)
		expect(counter.has('visitor:1')).toBe(true)
		expect(counter.has('nobody')).toBe(false)
	})

	test('takes any object with add and has, methods of a class among them, and nothing else', () => {
		const counter = fromFilter(new Set<string>())
		expect([counter.add('a'), counter.add('a'), counter.add('b'), counter.count()]).toEqual([true, false, true, 2])
		const others: unknown[] = [undefined, {}, { add() {} }]
		for (const filter of others) expect(codeOf(() => fromFilter(filter as MembershipFilter))).toBe('ERR_TALLYMARK_SKETCH')
	})
})
