import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RateRing } from '../../src/sketches.ts'
import { codeOf } from './codes.ts'
import { randomFrom } from './ids.ts'

const MINUTE = 60_000
const HOUR = 3_600_000

test('counts the hits of the window that ends now, and forgets older ones', () => {
	const ring = new RateRing()
	ring.add(10 * HOUR, 5)
	ring.add(10 * HOUR + 30 * MINUTE)
	expect(ring.count(10 * HOUR + 30 * MINUTE)).toBe(6)
	expect(ring.count(11 * HOUR)).toBe(6)
	// The first minute leaves the window bit by bit.
	expect(ring.count(11 * HOUR + 0.25 * MINUTE)).toBe(1 + 5 * 0.75)
	expect(ring.count(11 * HOUR + MINUTE)).toBe(1)
	expect(ring.count(12 * HOUR)).toBe(0)
	expect(ring.count(9 * HOUR)).toBe(0)
})

test('a hit that comes late is counted where it belongs, one that is too late is refused', () => {
	const ring = new RateRing()
	expect(ring.add(100 * HOUR)).toBe(true)
	expect(ring.add(99 * HOUR + MINUTE)).toBe(true)
	expect(ring.count(100 * HOUR)).toBe(2)
	expect(ring.add(100 * HOUR - 61 * MINUTE)).toBe(false)
	expect(ring.add(50 * HOUR)).toBe(false)
	expect(ring.count(100 * HOUR)).toBe(2)
	// A long silence empties every slot.
	expect(ring.add(500 * HOUR)).toBe(true)
	expect(ring.count(500 * HOUR)).toBe(1)
})

test('is wrong by no more than the hits of its oldest slot, against a list of every hit', () => {
	fc.assert(
		fc.property(
			fc.integer({ min: 1, max: 12 }),
			fc.constantFrom(100, 1_000, 999.5),
			fc.integer({ min: -5_000, max: 5_000 }),
			fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 100 }),
			(slots, windowMs, start, hits) => {
				const ring = new RateRing({ windowMs, slots })
				const list: [at: number, by: number][] = []
				let now = start
				for (const [step, by] of hits) {
					now += step
					expect(ring.add(now, by)).toBe(true)
					list.push([now, by])
					const slotMs = windowMs / slots
					const edge = Math.floor(now / slotMs) * slotMs - windowMs
					const sure = list.filter(([at]) => at >= edge + slotMs + 1e-6).reduce((sum, [, by]) => sum + by, 0)
					const most = list.filter(([at]) => at >= edge - 1e-6).reduce((sum, [, by]) => sum + by, 0)
					const count = ring.count(now)
					expect(count).toBeGreaterThanOrEqual(sure)
					expect(count).toBeLessThanOrEqual(most)
				}
			},
		),
	)
})

test('an hour of even traffic is counted to a fifth of a percent', () => {
	const random = randomFrom(2)
	const ring = new RateRing()
	const hits: number[] = []
	let worst = 0
	for (let now = 0; now < 3 * HOUR; now += random() * 20) {
		ring.add(now)
		hits.push(now)
		if (now > HOUR && hits.length % 5_000 === 0) {
			const truth = hits.filter((at) => at > now - HOUR).length
			worst = Math.max(worst, Math.abs(ring.count(now) / truth - 1))
		}
	}
	expect(worst).toBeLessThan(0.002)
})

test('bad input is refused and changes nothing', () => {
	for (const options of [
		{ windowMs: 0 },
		{ windowMs: Number.POSITIVE_INFINITY },
		{ windowMs: Number.NaN },
		{ slots: 0 },
		{ slots: 1.5 },
		{ slots: 1e9 },
	]) {
		expect(codeOf(() => new RateRing(options))).toBe('ERR_TALLYMARK_SKETCH')
	}
	const ring = new RateRing()
	ring.add(5)
	for (const at of [Number.NaN, Number.POSITIVE_INFINITY]) {
		expect(codeOf(() => ring.add(at))).toBe('ERR_TALLYMARK_SKETCH')
		expect(codeOf(() => ring.count(at))).toBe('ERR_TALLYMARK_SKETCH')
	}
	for (const by of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) expect(codeOf(() => ring.add(6, by))).toBe('ERR_TALLYMARK_SKETCH')
	expect(ring.count(10)).toBe(1)
})
