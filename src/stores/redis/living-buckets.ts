import { type Bucket, deadlineOf, type Granularity, granularities, lengthMs, startOf } from '../../time/granularity.ts'

/** A hit can be of tomorrow at most; an hour more for clocks that differ. */
const AHEAD_MS = lengthMs.day + lengthMs.hour

/** All buckets that may hold something at the moment `now`, but all time: by level, from the finest, the newest first. */
export function livingBuckets(now: number, retention: Readonly<Record<Granularity, number>>): Bucket[] {
	const buckets: Bucket[] = []
	for (const level of granularities) {
		if (retention[level] === 0) continue
		for (
			let start = startOf(level, now + AHEAD_MS);
			now < deadlineOf({ level, start }, retention) + lengthMs.hour;
			start -= lengthMs[level]
		) {
			buckets.push({ level, start })
		}
	}
	return buckets
}
