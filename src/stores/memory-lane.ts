/** The numbers of one lane: all time, the buckets, the trend, and the keys in order. */
import { type Bucket, deadlineOf, type Granularity, granularities, type Level, startOf, total } from '../time/granularity.ts'
import type { VisitorDelta, VisitorTracker } from '../visitors/tracker.ts'
import { compareCodePoints, lowerBound } from './code-points.ts'
import { MemoryBucket } from './memory-bucket.ts'
import { MemoryTrend } from './memory-trend.ts'
import type { DeltaGroup, ListQuery, ListReading } from './store.ts'

/** What all lanes of a namespace are kept by. */
export interface LaneSettings {
	readonly partitions: number
	readonly tracker: VisitorTracker | undefined
	readonly uniquesPer: readonly Level[]
	readonly retention: Readonly<Record<Granularity, number>>
	readonly trendHalfLifeMs: number
}

export class MemoryLane {
	readonly trend: MemoryTrend
	readonly #settings: LaneSettings
	readonly #total: MemoryBucket
	/** By start. */
	readonly #buckets: Readonly<Record<Granularity, Map<number, MemoryBucket>>> = { minute: new Map(), hour: new Map(), day: new Map() }
	/** All keys but {@link #newKeys}, in code point order; undefined until somebody lists them, and after a key was deleted. */
	#sortedKeys: string[] | undefined
	/** Keys that came since the last sort. */
	#newKeys: string[] = []

	constructor(settings: LaneSettings) {
		this.#settings = settings
		this.#total = this.#newBucket('total')
		this.trend = new MemoryTrend(settings.trendHalfLifeMs)
	}

	add(partition: number, group: DeltaGroup, now: number): void {
		const buckets: MemoryBucket[] = []
		for (const granularity of granularities) {
			const bucket = this.#bucketToWrite(granularity, group.minute, now)
			if (bucket !== undefined) buckets.push(bucket)
		}
		// A hit of the future would push all others out of the trend: it counts as one of now.
		const trendMinute = Math.min(group.minute, startOf('minute', now))
		for (const { key, hits, visitors } of group.deltas) {
			this.#add(partition, key, hits, visitors)
			for (const bucket of buckets) bucket.add(partition, key, hits, visitors)
			this.trend.add(key, hits, trendMinute, now)
		}
	}

	set(partition: number, key: string, hits: number): void {
		if (this.#total.set(partition, key, hits)) this.#listKey(key)
	}

	/** Forgets a key; answers whether there was one. */
	delete(partition: number, key: string): boolean {
		// Every hit counts in the total, so that what is not there is nowhere.
		if (!this.#total.delete(partition, key)) return false
		for (const granularity of granularities) for (const bucket of this.#buckets[granularity].values()) bucket.delete(partition, key)
		this.trend.delete(key)
		this.#sortedKeys = undefined
		this.#newKeys = []
		return true
	}

	/** The bucket, if it has anything and lives. */
	bucket(bucket: Bucket, now: number): MemoryBucket | undefined {
		if (bucket.level === 'total') return this.#total
		return now < deadlineOf(bucket, this.#settings.retention) ? this.#buckets[bucket.level].get(bucket.start) : undefined
	}

	/** All buckets that have anything and live, all time the first. */
	*everyBucket(now: number): Generator<[Bucket, MemoryBucket]> {
		yield [total, this.#total]
		for (const level of granularities) {
			for (const start of this.#buckets[level].keys()) {
				const bucket: Bucket = { level, start }
				const kept = this.bucket(bucket, now)
				if (kept !== undefined) yield [bucket, kept]
			}
		}
	}

	/** The bucket, to put back what was counted in it; undefined when it is not kept, or its deadline is past. */
	bucketToRestore({ level, start }: Bucket, now: number): MemoryBucket | undefined {
		return level === 'total' ? this.#total : this.#bucketToWrite(level, start, now)
	}

	/** Those of `buckets` that have anything and live. */
	living(buckets: readonly Bucket[], now: number): MemoryBucket[] {
		return buckets.flatMap((bucket) => this.bucket(bucket, now) ?? [])
	}

	/** Drops the buckets whose deadline is past. */
	expire(now: number): void {
		for (const level of granularities) {
			const buckets = this.#buckets[level]
			for (const [start, bucket] of buckets) {
				if (now < deadlineOf({ level, start }, this.#settings.retention)) continue
				buckets.delete(start)
				bucket.release()
			}
		}
	}

	keys(): IterableIterator<string> {
		return this.#total.hits.keys()
	}

	list({ prefix, limit, after }: ListQuery): ListReading {
		const sorted = this.#keysInOrder()
		// Keys with a common prefix are neighbours.
		let at = lowerBound(sorted, prefix)
		if (after !== undefined && compareCodePoints(after, prefix) >= 0) {
			at = lowerBound(sorted, after)
			if (sorted[at] === after) at++
		}
		const keys: string[] = []
		while (keys.length < limit && sorted[at]?.startsWith(prefix)) keys.push(sorted[at++]!)
		return { keys, more: sorted[at]?.startsWith(prefix) ?? false }
	}

	#add(partition: number, key: string, hits: number, visitors: VisitorDelta | undefined): void {
		if (this.#total.add(partition, key, hits, visitors)) this.#listKey(key)
	}

	#listKey(key: string): void {
		if (this.#sortedKeys !== undefined) this.#newKeys.push(key)
	}

	#keysInOrder(): readonly string[] {
		if (this.#sortedKeys === undefined) {
			this.#sortedKeys = [...this.#total.hits.keys()].sort(compareCodePoints)
		} else if (this.#newKeys.length > 0) {
			// The sort finds that the front is in order already: linear but for the new keys.
			for (const key of this.#newKeys) this.#sortedKeys.push(key)
			this.#sortedKeys.sort(compareCodePoints)
			this.#newKeys = []
		}
		return this.#sortedKeys
	}

	/** The bucket that a hit of this minute falls in; undefined when the granularity is off or the bucket's deadline is past. */
	#bucketToWrite(level: Granularity, minute: number, now: number): MemoryBucket | undefined {
		const { retention } = this.#settings
		const start = startOf(level, minute)
		if (retention[level] === 0 || now >= deadlineOf({ level, start }, retention)) return undefined
		let bucket = this.#buckets[level].get(start)
		if (bucket === undefined) {
			bucket = this.#newBucket(level)
			this.#buckets[level].set(start, bucket)
		}
		return bucket
	}

	#newBucket(level: Level): MemoryBucket {
		const { partitions, tracker, uniquesPer } = this.#settings
		return new MemoryBucket(partitions, uniquesPer.includes(level) ? tracker : undefined)
	}
}
