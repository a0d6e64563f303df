/** What is read of the store, as the cache keeps it: numbers and visitors, to which this process's own hits can be added. */
import type { HitsReading, Lane, VisitorsReading } from '../stores/store.ts'
import { type Bucket, holds } from '../time/granularity.ts'
import type { VisitorSketch } from '../visitors/tracker.ts'
import type { Entry } from './pending.ts'
import type { Reading } from './read-cache.ts'
import type { FrozenBatch, WriteBatcher } from './write-batcher.ts'

/** An object with some fields, about. */
const objectBytes = 64
/** The bucket of a column. */
const columnBytes = objectBytes
/** An item of a list with its key. */
const itemBytes = 2 * objectBytes
/** Of a sketch that does not say. */
const sketchBytes = 1_024

/** For each minute, the columns it falls in; hits come in a few minutes only. */
class Columns {
	readonly #width: number
	readonly #holds: (column: number, minute: number) => boolean
	readonly #byMinute = new Map<number, readonly number[]>()

	constructor(width: number, holds: (column: number, minute: number) => boolean) {
		this.#width = width
		this.#holds = holds
	}

	of(minute: number): readonly number[] {
		let found = this.#byMinute.get(minute)
		if (found === undefined) {
			const columns: number[] = []
			for (let column = 0; column < this.#width; column++) if (this.#holds(column, minute)) columns.push(column)
			found = columns
			this.#byMinute.set(minute, found)
		}
		return found
	}
}

/** Calls `visit` for the entries of `key` (or of all keys) of a lane in a batch. */
function entriesIn(batch: FrozenBatch, lane: Lane, key: string | undefined, visit: (minute: number, entry: Entry) => void): void {
	if (batch.kind !== 'hits') return
	for (const group of batch.groups) {
		if (group.lane !== lane) continue
		if (key === undefined) for (const entry of group.deltas) visit(group.minute, entry)
		else {
			const entry = group.find(key)
			if (entry !== undefined) visit(group.minute, entry)
		}
	}
}

/** The hits of one key, or of all keys together, in some buckets. */
export class HitNumbers implements Reading {
	readonly servedBy: string
	readonly #lane: Lane
	/** undefined: all keys together, a row per partition. */
	readonly #key: string | undefined
	readonly #columns: Columns
	readonly #width: number
	readonly #values: Float64Array
	readonly #applied: Float64Array

	constructor(lane: Lane, key: string | undefined, buckets: readonly Bucket[], reading: HitsReading) {
		this.servedBy = reading.servedBy
		this.#lane = lane
		this.#key = key
		this.#columns = new Columns(buckets.length, (column, minute) => holds(buckets[column]!, minute))
		this.#width = buckets.length
		this.#values = reading.values
		this.#applied = reading.applied
	}

	get size(): number {
		return objectBytes + columnBytes * this.#width + 16 * this.#values.length
	}

	fold(batch: FrozenBatch): void {
		entriesIn(batch, this.#lane, this.#key, (minute, entry) => {
			for (const column of this.#columns.of(minute)) {
				const cell = this.#cell(entry, column)
				if (batch.sequence > this.#applied[cell]!) this.#values[cell]! += entry.hits
			}
		})
	}

	/** Hits per bucket, this process's unstored ones included. */
	withUnstored(batcher: WriteBatcher): Float64Array {
		const sums = new Float64Array(this.#width)
		for (let cell = 0; cell < this.#values.length; cell++) sums[cell % this.#width]! += this.#values[cell]!
		batcher.unstored(this.#lane, this.#key, (minute, entry, sequence) => {
			for (const column of this.#columns.of(minute)) {
				if (sequence > this.#applied[this.#cell(entry, column)]!) sums[column]! += entry.hits
			}
		})
		return sums
	}

	release(): void {}

	#cell(entry: Entry, column: number): number {
		return (this.#key === undefined ? entry.partition * this.#width : 0) + column
	}
}

/** The visitors of keys, or of all keys together, in some groups of buckets. */
export class VisitorSets implements Reading {
	readonly servedBy: string
	readonly #lane: Lane
	/** undefined: all keys together. */
	readonly #keys: readonly string[] | undefined
	readonly #columns: Columns
	readonly #sketches: readonly VisitorSketch[]

	constructor(lane: Lane, keys: readonly string[] | undefined, groups: readonly (readonly Bucket[])[], reading: VisitorsReading) {
		this.servedBy = reading.servedBy
		this.#lane = lane
		this.#keys = keys
		this.#columns = new Columns(groups.length, (column, minute) => groups[column]!.some((bucket) => holds(bucket, minute)))
		this.#sketches = reading.sketches
	}

	get size(): number {
		return this.#sketches.reduce((sum, { bytes = sketchBytes }) => sum + 2 * objectBytes + bytes, objectBytes)
	}

	fold(batch: FrozenBatch): void {
		for (const key of this.#keys ?? [undefined]) entriesIn(batch, this.#lane, key, (minute, entry) => this.#add(minute, entry))
	}

	/** The sketches, this process's unstored visitors included. A visitor that is added twice is one visitor, so no sequence matters. */
	withUnstored(batcher: WriteBatcher): readonly VisitorSketch[] {
		for (const key of this.#keys ?? [undefined]) batcher.unstored(this.#lane, key, (minute, entry) => this.#add(minute, entry))
		return this.#sketches
	}

	release(): void {
		for (const sketch of this.#sketches) sketch.release()
	}

	#add(minute: number, { visitors }: Entry): void {
		if (visitors !== undefined) for (const column of this.#columns.of(minute)) this.#sketches[column]!.apply(visitors)
	}
}

/** A list as the store gave it. */
export class List<Item> implements Reading {
	readonly servedBy: string
	readonly items: readonly Item[]
	/** Whether the list goes on. */
	readonly more: boolean

	constructor(servedBy: string, items: readonly Item[], more = false) {
		this.servedBy = servedBy
		this.items = items
		this.more = more
	}

	get size(): number {
		return objectBytes + itemBytes * this.items.length
	}

	fold(): void {}
	release(): void {}
}
