import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CounterPool, HyperLogLog } from '../../src/sketches.ts'
import { codeOf } from './codes.ts'
import { ids, randomCoupon, randomFrom } from './ids.ts'

const sorted = (coupons: Iterable<number>) => [...coupons].sort((a, b) => a - b)

function expectSame(pool: CounterPool, handle: number, model: HyperLogLog) {
	expect(pool.count(handle)).toBe(model.count())
	expect(pool.registers(handle)).toBe(model.size)
	expect(sorted(pool.coupons(handle))).toEqual([...model.coupons()])
	const full = pool.toHyperLogLog(handle)
	expect(Buffer.compare(full.toRedis(), model.toRedis())).toBe(0)
}

const expectRefused = (action: () => unknown) => expect(codeOf(action)).toBe('ERR_TALLYMARK_SKETCH')

describe('a counter of a pool', () => {
	test('answers as a HyperLogLog does, at every step through every shape up to 3,000 visitors', () => {
		const pool = new CounterPool()
		const other = pool.create()
		const handle = pool.create()
		const model = new HyperLogLog()
		let n = 0
		for (const visitor of ids(3_000)) {
			expect(pool.addText(handle, visitor)).toBe(model.add(visitor))
			expect(pool.addText(handle, visitor)).toBe(false)
			if (n++ < 100) pool.addText(other, visitor)
			expect(pool.count(handle)).toBe(model.count())
			expect(pool.registers(handle)).toBe(model.size)
			if (n % 97 === 0) expectSame(pool, handle, model)
		}
		expect(pool.count(other)).toBe(100)
	})

	test('of any coupons answers as a HyperLogLog does; a lower rank changes nothing, a higher one replaces', () => {
		// Few indexes, so that the same register is met often, in lists and in tables.
		const coupon = fc
			.tuple(fc.nat(1), fc.nat(1_200), fc.integer({ min: 1, max: 51 }))
			.map(([far, index, rank]) => ((far * 8_192 + index) << 6) | rank)
		fc.assert(
			fc.property(fc.array(coupon, { maxLength: 1_500, size: 'max' }), (coupons) => {
				const pool = new CounterPool()
				const handle = pool.create()
				const model = new HyperLogLog()
				for (const one of coupons) expect(pool.add(handle, one)).toBe(model.addCoupon(one))
				expectSame(pool, handle, model)
			}),
			{ numRuns: 60 },
		)
	})

	test('merges the coupons of another and says how many changed it', () => {
		const random = randomFrom(3)
		const pool = new CounterPool()
		for (const [a, b] of [
			[0, 0],
			[0, 5],
			[5, 0],
			[20, 40],
			[40, 20],
			[700, 700],
			[5, 3_000],
			[3_000, 5],
		] as const) {
			const left = pool.create()
			const right = pool.create()
			for (let i = 0; i < a; i++) pool.add(left, randomCoupon(random))
			for (let i = 0; i < b; i++) pool.add(right, randomCoupon(random))
			const model = pool.toHyperLogLog(left)
			const changed = pool.toHyperLogLog(right).diff(model).length
			model.merge(pool.toHyperLogLog(right))
			expect(pool.merge(left, pool.coupons(right))).toBe(changed)
			expectSame(pool, left, model)
		}
	})
})

