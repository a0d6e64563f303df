/**
 * The hits that wait to be stored: one slab per lane and minute, in it one entry per key.
 *
 * A slab holds one minute only, so a hit never works out its buckets: when the minute turns the next slab begins, and the store folds a whole slab into
 * minute, hour and day at once. A second hit on a key is one look-up and one addition.
 */
import { partitionOf } from '../hash/partition.ts'
import type { Delta, DeltaGroup, Lane } from '../stores/store.ts'
import { lengthMs } from '../time/granularity.ts'
import type { VisitorDelta } from '../visitors/tracker.ts'
import type { HitReceipt } from './receipt.ts'

/** The hits of one key in one slab. Frozen with the batch that takes it: nothing changes it afterwards. */
export class Entry implements Delta {
	hits = 0
	visitors: VisitorDelta | undefined = undefined
	/** What the entry counts for in `maxPendingKeys`: itself and its visitors. */
	units = 1
	readonly key: string
	readonly partition: number
	/** One promise for all hits of the entry: a hit allocates none. */
	readonly receipt: Promise<HitReceipt>

	constructor(key: string, partition: number) {
		this.key = key
		this.partition = partition
		this.receipt = Promise.resolve(Object.freeze({ counted: true, key }))
	}
}

/** The entries of one slab that one batch took. */
export class Group implements DeltaGroup {
	readonly lane: Lane
	readonly minute: number
	readonly deltas: readonly Entry[]
	#byKey: ReadonlyMap<string, Entry> | undefined

	constructor(lane: Lane, minute: number, deltas: readonly Entry[], byKey?: ReadonlyMap<string, Entry>) {
		this.lane = lane
		this.minute = minute
		this.deltas = deltas
		this.#byKey = byKey
	}

	find(key: string): Entry | undefined {
		this.#byKey ??= new Map(this.deltas.map((entry) => [entry.key, entry]))
		return this.#byKey.get(key)
	}
}

/** One lane and minute. */
export class Slab {
	readonly lane: Lane
	/** Start of the minute, epoch milliseconds. */
	readonly minute: number
	/** The first moment that is not in it. */
	readonly until: number
	/** When the oldest hit in it came; undefined while it is empty. */
	since: number | undefined = undefined
	entries = new Map<string, Entry>()
	readonly #partitions: number
	/** Entries of each partition that has any; with a single partition `entries` says it all. */
	readonly #byPartition: (Set<Entry> | undefined)[] = []

	constructor(lane: Lane, minute: number, partitions: number) {
		this.lane = lane
		this.minute = minute
		this.until = minute + lengthMs.minute
		this.#partitions = partitions
	}

	create(key: string): Entry {
		const partition = partitionOf(key, this.#partitions)
		const entry = new Entry(key, partition)
		this.entries.set(key, entry)
		if (this.#partitions > 1) {
			this.#byPartition[partition] ??= new Set()
			this.#byPartition[partition].add(entry)
		}
		return entry
	}

	#entriesOf(partition: number): ReadonlyMap<string, Entry> | ReadonlySet<Entry> | undefined {
		return this.#partitions === 1 ? this.entries : this.#byPartition[partition]
	}

	/** Takes up to `limit` entries of a partition out, the oldest first; undefined where it has none. */
	take(partition: number, limit: number): Group | undefined {
		const own = this.#entriesOf(partition)
		const size = own?.size ?? 0
		if (own === undefined || size === 0) return undefined
		if (size === this.entries.size && size <= limit) {
			const whole = this.entries
			this.entries = new Map()
			this.#byPartition[partition]?.clear()
			return new Group(this.lane, this.minute, [...whole.values()], whole)
		}
		const taken: Entry[] = []
		for (const entry of own.values()) {
			if (taken.length === limit) break
			taken.push(entry)
		}
		for (const entry of taken) {
			this.entries.delete(entry.key)
			this.#byPartition[partition]?.delete(entry)
		}
		return new Group(this.lane, this.minute, taken)
	}
}
