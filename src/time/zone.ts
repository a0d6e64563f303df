/** Hours and days as a time zone sees them, as moments in UTC. */
import { expected } from '../errors.ts'
import { type Granularity, lengthMs } from './granularity.ts'

const mostFormats = 1_000
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
	let format = formats.get(timeZone)
	if (format === undefined) {
		try {
			format = new Intl.DateTimeFormat('en-US', {
				timeZone,
				calendar: 'gregory',
				numberingSystem: 'latn',
				hourCycle: 'h23',
				year: 'numeric',
				month: 'numeric',
				day: 'numeric',
				hour: 'numeric',
				minute: 'numeric',
				second: 'numeric',
			})
		} catch {
			throw expected('ERR_TALLYMARK_RANGE', 'timeZone', "an IANA time zone such as 'Europe/Berlin'", timeZone)
		}
		// A name can be written in many ways (Europe/berlin): whoever may choose it must not fill the memory.
		if (formats.size >= mostFormats) formats.clear()
		formats.set(timeZone, format)
	}
	return format
}

/** The wall clock of `timeZone` at `time`, written as if it were UTC (epoch milliseconds). */
function wallClock(time: number, timeZone: string): number {
	const parts = formatOf(timeZone).formatToParts(time)
	const read = (name: Intl.DateTimeFormatPartTypes) => Number(parts.find((part) => part.type === name)?.value)
	return Date.UTC(read('year'), read('month') - 1, read('day'), read('hour'), read('minute'), read('second'))
}

/** Milliseconds by which the zone's wall clock is ahead of UTC. */
function offsetOf(time: number, timeZone: string): number {
	// formatToParts drops milliseconds: take the offset from whole seconds.
	return wallClock(time, timeZone) - Math.floor(time / 1000) * 1000
}

/** The clocks of the zones in use have been turned at whole quarters of an hour since 2011. */
const step = 15 * lengthMs.minute
/** A day and its clock being turned, in steps. */
const longestDay = (26 * lengthMs.hour) / step

/** The first step in (low, high] at which the zone's wall clock reads `wall` or later; `high` when there is none. A wall clock is never turned back past midnight, so this can be searched. */
function firstStep(low: number, high: number, wall: number, timeZone: string): number {
	while (high - low > 1) {
		const middle = Math.floor((low + high) / 2)
		if (wallClock(middle * step, timeZone) >= wall) high = middle
		else low = middle
	}
	return high
}

/**
 * The start of the bucket that `time` falls in, and of the next one, as `timeZone` sees them. A day there can be 23 or 25 hours long.
 * The start is never after `time`, the next one always. Throws `ERR_TALLYMARK_RANGE` for an unknown zone.
 */
export function localBucket(granularity: Granularity, time: number, timeZone: string): { start: number; next: number } {
	if (granularity === 'day') {
		const now = Math.floor(time / step)
		const day = midnightOf(wallClock(time, timeZone))
		return {
			start: firstStep(now - longestDay, now, day, timeZone) * step,
			next: firstStep(now, now + longestDay, day + lengthMs.day, timeZone) * step,
		}
	}
	const length = lengthMs[granularity]
	const offset = offsetOf(time, timeZone)
	let start = Math.floor((time + offset) / length) * length - offset
	let next = start + length
	// Where the clock is turned within an hour (by half an hour: Lord Howe), the hour ends there and another begins.
	while (start + lengthMs.minute <= time && offsetOf(start, timeZone) !== offset) start += lengthMs.minute
	while (next - lengthMs.minute > time && offsetOf(next - 1, timeZone) !== offset) next -= lengthMs.minute
	return { start, next }
}

/** The starts of the buckets before the moment `next`, at which one ends: the last first, without end. */
export function* startsBefore(granularity: Granularity, next: number, timeZone: string): Generator<number, never, void> {
	let start = next
	while (granularity !== 'day') {
		start = localBucket(granularity, start - 1, timeZone).start
		yield start
	}
	let wall = wallClock(start - 1, timeZone)
	for (;;) {
		// Most days are as long as most: where the date turns to this one at midnight there, nothing needs to be searched.
		const day = midnightOf(wall)
		const guess = start - lengthMs.day
		wall = wallClock(guess - 1, timeZone)
		if (wall < day && wallClock(guess, timeZone) === day) start = guess
		else {
			start = localBucket('day', start - 1, timeZone).start
			wall = wallClock(start - 1, timeZone)
		}
		yield start
	}
}

/** The starts of the buckets after the one that begins at the moment `start`: the first first, without end. */
export function* startsAfter(granularity: Granularity, start: number, timeZone: string): Generator<number, never, void> {
	let next = start
	while (granularity !== 'day') {
		next = localBucket(granularity, next, timeZone).next
		yield next
	}
	let day = midnightOf(wallClock(next, timeZone))
	for (;;) {
		const guess = next + lengthMs.day
		day += lengthMs.day
		if (wallClock(guess - 1, timeZone) < day && wallClock(guess, timeZone) === day) next = guess
		else {
			next = localBucket('day', next, timeZone).next
			day = midnightOf(wallClock(next, timeZone))
		}
		yield next
	}
}

function midnightOf(wall: number): number {
	return Math.floor(wall / lengthMs.day) * lengthMs.day
}
