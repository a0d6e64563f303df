import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deadlineOf, type Granularity, lengthMs, startOf } from '../../src/time/granularity.ts'
import { boundsOf, cover, oldestOf } from '../../src/time/range.ts'
import { momentsOf } from '../../src/time/series.ts'
import { localBucket, startsAfter, startsBefore } from '../../src/time/zone.ts'

const { minute, hour, day } = lengthMs
const zones = [
	'Europe/Berlin',
	'America/Sao_Paulo',
	'America/Havana',
	'America/St_Johns',
	'Asia/Kolkata',
	'Asia/Kathmandu',
	'Asia/Gaza',
	'Africa/Casablanca',
	'America/Caracas',
	'Australia/Lord_Howe',
	'Pacific/Apia',
	'Pacific/Chatham',
	'UTC',
]

/** What Intl says of the wall clock: date, hour, and how far it is from UTC. */
function labels(time: number, timeZone: string): { date: string; hour: string } {
	const parts = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium', timeZoneName: undefined }).format(
		time,
	)
	const offset = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' }).format(time).split('GMT')[1]!
	return { date: parts.slice(0, 10), hour: `${parts.slice(0, 13)} ${offset}` }
}

test('the hours of a day on which the clock is turned by half an hour: one of them is half as long, and none overlaps', () => {
	// 5 April 2026, 2:00 daylight time is 1:30 standard time: 15:00 UTC.
	const turned = Date.UTC(2026, 3, 4, 15)
	const zone = 'Australia/Lord_Howe'
	expect(localBucket('hour', turned - 1, zone)).toEqual({ start: turned - hour, next: turned })
	expect(localBucket('hour', turned, zone)).toEqual({ start: turned, next: turned + 30 * minute })
	expect(localBucket('hour', turned + 30 * minute, zone)).toEqual({ start: turned + 30 * minute, next: turned + 90 * minute })
	// 4 October 2026, 2:00 standard time is 2:30 daylight time: 15:30 UTC.
	const forward = Date.UTC(2026, 9, 3, 15, 30)
	expect(localBucket('hour', forward - 1, zone)).toEqual({ start: forward - hour, next: forward })
	expect(localBucket('hour', forward + 1, zone)).toEqual({ start: forward, next: forward + 30 * minute })
})

test('a bucket is the stretch in which Intl says the same, whatever the zone and the moment since 2012', () => {
	const time = fc.integer({ min: Date.UTC(2012, 0, 2) / minute, max: Date.UTC(2037, 0, 1) / minute })
	fc.assert(
		fc.property(fc.constantFrom(...zones), fc.constantFrom('hour' as const, 'day' as const), time, (timeZone, granularity, minutes) => {
			const label = (at: number) => labels(at, timeZone)[granularity === 'day' ? 'date' : 'hour']
			const moment = minutes * minute
			const { start, next } = localBucket(granularity, moment, timeZone)
			expect(start).toBeLessThanOrEqual(moment)
			expect(next).toBeGreaterThan(moment)
			for (const within of [start, next - 1]) expect(label(within)).toBe(label(moment))
			for (const outside of [start - 1, next]) expect(label(outside)).not.toBe(label(moment))
		}),
		{ numRuns: 1_000 },
	)
})

test('a chart counted from its end and one counted from its start have the same points', () => {
	const turns = [Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 3, 4, 16), Date.UTC(2026, 9, 3, 16), Date.UTC(2018, 10, 4)]
	for (const timeZone of zones) {
		for (const granularity of ['hour', 'day'] satisfies Granularity[]) {
			for (const now of turns) {
				const backwards = momentsOf({ granularity, timeZone, last: 48 }, now)
				expect(momentsOf({ granularity, timeZone, from: backwards[0]!, to: backwards.at(-1)! }, now)).toEqual(backwards)
			}
		}
	}
})

