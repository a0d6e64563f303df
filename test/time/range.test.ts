import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bucket, deadlineOf, type Granularity, granularities, lengthMs, startOf } from '../../src/time/granularity.ts'
import { boundsOf, cover, type Kept } from '../../src/time/range.ts'

const { minute, hour, day } = lengthMs
const now = Date.UTC(2026, 5, 15, 12, 34, 56)
const retention = { minute: day, hour: 31 * day, day: 731 * day }
const kept: Kept = { levels: granularities, retention, what: 'hits' }
const rangeError = expect.objectContaining({ code: 'ERR_TALLYMARK_RANGE' })

const lengthOf = (bucket: Bucket) => lengthMs[bucket.level as Granularity]

describe('cover', () => {
	it('takes the coarsest buckets that fit', () => {
		const from = Date.UTC(2026, 5, 14, 22, 58)
		const to = Date.UTC(2026, 5, 15, 2, 2)
		expect(cover(from, to, now, kept)).toEqual([
			{ level: 'minute', start: from },
			{ level: 'minute', start: from + minute },
			{ level: 'hour', start: Date.UTC(2026, 5, 14, 23) },
			{ level: 'hour', start: Date.UTC(2026, 5, 15, 0) },
			{ level: 'hour', start: Date.UTC(2026, 5, 15, 1) },
			{ level: 'minute', start: Date.UTC(2026, 5, 15, 2, 0) },
			{ level: 'minute', start: Date.UTC(2026, 5, 15, 2, 1) },
		])
		expect(cover(Date.UTC(2026, 0, 1), Date.UTC(2026, 1, 1), now, kept)).toHaveLength(31)
		expect(cover(from, from, now, kept)).toEqual([])
	})

	it('makes up the range exactly, of buckets that live, or refuses it: against the minutes one by one', () => {
		const levels = fc.subarray([...granularities], { minLength: 1 })
		const keptMs = fc.record({
			minute: fc.constantFrom(0, hour, day),
			hour: fc.constantFrom(0, day, 31 * day),
			day: fc.constantFrom(0, 10 * day, 731 * day),
		})
		fc.assert(
			fc.property(levels, keptMs, fc.integer({ min: -4000, max: 100 }), fc.nat(3000), (levels, retention, start, length) => {
				const from = startOf('minute', now) + start * minute
				const to = from + length * minute
				const setting: Kept = { levels: levels.filter((level) => retention[level] > 0), retention, what: 'hits' }
				// By dynamic programming over the minutes: can [from, t) be made up of whole living buckets?
				const reachable = new Set([from])
				for (let t = from; t < to; t += minute) {
					if (!reachable.has(t)) continue
					for (const level of setting.levels) {
						const whole = t % lengthMs[level] === 0 && deadlineOf({ level, start: t }, retention) > now
						if (whole && t + lengthMs[level] <= to) reachable.add(t + lengthMs[level])
					}
				}
				if (!reachable.has(to)) {
					expect(() => cover(from, to, now, setting)).toThrow(rangeError)
					return
				}
				let buckets: Bucket[]
				try {
					buckets = cover(from, to, now, setting)
				} catch (error) {
					// Coarser first may not fall short of what finer buckets could make up.
					throw new Error(`refused ${new Date(from).toISOString()} to ${new Date(to).toISOString()}: ${String(error)}`)
				}
				let at = from
				for (const bucket of buckets) {
					expect(bucket.start).toBe(at)
					expect(bucket.start % lengthOf(bucket)).toBe(0)
					expect(deadlineOf(bucket, retention)).toBeGreaterThan(now)
					at += lengthOf(bucket)
				}
				expect(at).toBe(to)
			}),
			{ numRuns: 500 },
		)
	})

	it.each([
		['finer than a minute', now - hour + 1, now],
		['minutes that are past their retention', startOf('day', now) - 3 * day + minute, startOf('day', now) - 3 * day + 2 * minute],
		['days that are past their retention', Date.UTC(2000, 0, 1), Date.UTC(2000, 0, 2)],
	])('refuses %s, and says what is kept', (_, from, to) => {
		expect(() => cover(from, to, now, kept)).toThrow(rangeError)
		expect(() => cover(from, to, now, kept)).toThrow(/minutes for 1 days, hours for 31 days, days for 731 days.*got .*Z to .*Z/)
	})

	it('refuses what needs a granularity that is off', () => {
		const hoursOff: Kept = { ...kept, levels: ['minute', 'day'] }
		expect(cover(startOf('hour', now) - hour, startOf('hour', now), now, hoursOff)).toHaveLength(60)
		expect(() => cover(startOf('hour', now), startOf('hour', now) + hour, now, { ...kept, levels: ['day'] })).toThrow(rangeError)
	})
})

describe('boundsOf', () => {
	it('takes the current bucket, in UTC', () => {
		expect(boundsOf({ period: 'minute' }, now)).toEqual({ from: Date.UTC(2026, 5, 15, 12, 34), to: Date.UTC(2026, 5, 15, 12, 35) })
		expect(boundsOf({ period: 'hour' }, now)).toEqual({ from: Date.UTC(2026, 5, 15, 12), to: Date.UTC(2026, 5, 15, 13) })
		expect(boundsOf({ period: 'day' }, now)).toEqual({ from: Date.UTC(2026, 5, 15), to: Date.UTC(2026, 5, 16) })
	})

	it('takes dates and numbers, and the end of today where there is no end', () => {
		const from = Date.UTC(2026, 5, 1)
		expect(boundsOf({ from: new Date(from), to: from + day }, now)).toEqual({ from, to: from + day })
		expect(boundsOf({ from }, now)).toEqual({ from, to: Date.UTC(2026, 5, 16) })
	})

	it.each([
		[undefined, 'range'],
		['day', 'range'],
		[{ period: 'week' }, 'period'],
		[{ period: 'toString' }, 'period'],
		[{ from: Number.NaN }, 'from'],
		[{ from: new Date('no date') }, 'from'],
		[{ from: '2026-01-01' }, 'from'],
		[{ to: now }, 'from'],
		[{ from: now, to: now - 1 }, 'from'],
		[{ from: 0, to: Number.POSITIVE_INFINITY }, 'to'],
		[{ period: 'day', from: 0 }, 'range'],
		[{ since: 0 }, 'range'],
	])('refuses %j and names %s', (range, name) => {
		expect(() => boundsOf(range as never, now)).toThrow(rangeError)
		expect(() => boundsOf(range as never, now)).toThrow(`\`${name}\``)
	})
})