describe('a pool', () => {
	test('keeps its counters apart through any order of creating, adding, merging and releasing', () => {
		for (const seed of [1, 2, 3, 4]) {
			const random = randomFrom(seed)
			const pool = new CounterPool()
			const models = new Map<number, HyperLogLog>()
			const any = () => [...models.keys()][Math.floor(random() * models.size)]!
			for (let step = 0; step < 3_000; step++) {
				const dice = random()
				if (models.size === 0 || dice < 0.1) {
					const handle = pool.create()
					expect(models.has(handle)).toBe(false)
					expect(pool.count(handle)).toBe(0)
					models.set(handle, new HyperLogLog())
				} else if (step % 600 === 599) {
					// The last release lets the arena begin anew, over what was in it.
					for (const handle of models.keys()) pool.release(handle)
					models.clear()
				} else if (dice < 0.17) {
					const handle = any()
					pool.release(handle)
					models.delete(handle)
				} else if (dice < 0.22) {
					const [into, from] = [any(), any()]
					pool.merge(into, pool.coupons(from))
					models.get(into)!.merge(models.get(from)!)
				} else {
					const handle = any()
					const n = Math.floor(random() ** 6 * 1_000)
					const model = models.get(handle)!
					let unlike = 0
					for (let i = 0; i <= n; i++) {
						const coupon = randomCoupon(random)
						if (pool.add(handle, coupon) !== model.addCoupon(coupon)) unlike++
					}
					expect(unlike).toBe(0)
				}
				expect(pool.size).toBe(models.size)
			}
			for (const [handle, model] of models) expectSame(pool, handle, model)
		}
	})

	test('refuses a handle that it did not give out, or that was released, and a coupon that is none', () => {
		const pool = new CounterPool()
		const handle = pool.create()
		const released = pool.create()
		pool.add(handle, 65)
		pool.release(released)
		for (const bad of [released, 7, -1, 1e9, 0.5, Number.NaN, undefined as unknown as number]) {
			for (const action of [
				() => pool.add(bad, 65),
				() => pool.addText(bad, 'x'),
				() => pool.merge(bad, []),
				() => pool.count(bad),
				() => pool.coupons(bad),
				() => pool.registers(bad),
				() => pool.toHyperLogLog(bad),
				() => pool.release(bad),
			])
				expectRefused(action)
		}
		expectRefused(() => pool.add(handle, 0))
		expectRefused(() => pool.merge(handle, [129, 1 << 20]))
		expect([...pool.coupons(handle)]).toEqual([65])
		expect(pool.size).toBe(1)
	})

	test('uses released memory again: two hundred generations take no more than the first two', () => {
		for (const n of [1, 3, 30, 200, 900]) {
			const random = randomFrom(n)
			const pool = new CounterPool()
			const kept = pool.create()
			let handles = Array.from({ length: 20 }, () => pool.create())
			let early = 0
			for (let generation = 0; generation < 200; generation++) {
				for (const handle of handles) for (let i = 0; i < n; i++) pool.add(handle, randomCoupon(random))
				for (const handle of handles) pool.release(handle)
				handles = handles.map(() => pool.create())
				if (generation === 1) early = pool.bytes
			}
			expect(pool.bytes).toBeLessThanOrEqual(early)
			expect(pool.count(kept)).toBe(0)
			expect(Math.max(...handles)).toBeLessThan(21)
		}
	})

	test('cuts large released blocks for small counters', () => {
		const random = randomFrom(9)
		const pool = new CounterPool()
		pool.create()
		const large = Array.from({ length: 50 }, () => pool.create())
		for (const handle of large) for (let i = 0; i < 700; i++) pool.add(handle, randomCoupon(random))
		const before = pool.bytes
		for (const handle of large) pool.release(handle)
		const models = Array.from({ length: 1_500 }, () => [pool.create(), new HyperLogLog()] as const)
		for (const [handle, model] of models) {
			for (let i = 0; i < 12; i++) {
				const coupon = randomCoupon(random)
				pool.add(handle, coupon)
				model.addCoupon(coupon)
			}
		}
		for (const [handle, model] of models) expectSame(pool, handle, model)
		// Entries for the handles are new; words are not.
		expect(pool.bytes - before).toBeLessThan(1_500 * 16)
	})

	test('joins small released blocks for large counters', () => {
		const random = randomFrom(10)
		const pool = new CounterPool()
		pool.create()
		const small = Array.from({ length: 3_000 }, () => pool.create())
		for (let i = 0; i < 12; i++) for (const handle of small) pool.add(handle, randomCoupon(random))
		const before = pool.bytes
		for (const handle of small.sort(() => random() - 0.5)) pool.release(handle)
		for (const handle of Array.from({ length: 40 }, () => pool.create()))
			for (let i = 0; i < 700; i++) pool.add(handle, randomCoupon(random))
		expect(pool.bytes).toBe(before)
	})

	test('shrinks when it is emptied over and over with little in it, and clear() gives everything back', () => {
		const random = randomFrom(4)
		const pool = new CounterPool()
		const empty = pool.bytes
		const fill = (counters: number) => {
			const handles = Array.from({ length: counters }, () => pool.create())
			for (const handle of handles) for (let i = 0; i < 50; i++) pool.add(handle, randomCoupon(random))
			return handles
		}
		for (const handle of fill(2_000)) pool.release(handle)
		const large = pool.bytes
		for (let i = 0; i < 20; i++) for (const handle of fill(3)) pool.release(handle)
		expect(pool.bytes).toBeLessThan(large / 50)
		const handles = fill(500)
		pool.clear()
		expect(pool.bytes).toBe(empty)
		expect(pool.size).toBe(0)
		expectRefused(() => pool.count(handles[0]!))
		expect(pool.count(pool.create())).toBe(0)
	})

	// A Set<string> with one to five ids of 36 characters was measured at 354 bytes, with 1 to 50 at 2,250 (Node 20, after garbage collection).
	test.each([
		[5, 354 / 5],
		[50, 2_250 / 5],
	])('takes at most a fifth of the bytes of a Set<string> per counter of 1 to %i visitors', (most, bytes) => {
		const random = randomFrom(most)
		const pool = new CounterPool()
		const counters = 20_000
		const handles = Array.from({ length: counters }, () => pool.create())
		const wanted = handles.map(() => 1 + Math.floor(random() * most))
		for (let round = 0; round < most; round++) {
			for (const handle of handles) if (round < wanted[handle]!) pool.add(handle, randomCoupon(random))
		}
		expect(pool.bytes / counters).toBeLessThan(bytes)
	})
})
