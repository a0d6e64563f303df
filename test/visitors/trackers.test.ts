import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HyperLogLog } from '../../src/sketches/hyperloglog.ts'
import { HyperLogLogDelta, HyperLogLogTracker } from '../../src/visitors/hyperloglog.ts'
import type { VisitorSketch, VisitorTracker } from '../../src/visitors/tracker.ts'
import { createTracker, type TrackerName, trackerNames } from '../../src/visitors/trackers.ts'

const filled = (tracker: VisitorTracker, visitors: Iterable<string>): VisitorSketch => {
	const delta = tracker.delta()
	for (const visitor of visitors) delta.add(visitor)
	const sketch = tracker.sketch()
	sketch.apply(delta)
	return sketch
}
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `visitor:${from + i + 1}`)
const hostile = ['__proto__', 'constructor', '', '\0', '\n', 'ada', 'Ada', '\ufeffada', 'é', 'e\u0301', '😀', '\ud83d', 'x'.repeat(70_000)]

describe.each(trackerNames)('the %s tracker', (name) => {
	const tracker = createTracker(name)

	test('is named after its kind', () => {
		// A Bloom filter's kind tells its shape too: two shapes cannot be united.
		expect(tracker.kind.split(':')[0]).toBe(name)
	})

	test('starts with nobody, and says so exactly', () => {
		expect(tracker.sketch().estimate()).toEqual({ value: 0, exact: true, error: 0 })
	})

	test('tells whether a visitor was new to the delta', () => {
		const delta = tracker.delta()
		expect([delta.add('ada'), delta.add('ada'), delta.add('bob'), delta.add('ada'), delta.add('bob')]).toEqual([
			true,
			false,
			true,
			false,
			false,
		])
	})

	test('counts one visitor as exactly one, however often they come', () => {
		expect(filled(tracker, ['ada', 'ada', 'ada']).estimate()).toEqual({ value: 1, exact: true, error: 0 })
	})

	test('tells hostile visitors apart', () => {
		expect(filled(tracker, [...hostile, ...hostile]).estimate().value).toBe(hostile.length)
	})

	test('applying a delta or merging a sketch twice changes nothing', () => {
		for (const count of [1, 2, 5, 40, 767, 768, 769, 3_000]) {
			const sketch = filled(tracker, numbered(0, count))
			const before = sketch.save()
			const delta = tracker.delta()
			for (const visitor of numbered(0, count)) delta.add(visitor)
			sketch.apply(delta)
			sketch.merge(filled(tracker, numbered(0, count)))
			sketch.merge(sketch)
			expect(sketch.save()).toEqual(before)
		}
	})

	test('a merge is the union, whichever side is larger, and leaves the other as it was', () => {
		for (const [a, b] of [
			[0, 5],
			[5, 0],
			[1, 1],
			[3, 2_000],
			[2_000, 3],
			[2_000, 2_500],
			[500, 500],
		] as const) {
			const left = filled(tracker, numbered(0, a))
			const right = filled(tracker, numbered(a >> 1, a + b))
			const rightBefore = right.save()
			left.merge(right)
			const union = filled(tracker, [...numbered(0, a), ...numbered(a >> 1, a + b)])
			const { value, error } = union.estimate()
			// Registers and sets are equal; a union of Bloom filters is counted by its share of bits set, an addition one by one better.
			if (name === 'bloom') expect(Math.abs(left.estimate().value - value)).toBeLessThanOrEqual(4 * error * value)
			else expect(left.estimate()).toEqual(union.estimate())
			expect(right.save()).toEqual(rightBefore)
		}
	})

	test('sketches and deltas of two trackers of the same kind go together', () => {
		const other = createTracker(name)
		const sketch = filled(tracker, ['ada'])
		sketch.merge(filled(other, ['bob']))
		const delta = other.delta()
		delta.add('cyd')
		sketch.apply(delta)
		expect(sketch.estimate().value).toBe(3)
	})

	test('what is saved is loaded as the same sketch, and is a sketch of its own', () => {
		for (const count of [0, 1, 2, 31, 32, 33, 48, 49, 768, 769, 5_000]) {
			const sketch = filled(tracker, numbered(0, count))
			const loaded = tracker.load(sketch.save())
			expect(loaded.estimate()).toEqual(sketch.estimate())
			expect(loaded.save()).toEqual(sketch.save())
			loaded.apply(
				(() => {
					const delta = tracker.delta()
					delta.add('somebody else')
					return delta
				})(),
			)
			expect(sketch.estimate()).toEqual(filled(tracker, numbered(0, count)).estimate())
		}
	})

	test('hostile visitors are the same ones after a save and a load', () => {
		// A lone surrogate is saved as U+FFFD, which is another visitor.
		const wellFormed = hostile.filter((visitor) => visitor !== '\ud83d')
		const loaded = tracker.load(filled(tracker, wellFormed).save())
		expect(loaded.estimate().value).toBe(wellFormed.length)
		loaded.merge(filled(tracker, wellFormed))
		expect(loaded.estimate().value).toBe(wellFormed.length)
	})

	test('loads from the middle of a larger buffer', () => {
		const bytes = filled(tracker, ['ada', 'bob']).save()
		const larger = new Uint8Array(bytes.length + 20).fill(0xff)
		larger.set(bytes, 7)
		expect(tracker.load(larger.subarray(7, 7 + bytes.length)).estimate().value).toBe(2)
	})

	test('saved bytes that are cut, lengthened or changed load as some sketch or throw ERR_TALLYMARK_SKETCH, nothing else', () => {
		const saved = filled(tracker, numbered(0, 20)).save()
		fc.assert(
			fc.property(fc.nat(saved.length), fc.uint8Array({ maxLength: 8 }), (cut, tail) => {
				const bytes = new Uint8Array(cut + tail.length)
				bytes.set(saved.subarray(0, cut))
				bytes.set(tail, cut)
				try {
					tracker.load(bytes)
				} catch (error) {
					expect(error).toMatchObject({ code: 'ERR_TALLYMARK_SKETCH' })
				}
			}),
		)
	})

	test.each([['text'], [undefined], [null], [[1, 2, 3]]])('does not load %j', (bytes) => {
		expect(() => tracker.load(bytes as never)).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_SKETCH' }))
	})

	test('refuses the deltas and sketches of another kind', () => {
		const other = createTracker(trackerNames.find((otherName) => otherName !== name)!)
		expect(() => tracker.sketch().apply(other.delta())).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_SKETCH' }))
		expect(() => tracker.sketch().merge(other.sketch())).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_SKETCH' }))
	})

	test('a released sketch takes nothing from the others', () => {
		const sketches = Array.from({ length: 100 }, (_, i) => filled(tracker, numbered(0, i * 20)))
		const before = sketches.map((sketch) => sketch.estimate())
		for (let i = 0; i < 100; i += 2) sketches[i]!.release()
		const others = Array.from({ length: 100 }, (_, i) => filled(tracker, [`other ${i}`]))
		for (let i = 1; i < 100; i += 2) expect(sketches[i]!.estimate()).toEqual(before[i])
		for (const other of others) expect(other.estimate().value).toBe(1)
	})
})

