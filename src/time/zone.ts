/** Hours and days as a time zone sees them, as moments in UTC. */
import { expected } from '../errors.ts'
import { type Granularity, lengthMs } from './granularity.ts'

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

/** Offsets of the zones in use since 1972 are whole quarters of an hour. */
const step = 15 * lengthMs.minute

/** The first moment, on the quarter hour, at which the zone's wall clock reads `wall` or later. A wall clock never goes back past midnight, so this can be searched. */
function firstMomentOf(wall: number, timeZone: string): number {
	// No zone is further than 26 hours from UTC, even across the date line.
	let low = Math.floor((wall - 26 * lengthMs.hour) / step)
	let high = Math.ceil((wall + 26 * lengthMs.hour) / step)
	while (low < high) {
		const middle = Math.floor((low + high) / 2)
		if (wallClock(middle * step, timeZone) >= wall) high = middle
		else low = middle + 1
	}
	return low * step
}

/**
 * The start of the bucket that `time` falls in, and of the next one, as `timeZone` sees them. A day there can be 23 or 25 hours long.
 * Throws `ERR_TALLYMARK_RANGE` for an unknown zone.
 */
export function localBucket(granularity: Granularity, time: number, timeZone: string): { start: number; next: number } {
	const wall = wallClock(time, timeZone)
	if (granularity !== 'day') {
		const length = lengthMs[granularity]
		// formatToParts drops milliseconds: take the offset from whole seconds.
		const offset = wall - Math.floor(time / 1000) * 1000
		const start = Math.floor((time + offset) / length) * length - offset
		return { start, next: start + length }
	}
	const day = Math.floor(wall / lengthMs.day) * lengthMs.day
	return { start: firstMomentOf(day, timeZone), next: firstMomentOf(day + lengthMs.day, timeZone) }
}
