import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffMs } from '../../src/flow/backoff.ts'

const full = (attempt: number) => Math.min(5_000, 50 * 2 ** (attempt - 1))

test('waits twice as long each time, from 50 ms to 5 s', () => {
	const longest = () => 1 - Number.EPSILON
	expect([1, 2, 3, 4, 5, 6, 7, 8, 9].map((attempt) => Math.round(backoffMs(attempt, longest)))).toEqual([
		50, 100, 200, 400, 800, 1600, 3200, 5000, 5000,
	])
})

test('takes between half and all of the wait, whatever the attempt', () => {
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 1e9 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
			const wait = backoffMs(attempt, () => random)
			expect(wait).toBeGreaterThanOrEqual(full(attempt) / 2)
			expect(wait).toBeLessThanOrEqual(full(attempt))
		}),
	)
})

test('processes that failed together come back at different moments', () => {
	expect(new Set(Array.from({ length: 20 }, () => backoffMs(8))).size).toBeGreaterThan(15)
})
