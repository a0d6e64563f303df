import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FilteredSpaceSaving } from '../../src/sketches.ts'
import { codeOf } from './codes.ts'
import { randomFrom } from './ids.ts'

/** Keys by Zipf's law of exponent `s` over `keys` keys. */
function zipf(keys: number, s: number, seed: number): () => string {
	const random = randomFrom(seed)
	const sums = new Float64Array(keys)
	let sum = 0
	for (let i = 0; i < keys; i++) sums[i] = sum += 1 / (i + 1) ** s
	return () => {
		const wanted = random() * sum
		let low = 0
		for (let high = keys - 1; low < high; ) {
			const middle = (low + high) >>> 1
			if (sums[middle]! < wanted) low = middle + 1
			else high = middle
		}
		return `/page/${low}`
	}
}

function bump(truth: Map<string, number>, key: string, by = 1) {
	truth.set(key, (truth.get(key) ?? 0) + by)
}

/** No bound is broken, for any key that was added; and no more is claimed of those that were not. */
function expectBounds(sketch: FilteredSpaceSaving, truth: Map<string, number>) {
	let broken = 0
	for (const [key, times] of truth) {
		const { count, error } = sketch.get(key)
		if (times > count || times < count - error) broken++
	}
	expect(broken).toBe(0)
	for (const { key, count, error } of sketch.top(sketch.capacity)) expect(count - error).toBeLessThanOrEqual(truth.get(key) ?? 0)
}

const bestOf = (truth: Map<string, number>, limit: number) =>
	[...truth]
		.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
		.slice(0, limit)
		.map(([key]) => key)

const stream = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 5 })), { maxLength: 400, size: 'max' })
const measures = fc.record({ capacity: fc.integer({ min: 1, max: 20 }), cells: fc.integer({ min: 1, max: 40 }) })

describe('Filtered Space-Saving', () => {
	test('keeps its bounds at every step, whatever the keys and measures', () => {
		fc.assert(
			fc.property(measures, stream, (options, events) => {
				const sketch = new FilteredSpaceSaving(options)
				const truth = new Map<string, number>()
				let total = 0
				for (const [key, by] of events) {
					sketch.add(`k${key}`, by)
					bump(truth, `k${key}`, by)
					total += by
					if (total % 7 === 0) expectBounds(sketch, truth)
				}
				expectBounds(sketch, truth)
				expect(sketch.total).toBe(total)
				expect(sketch.size).toBeLessThanOrEqual(options.capacity)
				// What is not monitored is bounded by the least that is.
				const least = sketch.top(options.capacity).at(-1)?.count ?? 0
				if (sketch.size === options.capacity)
					for (const key of truth.keys())
						if (sketch.get(key).count > least) expect(sketch.top(options.capacity).some((one) => one.key === key)).toBe(true)
			}),
			{ numRuns: 300 },
		)
	})

	test('is exact while there is room', () => {
		fc.assert(
			fc.property(stream, (events) => {
				const sketch = new FilteredSpaceSaving({ capacity: 61, cells: 2 })
				const truth = new Map<string, number>()
				for (const [key, by] of events) {
					sketch.add(`k${key}`, by)
					bump(truth, `k${key}`, by)
				}
				expect(sketch.top(100).map(({ key, count, error }) => [key, count, error])).toEqual(
					bestOf(truth, 100).map((key) => [key, truth.get(key), 0]),
				)
			}),
		)
	})

	test.each([0.8, 1, 1.2])('finds all of the first hundred keys of a million events by Zipf with s = %f', (s) => {
		const next = zipf(1_000_000, s, 1)
		const sketch = new FilteredSpaceSaving()
		const truth = new Map<string, number>()
		for (let i = 0; i < 1_000_000; i++) {
			const key = next()
			sketch.add(key)
			bump(truth, key)
		}
		expectBounds(sketch, truth)
		const best = new Set(bestOf(truth, 100))
		const found = sketch.top(100).filter(({ key }) => best.has(key))
		// Keys on either side of the hundredth place may be equal, or all but.
		expect(found.length).toBeGreaterThanOrEqual(99)
		for (const { key, count } of found) expect(count / truth.get(key)! - 1).toBeLessThan(0.02)
	})
})