test('days one after the other are those that are searched one by one, there and back', () => {
	// With the day that Samoa skipped, and the summer time that Egypt took up again.
	const years = [Date.UTC(2011, 11, 20), Date.UTC(2023, 2, 1)]
	const odd = ['America/New_York', 'America/Santiago', 'Africa/Cairo', 'Asia/Beirut', 'Asia/Tehran']
	for (const timeZone of [...odd, 'Europe/Berlin', 'America/Havana', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Pacific/Apia']) {
		for (const since of years) {
			const searched = [localBucket('day', since, timeZone).start]
			while (searched.at(-1)! < since + 400 * day) searched.push(localBucket('day', searched.at(-1)!, timeZone).next)
			const [after, before] = [startsAfter('day', searched[0]!, timeZone), startsBefore('day', searched.at(-1)!, timeZone)]
			expect([searched[0], ...searched.slice(1).map(() => after.next().value)], timeZone).toEqual(searched)
			expect([searched.at(-1), ...searched.slice(1).map(() => before.next().value)].reverse(), timeZone).toEqual(searched)
		}
	}
})

test('no more of a chart is worked out than begins where something is kept, and the first moment that does not', () => {
	const now = Date.UTC(2026, 5, 15, 12)
	const oldest = now - 3 * day
	for (const timeZone of ['UTC', 'Europe/Berlin']) {
		for (const granularity of ['hour', 'day'] as const) {
			const all = momentsOf({ granularity, timeZone, last: 200 }, now)
			const some = momentsOf({ granularity, timeZone, last: 200 }, now, () => oldest)
			expect(some).toEqual(all.filter((_, at) => all[at + 1] === undefined || all[at + 1]! >= oldest))
			expect(momentsOf({ granularity, timeZone, from: all[0] }, now, () => oldest)).toEqual(all.slice(0, 2))
			expect(momentsOf({ granularity, timeZone, from: oldest }, now, () => oldest - day)).toEqual(
				momentsOf({ granularity, timeZone, from: oldest }, now),
			)
		}
	}
})

test('the oldest moment that is kept is the start of the oldest bucket that lives', () => {
	const levels = ['minute', 'hour', 'day'] as const
	fc.assert(
		fc.property(
			fc.integer({ min: 0, max: 10 * day }),
			fc.subarray([...levels]),
			fc.integer({ min: 1, max: day }),
			(past, some, retention) => {
				const now = Date.UTC(2026, 5, 15) + past
				const kept = { levels: some, retention: { minute: retention, hour: 2 * retention, day: 3 * retention }, what: 'hits' }
				const living = some.map((level) => {
					let start = startOf(level, now)
					while (deadlineOf({ level, start: start - lengthMs[level] }, kept.retention) > now) start -= lengthMs[level]
					return start
				})
				expect(oldestOf(kept, now)).toBe(Math.min(...living))
			},
		),
	)
})

test('every chart ends, of old times too, when clocks were turned at odd moments', () => {
	// Newfoundland turned its clocks at a minute past midnight until 2011, Liberia by 44 minutes and a half in 1972.
	for (const [timeZone, from] of [
		['America/St_Johns', Date.UTC(2009, 10, 1)],
		['America/St_Johns', Date.UTC(2010, 2, 13)],
		['Africa/Monrovia', Date.UTC(1972, 0, 6)],
	] as const) {
		for (const granularity of ['minute', 'hour', 'day'] as const) {
			for (let at = from; at < from + 3 * day; at += granularity === 'minute' ? 37 * minute : 10 * minute) {
				const { start, next } = localBucket(granularity, at, timeZone)
				expect(start).toBeLessThanOrEqual(at)
				expect(next).toBeGreaterThan(at)
			}
		}
	}
})

test('a slip of a unit is an error, not all of the memory', () => {
	const now = Date.UTC(2026, 0, 1)
	const kept = { levels: ['minute', 'hour', 'day'] as const, retention: { minute: day, hour: day, day }, what: 'hits' }
	const rangeError = expect.objectContaining({ code: 'ERR_TALLYMARK_RANGE' })
	expect(() => cover(now, 8.6e15 - (8.6e15 % day), now, kept)).toThrow(rangeError)
	expect(() => boundsOf({ from: now, to: 8.64e15 }, now)).toThrow(rangeError)
	expect(() => momentsOf({ granularity: 'day', from: now, to: 8.6e15 }, now)).toThrow(/at most 10000 points/)
	expect(momentsOf({ granularity: 'day', last: 2, to: 8.6e15, timeZone: 'Europe/Berlin' }, now)).toHaveLength(3)
})
