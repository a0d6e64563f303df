import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecencyTable } from '../../src/sketches.ts'
import { codeOf } from './codes.ts'
import { randomFrom } from './ids.ts'

/** The same promises on a Map: key to the end of its mark. */
class Model {
	readonly ends = new Map<number, number>()
	claim(key: number, now: number, ttlMs: number): boolean {
		const end = this.ends.get(key) ?? 0
		if (end > now) {
			if (ttlMs > 0) this.ends.set(key, Math.min(end, now + ttlMs))
			return false
		}
		if (ttlMs > 0) this.ends.set(key, now + ttlMs)
		return true
	}
	release(key: number, now: number): boolean {
		const held = (this.ends.get(key) ?? 0) > now
		this.ends.delete(key)
		return held
	}
}

// Few slots for many keys: neighbours collide, so that searches run over one another.
const lo = (key: number) => key % 17
const hi = (key: number) => key

describe('a recency table', () => {
	test('refuses a second claim until the very millisecond at which the first one ends', () => {
		const table = new RecencyTable()
		expect(table.claim(1, 2, 1_000, 500)).toBe(true)
		expect(table.claim(1, 2, 1_000, 500)).toBe(false)
		expect(table.claim(1, 2, 1_499, 500)).toBe(false)
		expect(table.claim(2, 1, 1_499, 500)).toBe(true)
		expect(table.claim(1, 2, 1_500, 500)).toBe(true)
		// A refused claim does not make the mark longer.
		expect(table.claim(1, 2, 1_999, 500)).toBe(false)
		expect(table.claim(1, 2, 2_000, 500)).toBe(true)
	})

	test('refuses no longer than the ttl when the clock is put back', () => {
		const table = new RecencyTable()
		expect(table.claim(1, 2, 100_000, 500)).toBe(true)
		expect(table.claim(1, 2, 1_000, 500)).toBe(false)
		expect(table.claim(1, 2, 1_499, 500)).toBe(false)
		expect(table.claim(1, 2, 1_500, 500)).toBe(true)
	})

	test('answers as a Map does, through expiry, release and growth', () => {
		const command = fc.record({
			what: fc.constantFrom('claim', 'claim', 'claim', 'has', 'release'),
			key: fc.nat(300),
			step: fc.oneof(fc.constant(0), fc.nat(30), fc.constant(400)),
			ttlMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 500 })),
		})
		fc.assert(
			fc.property(fc.array(command, { maxLength: 800, size: 'max' }), (commands) => {
				const table = new RecencyTable()
				const model = new Model()
				let now = 0
				for (const { what, key, step, ttlMs } of commands) {
					now += step
					if (what === 'claim') expect(table.claim(lo(key), hi(key), now, ttlMs)).toBe(model.claim(key, now, ttlMs))
					else if (what === 'release') expect(table.release(lo(key), hi(key), now)).toBe(model.release(key, now))
					else expect(table.has(lo(key), hi(key), now)).toBe((model.ends.get(key) ?? 0) > now)
				}
			}),
			{ numRuns: 200 },
		)
	})

	test('makes no mistake in 400,000 operations with expiry', () => {
		const random = randomFrom(1)
		const table = new RecencyTable()
		const model = new Model()
		let wrong = 0
		for (let i = 0, now = 1e12; i < 400_000; i++, now += Math.floor(random() * 3)) {
			const key = Math.floor(random() ** 2 * 50_000)
			if (random() < 0.02 && table.release(lo(key), hi(key), now) !== model.release(key, now)) wrong++
			if (table.claim(lo(key), hi(key), now, 30_000) !== model.claim(key, now, 30_000)) wrong++
		}
		expect(wrong).toBe(0)
	}, 60_000)

	test('drops what ended: memory follows the living, not all that ever came', () => {
		const table = new RecencyTable()
		for (let now = 1; now <= 200_000; now++) table.claim(now, now, now, 1_000)
		expect(table.size).toBeLessThan(3_100)
		expect(table.bytes).toBeLessThan(1_000 * 16 * 6)
		// After a rush it shrinks again.
		for (let i = 0; i < 100_000; i++) table.claim(i, ~i, 300_000, 1_000)
		expect(table.bytes).toBeGreaterThan(100_000 * 16)
		for (let i = 0; i < 400_000; i++) table.claim(i, i, 400_000 + i, 10)
		expect(table.bytes).toBeLessThan(10_000)
		expect(table.evicted).toBe(0)
	})

	test('takes a bounded number of bytes per living mark', () => {
		for (const n of [1_000, 10_000, 100_000, 786_432]) {
			const table = new RecencyTable()
			for (let i = 0; i < n; i++) table.claim(i, i, 1, 1_000)
			expect(table.size).toBe(n)
			expect(table.bytes / n).toBeLessThan(64)
		}
	})
})