test.each(['', 'Set', 'hll', '__proto__', 'constructor', undefined])('there is no tracker named %j', (name) => {
	expect(() => createTracker(name as TrackerName)).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION' }))
})

describe('the set tracker', () => {
	const tracker = createTracker('set')

	test('is exact at any number', () => {
		expect(filled(tracker, numbered(0, 5_000)).estimate()).toEqual({ value: 5_000, exact: true, error: 0 })
	})

	test('saves each visitor as a length and UTF-8: the format is on disks and must not change', () => {
		expect([...filled(tracker, ['ada', 'é']).save()]).toEqual([3, 0, 0, 0, 0x61, 0x64, 0x61, 2, 0, 0, 0, 0xc3, 0xa9])
	})

	test.each([
		['a cut length', [3, 0]],
		['a cut visitor', [3, 0, 0, 0, 0x61]],
		['a length beyond the end', [255, 255, 255, 255, 0x61]],
		['bytes that are no UTF-8', [2, 0, 0, 0, 0xc3, 0x28]],
		['a surrogate in UTF-8', [3, 0, 0, 0, 0xed, 0xa0, 0x80]],
	])('refuses %s', (_, bytes) => {
		expect(() => tracker.load(Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_SKETCH' }))
	})
})

describe('the hyperloglog tracker', () => {
	const tracker = new HyperLogLogTracker()

	test('gives the standard error with every number above 1', () => {
		const estimate = filled(tracker, numbered(0, 2_000)).estimate()
		expect(estimate.exact).toBe(false)
		expect(estimate.error).toBeGreaterThan(0.005)
		expect(estimate.error).toBeLessThan(0.00813)
		expect(filled(tracker, ['ada', 'bob']).estimate()).toMatchObject({ value: 2, exact: false })
	})

	test('holds the registers, counts and bytes of a HyperLogLog given the same visitors, at every size', () => {
		const hyperloglog = new HyperLogLog()
		const delta = tracker.delta()
		const stored = tracker.sketch()
		const onebyone = tracker.sketch()
		for (let i = 0; i < 4_000; i++) {
			const visitor = `somebody ${i % 3 === 0 ? i >> 1 : i}`
			const one = tracker.delta()
			one.add(visitor)
			onebyone.apply(one)
			expect(delta.add(visitor)).toBe(hyperloglog.add(visitor))
			if (i % 100 === 0 || (i < 100 && i % 5 === 0)) {
				stored.apply(delta)
				expect(delta.registers.coupons()).toEqual(hyperloglog.coupons())
				for (const sketch of [stored, onebyone]) {
					expect(sketch.estimate().value).toBe(hyperloglog.count())
					expect(sketch.save()).toEqual(hyperloglog.toRedis({ encoding: 'auto' }))
				}
			}
		}
	})

	test('a rank above 32 is kept through save and load: dense, for Redis has no sparse form of it', () => {
		const hyperloglog = HyperLogLog.fromCoupons([(5 << 6) | 40, (9 << 6) | 3])
		const sketch = tracker.load(hyperloglog.toRedis())
		expect(sketch.save()).toEqual(hyperloglog.toRedis())
		expect(sketch.estimate().value).toBe(hyperloglog.count())
	})

	test('many visitors that share a slot of the table are all found', () => {
		const coupons = Array.from({ length: 700 }, (_, i) => (((i * 16) % 16_384) << 6) | (1 + (i % 30)))
		const sketch = tracker.load(HyperLogLog.fromCoupons(coupons).toRedis())
		expect(sketch.save()).toEqual(HyperLogLog.fromCoupons(coupons).toRedis({ encoding: 'auto' }))
	})

	test('sketches give their place in the pool back when they are released, once', () => {
		const pooled = new HyperLogLogTracker()
		let full = 0
		for (let round = 0; round < 10; round++) {
			const sketches = Array.from({ length: 1_000 }, (_, i) => filled(pooled, numbered(i, i + 20)))
			if (round === 0) full = pooled.bytes
			for (const sketch of sketches) {
				sketch.release()
				sketch.release()
			}
		}
		expect(pooled.bytes).toBe(full)
		expect(filled(pooled, ['ada']).estimate().value).toBe(1)
	})

	test('loaded sketches take no place in the pool', () => {
		const pooled = new HyperLogLogTracker()
		const saved = filled(pooled, numbered(0, 500)).save()
		const before = pooled.bytes
		const loaded = Array.from({ length: 100 }, () => pooled.load(saved))
		expect(pooled.bytes).toBe(before)
		expect(loaded[99]!.estimate().value).toBeGreaterThan(480)
	})

	test('a delta of one visitor has one coupon', () => {
		const delta = tracker.delta()
		delta.add('hello world')
		expect(delta).toBeInstanceOf(HyperLogLogDelta)
		expect([...delta.registers.coupons()]).toEqual([(9_399 << 6) | 4])
	})
})
