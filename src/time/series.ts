/** The points of a chart: from which moment to which, oldest first. */
import type { Time } from '../clock.ts'
import { BadInputError, expected } from '../errors.ts'
import { type Granularity, lengthMs, startOf } from './granularity.ts'
import { granularityOf, momentOf } from './range.ts'
import { localBucket, startsAfter, startsBefore } from './zone.ts'

export interface SeriesOptions {
	readonly granularity: Granularity
	/** How many buckets, the current one the last. Default 60 minutes, 24 hours or 30 days. Not together with `from`. */
	readonly last?: number | undefined
	/** The first bucket is the one that holds this moment. */
	readonly from?: Time | undefined
	/** The last bucket is the one that holds the moment just before. Default: now. */
	readonly to?: Time | undefined
	/** @default 'hits' */
	readonly metric?: 'hits' | 'uniques' | undefined
	/**
	 * An IANA zone in which days (and hours) begin. Buckets are in UTC: its days are made of hours, and where it is off by half an hour of minutes too, which
	 * must be kept for as long. @default 'UTC'
	 */
	readonly timeZone?: string | undefined
}

/** One bucket of a chart. */
export interface SeriesPoint {
	readonly start: Date
	readonly value: number
}

const names = new Set(['granularity', 'last', 'from', 'to', 'metric', 'timeZone'])
const defaultLast: Record<Granularity, number> = { minute: 60, hour: 24, day: 30 }

/** More points than any chart shows; a slip of a unit should be an error, not an hour of work. */
export const maxPoints = 10_000

/**
 * The moments at which the points of a series begin, and the moment at which the last one ends: one more moment than points. `oldestOf`: the first moment
 * of which anything is kept. What begins before it is refused later, so that only as much of it is answered as that takes. Throws `ERR_TALLYMARK_RANGE`.
 */
export function momentsOf(
	options: SeriesOptions,
	now: number,
	oldestOf: (metric: 'hits' | 'uniques') => number = () => Number.NEGATIVE_INFINITY,
): number[] {
	if (typeof options !== 'object' || options === null)
		throw expected('ERR_TALLYMARK_RANGE', 'options', 'an object with `granularity`', options)
	for (const name of Object.keys(options)) {
		if (!names.has(name))
			throw new BadInputError(
				'ERR_TALLYMARK_RANGE',
				`Expected \`options\` of series to have ${[...names].join(', ')}, got \`${name}\` in it`,
			)
	}
	const { last, metric = 'hits', timeZone = 'UTC' } = options
	const granularity = granularityOf('granularity', options.granularity)
	if (metric !== 'hits' && metric !== 'uniques') throw expected('ERR_TALLYMARK_RANGE', 'metric', "'hits' or 'uniques'", metric)
	if (typeof timeZone !== 'string') throw expected('ERR_TALLYMARK_RANGE', 'timeZone', "an IANA time zone such as 'Europe/Berlin'", timeZone)
	if (last !== undefined && (!Number.isInteger(last) || last < 1 || last > maxPoints)) {
		throw expected('ERR_TALLYMARK_RANGE', 'last', `a whole number from 1 to ${maxPoints}`, last)
	}
	if (last !== undefined && options.from !== undefined)
		throw new BadInputError('ERR_TALLYMARK_RANGE', 'Expected `last` or `from`, got both')

	const length = lengthMs[granularity]
	const bucketOf =
		timeZone === 'UTC'
			? (time: number) => {
					const start = startOf(granularity, time)
					return { start, next: start + length }
				}
			: (time: number) => localBucket(granularity, time, timeZone)

	const end = options.to === undefined ? bucketOf(now).next : bucketOf(momentOf('to', options.to) - 1).next
	const oldest = oldestOf(metric)
	if (options.from === undefined) {
		const moments = [end]
		const most = 1 + (last ?? defaultLast[granularity])
		for (const start of timeZone === 'UTC' ? every(end, -length) : startsBefore(granularity, end, timeZone)) {
			moments.push(start)
			if (moments.length === most || start < oldest) break
		}
		return moments.reverse()
	}
	const from = momentOf('from', options.from)
	if (from >= end)
		throw expected(
			'ERR_TALLYMARK_RANGE',
			'from',
			`before the end of the series (${new Date(end).toISOString()})`,
			new Date(from).toISOString(),
		)
	if ((end - from) / length > maxPoints + 1) {
		throw new BadInputError(
			'ERR_TALLYMARK_RANGE',
			`Expected a series of at most ${maxPoints} points, got ${Math.ceil((end - from) / length)}: take a coarser granularity or a shorter range`,
		)
	}
	const first = bucketOf(from)
	if (first.start < oldest) return [first.start, first.next]
	const moments = [first.start]
	for (const next of timeZone === 'UTC' ? every(first.start, length) : startsAfter(granularity, first.start, timeZone)) {
		moments.push(next)
		if (next >= end) break
	}
	return moments
}

function* every(from: number, step: number): Generator<number, never, void> {
	for (let moment = from + step; ; moment += step) yield moment
}