describe('merging', () => {
	test('keeps the bounds of all streams together', () => {
		fc.assert(
			fc.property(measures, fc.array(stream, { minLength: 2, maxLength: 4 }), (options, streams) => {
				const truth = new Map<string, number>()
				const [first, ...others] = streams.map((events, which) => {
					const sketch = new FilteredSpaceSaving(options)
					for (const [key, by] of events) {
						sketch.add(`k${key + which * 20}`, by)
						bump(truth, `k${key + which * 20}`, by)
					}
					return sketch
				})
				for (const other of others) {
					const before = JSON.stringify(other)
					first!.merge(other)
					expect(JSON.stringify(other)).toBe(before)
				}
				expectBounds(first!, truth)
				// And goes on keeping them.
				for (const [key, by] of streams[0]!) {
					first!.add(`k${key}`, by)
					bump(truth, `k${key}`, by)
				}
				expectBounds(first!, truth)
				expect(first!.total).toBe([...truth.values()].reduce((a, b) => a + b, 0))
			}),
			{ numRuns: 200 },
		)
	})

	test('four shards find the first hundred keys', () => {
		const next = zipf(200_000, 1, 3)
		const shards = Array.from({ length: 4 }, () => new FilteredSpaceSaving())
		const truth = new Map<string, number>()
		for (let i = 0; i < 600_000; i++) {
			const key = next()
			shards[i % 4]!.add(key)
			bump(truth, key)
		}
		const [all, ...rest] = shards
		for (const shard of rest) all!.merge(shard)
		expectBounds(all!, truth)
		const best = new Set(bestOf(truth, 100))
		expect(all!.top(100).filter(({ key }) => best.has(key)).length).toBeGreaterThanOrEqual(98)
	})

	test('into itself doubles everything', () => {
		const sketch = new FilteredSpaceSaving({ capacity: 2, cells: 3 })
		for (const key of 'aaabbc') sketch.add(key)
		sketch.merge(sketch)
		expectBounds(
			sketch,
			new Map([
				['a', 6],
				['b', 4],
				['c', 2],
			]),
		)
	})

	test('unlike sketches is refused and changes nothing', () => {
		const sketch = new FilteredSpaceSaving({ capacity: 3, cells: 4 })
		sketch.add('a')
		const before = JSON.stringify(sketch)
		for (const other of [
			new FilteredSpaceSaving({ capacity: 4, cells: 4 }),
			new FilteredSpaceSaving({ capacity: 3, cells: 5 }),
			{},
			null,
		]) {
			expect(codeOf(() => sketch.merge(other as FilteredSpaceSaving))).toBe('ERR_TALLYMARK_SKETCH')
		}
		expect(JSON.stringify(sketch)).toBe(before)
	})
})

describe('JSON', () => {
	test('comes back the same and goes on the same', () => {
		fc.assert(
			fc.property(measures, stream, stream, (options, before, after) => {
				const sketch = new FilteredSpaceSaving(options)
				for (const [key, by] of before) sketch.add(`k${key}`, by)
				const back = FilteredSpaceSaving.fromJSON(JSON.parse(JSON.stringify(sketch)))
				expect(JSON.stringify(back)).toBe(JSON.stringify(sketch))
				const truth = new Map<string, number>()
				for (const [key, by] of before) bump(truth, `k${key}`, by)
				for (const [key, by] of after) {
					back.add(`k${key}`, by)
					bump(truth, `k${key}`, by)
				}
				expectBounds(back, truth)
			}),
		)
	})

	test('of keys with odd names comes back too', () => {
		const sketch = new FilteredSpaceSaving({ capacity: 4 })
		for (const key of ['__proto__', 'constructor', '', '😀']) sketch.add(key)
		expect(FilteredSpaceSaving.fromJSON(JSON.parse(JSON.stringify(sketch))).top()).toEqual(sketch.top())
	})

	test('of anything else is refused', () => {
		const good = { v: 1, m: 2, h: 3, n: 5, entries: [['a', 3, 1]], alpha: [0, 1, 0] }
		expect(FilteredSpaceSaving.fromJSON(good).get('a')).toEqual({ key: 'a', count: 3, error: 1 })
		const bad: unknown[] = [
			null,
			'{}',
			{},
			{ ...good, v: 2 },
			{ ...good, m: 0 },
			{ ...good, m: undefined },
			{ ...good, m: 1e9 },
			{ ...good, h: 4 },
			{ ...good, h: '3' },
			{ ...good, n: -1 },
			{ ...good, n: '5' },
			{ ...good, alpha: [0, 1] },
			{ ...good, alpha: [0, 1, -1] },
			{ ...good, alpha: [0, 1, null] },
			{ ...good, entries: {} },
			{
				...good,
				entries: [
					['a', 1, 0],
					['b', 1, 0],
					['c', 1, 0],
				],
			},
			{
				...good,
				entries: [
					['a', 1, 0],
					['a', 2, 0],
				],
			},
			{ ...good, entries: [['a', 1, 2]] },
			{ ...good, entries: [['a', Number.NaN, 0]] },
			{ ...good, entries: [[1, 1, 0]] },
			{ ...good, entries: ['a'] },
		]
		for (const json of bad) expect(codeOf(() => FilteredSpaceSaving.fromJSON(json))).toBe('ERR_TALLYMARK_SKETCH')
	})
})

test('bad input is refused and changes nothing', () => {
	for (const options of [{ capacity: 0 }, { capacity: 1.5 }, { capacity: 1e9 }, { cells: 0 }, { cells: Number.NaN }]) {
		expect(codeOf(() => new FilteredSpaceSaving(options))).toBe('ERR_TALLYMARK_SKETCH')
	}
	const sketch = new FilteredSpaceSaving({ capacity: 2 })
	for (const by of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) expect(codeOf(() => sketch.add('a', by))).toBe('ERR_TALLYMARK_SKETCH')
	expect(codeOf(() => sketch.add(5 as unknown as string))).toBe('ERR_TALLYMARK_SKETCH')
	expect(codeOf(() => sketch.top(-1))).toBe('ERR_TALLYMARK_SKETCH')
	expect(sketch.total).toBe(0)
	expect(sketch.size).toBe(0)
})
