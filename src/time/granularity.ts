/** Minutes, hours and days in UTC: their lengths and their bounds. */

/** The sizes of bucket. */
export type Granularity = 'minute' | 'hour' | 'day'

/** Milliseconds in a bucket. UTC has no daylight saving, so every day is as long as the next. */
export const lengthMs: Readonly<Record<Granularity, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }

/** From the finest to the coarsest. */
export const granularities: readonly Granularity[] = ['minute', 'hour', 'day']

/** The start of the bucket that `time` (epoch milliseconds) falls in. */
export function startOf(granularity: Granularity, time: number): number {
	const length = lengthMs[granularity]
	return Math.floor(time / length) * length
}

/** Whether `value` names a granularity. */
export function isGranularity(value: unknown): value is Granularity {
	return value === 'minute' || value === 'hour' || value === 'day'
}

/** What a number is counted over: all time, or buckets of one granularity. */
export type Level = 'total' | Granularity

/** One bucket; all time is the bucket `{ level: 'total', start: 0 }`. */
export interface Bucket {
	readonly level: Level
	/** Epoch milliseconds, on a bound of the level; 0 for all time. */
	readonly start: number
}

/** All time. */
export const total: Bucket = { level: 'total', start: 0 }

/** The moment (epoch milliseconds) from which a bucket may be forgotten: its end and its retention later. Never, for all time. */
export function deadlineOf(bucket: Bucket, retention: Readonly<Record<Granularity, number>>): number {
	return bucket.level === 'total' ? Number.POSITIVE_INFINITY : bucket.start + lengthMs[bucket.level] + retention[bucket.level]
}

/** Whether the minute that starts at `minute` (epoch milliseconds) lies in the bucket. */
export function holds(bucket: Bucket, minute: number): boolean {
	return bucket.level === 'total' || (minute >= bucket.start && minute < bucket.start + lengthMs[bucket.level])
}