describe('a full recency table', () => {
	test('gives up the marks that end first', () => {
		const random = randomFrom(8)
		for (let run = 0; run < 200; run++) {
			const table = new RecencyTable({ maxEntries: 16 })
			// Two marks above are room; the nineteenth makes three too many. Some ends are equal.
			const ends = Array.from({ length: 19 }, () => 1 + Math.floor(random() * 30))
			ends.forEach((end, key) => {
				table.claim(lo(key), hi(key), 0, end)
			})
			const kept = ends.filter((_, key) => table.has(lo(key), hi(key), 0))
			expect(kept.sort((a, b) => a - b)).toEqual(ends.sort((a, b) => a - b).slice(3))
			expect(table.evicted).toBe(3)
			expect(table.size).toBe(16)
		}
	})

	test('keeps the last maxEntries marks for certain, and never refuses a visitor too long', () => {
		for (const maxEntries of [1, 2, 7, 64, 500]) {
			const random = randomFrom(maxEntries)
			const table = new RecencyTable({ maxEntries })
			const model = new Model()
			const ttlMs = maxEntries * 4
			for (let i = 0, now = 1; i < 20_000; i++, now += 1) {
				const key = Math.floor(random() * maxEntries * 5)
				const end = model.ends.get(key) ?? 0
				if (!table.claim(lo(key), hi(key), now, ttlMs)) {
					expect(end).toBeGreaterThan(now)
					continue
				}
				if (end > now) {
					const later = [...model.ends.values()].filter((other) => other > end).length
					expect(later).toBeGreaterThanOrEqual(maxEntries)
				}
				model.ends.set(key, now + ttlMs)
				for (const [other, otherEnd] of model.ends) if (otherEnd <= now) model.ends.delete(other)
				expect(table.size).toBeLessThanOrEqual(maxEntries + Math.max(1, maxEntries >>> 3))
			}
			expect(table.evicted).toBeGreaterThan(0)
		}
	})

	test('stays within its bytes when visitors never stop coming, and when all marks end together', () => {
		const table = new RecencyTable({ maxEntries: 10_000 })
		for (let i = 0; i < 300_000; i++) table.claim(i, i, 1, 1_000)
		expect(table.bytes).toBeLessThanOrEqual(10_000 * 48)
		expect(table.size).toBeGreaterThanOrEqual(10_000)
		expect(table.evicted).toBe(300_000 - table.size)
	})
})

test('bad input is refused and changes nothing', () => {
	const codes = [
		() => new RecencyTable({ maxEntries: 0 }),
		() => new RecencyTable({ maxEntries: 1.5 }),
		() => new RecencyTable({ maxEntries: Number.NaN }),
		() => new RecencyTable().claim(1, 1, Number.NaN, 5),
		() => new RecencyTable().claim(1, 1, -1, 5),
		() => new RecencyTable().claim(1, 1, Number.POSITIVE_INFINITY, 5),
		() => new RecencyTable().claim(1, 1, 1, Number.NaN),
	].map(codeOf)
	expect(new Set(codes)).toEqual(new Set(['ERR_TALLYMARK_SKETCH']))
})

test('release(), clear() and a ttl of 0', () => {
	const table = new RecencyTable()
	expect(table.claim(1, 1, 5, 0)).toBe(true)
	expect(table.claim(1, 1, 5, 100)).toBe(true)
	expect(table.release(1, 1, 6)).toBe(true)
	expect(table.release(1, 1, 6)).toBe(false)
	expect(table.claim(1, 1, 6, Number.POSITIVE_INFINITY)).toBe(true)
	expect(table.claim(1, 1, 1e15, 100)).toBe(false)
	table.clear()
	expect(table.claim(1, 1, 7, 100)).toBe(true)
	expect(table.size).toBe(1)
})
