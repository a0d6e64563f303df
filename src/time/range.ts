/** Which buckets make up a stretch of time, given what is still kept. */
import type { Time } from '../clock.ts'
import { BadInputError, expected } from '../errors.ts'
import { type Bucket, deadlineOf, type Granularity, granularities, isGranularity, lengthMs, startOf } from './granularity.ts'

/**
 * A stretch of time. `{ period }` is the current bucket, in UTC. `{ from, to }` is half-open, [from, to), on minute bounds; without `to` it
 * reaches to the end of the current day.
 */
export type Range =
	| { readonly from: Time; readonly to?: Time | undefined; readonly period?: never }
	| { readonly period: Granularity; readonly from?: never; readonly to?: never }

/** What is kept: the granularities that can be read, and for how long after its end each bucket lives. */
export interface Kept {
	readonly levels: readonly Granularity[]
	readonly retention: Readonly<Record<Granularity, number>>
	/** What is kept, for messages: 'hits' or 'uniques'. */
	readonly what: string
	/** What may help where something is not kept, for messages. */
	readonly hint?: string | undefined
}

/** The last moment of a `Date`, but for some days: the buckets and zones around a moment are Dates too. */
const latest = 8.64e15 - 7 * lengthMs.day

/** `time` as epoch milliseconds; throws `ERR_TALLYMARK_RANGE` for what is no moment. */
export function momentOf(name: string, time: unknown): number {
	const value = time instanceof Date ? time.getTime() : time
	if (typeof value !== 'number' || !Number.isFinite(value) || Math.abs(value) > latest) {
		throw expected('ERR_TALLYMARK_RANGE', name, 'a valid Date or epoch milliseconds', time instanceof Date ? 'Invalid Date' : time)
	}
	return value
}

/** `value` as a granularity; throws `ERR_TALLYMARK_RANGE` for anything else. */
export function granularityOf(name: string, value: unknown): Granularity {
	if (!isGranularity(value)) throw expected('ERR_TALLYMARK_RANGE', name, "'minute', 'hour' or 'day'", value)
	return value
}

/** The bounds of a range, epoch milliseconds. */
export function boundsOf(range: Range, now: number): { from: number; to: number } {
	if (typeof range !== 'object' || range === null) throw expected('ERR_TALLYMARK_RANGE', 'range', '{ from, to? } or { period }', range)
	for (const name of Object.keys(range)) {
		if (name !== 'from' && name !== 'to' && name !== 'period') {
			throw new BadInputError('ERR_TALLYMARK_RANGE', `Expected \`range\` to have \`from\` and \`to\`, or \`period\`, got \`${name}\` in it`)
		}
	}
	if ('period' in range && range.period !== undefined) {
		if ('from' in range || 'to' in range) {
			throw new BadInputError('ERR_TALLYMARK_RANGE', 'Expected `range` to have either `period` or `from` and `to`, got both')
		}
		const granularity = granularityOf('period', range.period)
		const from = startOf(granularity, now)
		return { from, to: from + lengthMs[granularity] }
	}
	const { from: start, to: end } = range
	const from = momentOf('from', start)
	const to = end === undefined ? Math.max(from, startOf('day', now) + lengthMs.day) : momentOf('to', end)
	if (from > to)
		throw expected('ERR_TALLYMARK_RANGE', 'from', `at or before \`to\` (${new Date(to).toISOString()})`, new Date(from).toISOString())
	return { from, to }
}

/** The first moment of which a bucket is kept; infinite where none is. */
export function oldestOf({ levels, retention }: Kept, now: number): number {
	return Math.min(...levels.map((level) => startOf(level, now - retention[level])))
}

const plural: Record<Granularity, string> = { minute: 'minutes', hour: 'hours', day: 'days' }

/** What is kept, in words: "minutes for 1 day, days for 731 days". */
function inWords({ levels, retention }: Kept): string {
	const parts = granularities
		.filter((each) => levels.includes(each))
		.map((each) => {
			const days = retention[each] / lengthMs.day
			return `${plural[each]} for ${days >= 1 ? `${+days.toFixed(2)} days` : `${+(retention[each] / lengthMs.hour).toFixed(2)} hours`}`
		})
	return parts.length > 0 ? parts.join(', ') : 'no buckets at all'
}

/** More buckets than any retention needs; a slip of a unit should be an error, not all of the memory. */
const maxBuckets = 1_000_000

/**
 * The fewest buckets that make up [from, to) exactly: the coarsest that fits at each step.
 * Throws `ERR_TALLYMARK_RANGE` where a part of it is finer than what is kept, or older: a wrong number is never answered.
 */
export function cover(from: number, to: number, now: number, kept: Kept): Bucket[] {
	const coarsestFirst = [...granularities].reverse().filter((each) => kept.levels.includes(each))
	const buckets: Bucket[] = []
	let at = from
	while (at < to) {
		const level = coarsestFirst.find(
			(each) => at % lengthMs[each] === 0 && at + lengthMs[each] <= to && deadlineOf({ level: each, start: at }, kept.retention) > now,
		)
		if (level === undefined) {
			throw new BadInputError(
				'ERR_TALLYMARK_RANGE',
				`Expected the range to be made of buckets that are kept for ${kept.what} (${inWords(kept)}; bounds in UTC), ` +
					`got ${new Date(from).toISOString()} to ${new Date(to).toISOString()}: no bucket starts at ${new Date(at).toISOString()} and ends within it` +
					(kept.hint === undefined ? '' : `. ${kept.hint}`),
			)
		}
		if (buckets.length === maxBuckets) {
			throw new BadInputError(
				'ERR_TALLYMARK_RANGE',
				`Expected a range of at most ${maxBuckets} buckets, got ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`,
			)
		}
		buckets.push({ level, start: at })
		at += lengthMs[level]
	}
	return buckets
}
