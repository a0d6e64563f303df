/** The counted sets of one partition that a writer has touched, by their key in Redis. */
import { type Bucket, deadlineOf } from '../../time/granularity.ts'
import type { Lane, SessionSettings } from '../store.ts'
import { CountedSet } from './counted-set.ts'
import { type Keys, shapeOf } from './keys.ts'
import type { TrendEpochs } from './trend-epoch.ts'

/** How long after its deadline, by our own clock, a set is kept in mind: the server's may be behind. */
const GRACE_SECONDS = 300
/** Between two looks for such. */
const PRUNE_MS = 10_000

export class PartitionSets {
	readonly #partition: number
	readonly #keys: Keys
	readonly #settings: SessionSettings
	readonly #epochs: TrendEpochs
	readonly #sets = new Map<string, CountedSet>()
	#prunedAt = Number.NEGATIVE_INFINITY

	constructor(partition: number, keys: Keys, settings: SessionSettings, epochs: TrendEpochs) {
		this.#partition = partition
		this.#keys = keys
		this.#settings = settings
		this.#epochs = epochs
	}

	hits(lane: Lane, bucket: Bucket): CountedSet {
		const key = this.#keys.hits(this.#partition, lane, bucket)
		return this.#sets.get(key) ?? this.#add(new CountedSet(key, shapeOf(bucket), this.#deadline(bucket), whatOf(lane, bucket)))
	}

	trend(lane: Lane, epoch: number): CountedSet {
		const key = this.#keys.trend(this.#partition, lane, epoch)
		return this.#sets.get(key) ?? this.#add(new CountedSet(key, 'sorted', this.#epochs.deadline(epoch), `${inLane(lane)}trend`))
	}

	find(key: string): CountedSet | undefined {
		return this.#sets.get(key)
	}

	[Symbol.iterator](): Iterator<CountedSet> {
		return this.#sets.values()
	}

	get size(): number {
		return this.#sets.size
	}

	forget(set: CountedSet): void {
		this.#sets.delete(set.key)
	}

	/** Forgets what is long gone on the server. */
	prune(now: number): void {
		if (Math.abs(now - this.#prunedAt) < PRUNE_MS) return
		this.#prunedAt = now
		for (const set of this.#sets.values()) {
			if (set.deadline > 0 && set.queue.length === 0 && now / 1_000 > set.deadline + GRACE_SECONDS) this.#sets.delete(set.key)
		}
	}

	#add(set: CountedSet): CountedSet {
		this.#sets.set(set.key, set)
		return set
	}

	#deadline(bucket: Bucket): number {
		return bucket.level === 'total' ? 0 : Math.ceil(deadlineOf(bucket, this.#settings.retention) / 1_000)
	}
}

function whatOf(lane: Lane, { level, start }: Bucket): string {
	return `${inLane(lane)}${level}${level === 'total' ? '' : ` ${new Date(start).toISOString().slice(0, 16)}Z`}`
}

function inLane(lane: Lane): string {
	return lane === 'human' ? '' : `${lane} `
}
