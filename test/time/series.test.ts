import { describe, expect, it } from 'vitest'
import { lengthMs, startOf } from '../../src/time/granularity.ts'
import { maxPoints, momentsOf, type SeriesOptions } from '../../src/time/series.ts'
import { localBucket } from '../../src/time/zone.ts'

const { minute, hour, day } = lengthMs
const now = Date.UTC(2026, 5, 15, 12, 34, 56)
const rangeError = expect.objectContaining({ code: 'ERR_TALLYMARK_RANGE' })

/** The wall clock of a zone, as Intl writes it. */
const wall = (time: number, timeZone: string) =>
	new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(time)

describe('momentsOf', () => {
	it('ends with the current bucket, 60 minutes, 24 hours or 30 days long', () => {
		for (const [granularity, points] of [
			['minute', 60],
			['hour', 24],
			['day', 30],
		] as const) {
			const moments = momentsOf({ granularity }, now)
			expect(moments).toHaveLength(points + 1)
			expect(moments.at(-2)).toBe(startOf(granularity, now))
			for (let at = 1; at < moments.length; at++) expect(moments[at]! - moments[at - 1]!).toBe(lengthMs[granularity])
		}
		expect(momentsOf({ granularity: 'minute', last: 1 }, now)).toEqual([startOf('minute', now), startOf('minute', now) + minute])
	})

	it('goes from the bucket that holds `from` to the one that holds the moment before `to`', () => {
		const at = (from: number, to: number) => momentsOf({ granularity: 'hour', from, to }, now)
		expect(at(Date.UTC(2026, 5, 15, 3, 30), Date.UTC(2026, 5, 15, 5))).toEqual([3, 4, 5].map((h) => Date.UTC(2026, 5, 15, h)))
		expect(at(Date.UTC(2026, 5, 15, 3), Date.UTC(2026, 5, 15, 5, 0, 0, 1))).toEqual([3, 4, 5, 6].map((h) => Date.UTC(2026, 5, 15, h)))
		expect(momentsOf({ granularity: 'day', from: now - day }, now)).toHaveLength(3)
	})

	it.each<[SeriesOptions | unknown, string]>([
		[undefined, 'options'],
		[{}, 'granularity'],
		[{ granularity: 'week' }, 'granularity'],
		[{ granularity: 'hour', last: 0 }, 'last'],
		[{ granularity: 'hour', last: 1.5 }, 'last'],
		[{ granularity: 'hour', last: maxPoints + 1 }, 'last'],
		[{ granularity: 'hour', last: 3, from: 0 }, 'last'],
		[{ granularity: 'hour', from: now + 2 * hour }, 'from'],
		[{ granularity: 'hour', from: Number.NaN }, 'from'],
		[{ granularity: 'hour', to: 'yesterday' }, 'to'],
		[{ granularity: 'hour', metric: 'visitors' }, 'metric'],
		[{ granularity: 'hour', timeZone: 'Mars/Olympus' }, 'timeZone'],
		[{ granularity: 'hour', timeZone: 1 }, 'timeZone'],
		[{ granularity: 'hour', zone: 'UTC' }, 'zone'],
	])('refuses %j and names %s', (options, name) => {
		expect(() => momentsOf(options as SeriesOptions, now)).toThrow(rangeError)
		expect(() => momentsOf(options as SeriesOptions, now)).toThrow(`\`${name}\``)
	})

	it('refuses more points than a chart shows', () => {
		expect(() => momentsOf({ granularity: 'minute', from: 0 }, now)).toThrow(/at most 10000 points/)
	})
})

describe('days and hours of a time zone', () => {
	it.each([
		// The clocks go forward, and back.
		['Europe/Berlin', Date.UTC(2026, 2, 29, 12), 23],
		['Europe/Berlin', Date.UTC(2026, 9, 25, 12), 25],
		['America/New_York', Date.UTC(2026, 2, 8, 18), 23],
		// By half an hour.
		['Australia/Lord_Howe', Date.UTC(2026, 3, 4, 18), 24.5],
		// At midnight: the day begins at 1, and the one before the clocks go back has 25 hours.
		['America/Sao_Paulo', Date.UTC(2017, 9, 15, 18), 23],
		['America/Sao_Paulo', Date.UTC(2018, 1, 17, 18), 25],
		// No daylight saving, and an offset of halves and quarters.
		['Asia/Kolkata', Date.UTC(2026, 5, 15, 12), 24],
		['Asia/Kathmandu', Date.UTC(2026, 5, 15, 12), 24],
		['UTC', Date.UTC(2026, 5, 15, 12), 24],
	])('%s: the day around %d has %d hours and begins and ends with its date', (timeZone, time, hours) => {
		const { start, next } = localBucket('day', time, timeZone)
		expect((next - start) / hour).toBe(hours)
		expect(start).toBeLessThanOrEqual(time)
		expect(next).toBeGreaterThan(time)
		const date = wall(time, timeZone).slice(0, 10)
		expect(wall(start, timeZone).slice(0, 10)).toBe(date)
		expect(wall(next - 1, timeZone).slice(0, 10)).toBe(date)
		expect(wall(start - 1, timeZone).slice(0, 10)).not.toBe(date)
		expect(wall(next, timeZone).slice(0, 10)).not.toBe(date)
	})

	it('Samoa: the day that was skipped is not there, and no hour is counted twice', () => {
		// 29 December 2011 was followed by the 31st.
		const moments = momentsOf(
			{ granularity: 'day', timeZone: 'Pacific/Apia', from: Date.UTC(2011, 11, 28, 22), to: Date.UTC(2012, 0, 1, 22) },
			now,
		)
		const dates = moments.slice(0, -1).map((start) => wall(start, 'Pacific/Apia').slice(0, 10))
		expect(dates).toEqual(['2011-12-28', '2011-12-29', '2011-12-31', '2012-01-01', '2012-01-02'])
		for (let at = 1; at < moments.length; at++) expect(moments[at]! - moments[at - 1]!).toBe(day)
	})

	it('each day of five years follows the one before, in zones all over the world', () => {
		for (const timeZone of [
			'Europe/Berlin',
			'America/Sao_Paulo',
			'Asia/Tehran',
			'Africa/Cairo',
			'America/St_Johns',
			'Pacific/Chatham',
			'Asia/Beirut',
		]) {
			let at = Date.UTC(2016, 0, 1)
			let days = 0
			while (at < Date.UTC(2021, 0, 1)) {
				const { start, next } = localBucket('day', at, timeZone)
				if (days > 0) expect(start).toBe(at)
				expect((next - start) / hour).toBeGreaterThanOrEqual(23)
				expect((next - start) / hour).toBeLessThanOrEqual(25)
				at = next
				days += 1
			}
			expect(days).toBeGreaterThanOrEqual(1827)
			expect(days).toBeLessThanOrEqual(1828)
		}
	})

	it('hours begin on the whole hour of the zone', () => {
		const { start, next } = localBucket('hour', now, 'Asia/Kolkata')
		expect(wall(start, 'Asia/Kolkata').slice(14)).toBe('00:00')
		expect(next - start).toBe(hour)
		expect(localBucket('minute', now + 123, 'Asia/Kathmandu').start).toBe(startOf('minute', now))
	})
})
