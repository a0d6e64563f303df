/**
 * Numbers in the memory of the process: the default, exact while the process lives, and the model for every other store.
 *
 * Everything is answered at once, never with a promise. Sessions of one namespace on one store share its numbers. Buckets are dropped as a whole
 * when the minute turns, on the call that notices; no read shows one past its deadline, and no late hit prolongs one.
 */
import { BadInputError, expected, MismatchError, StoreRefusedError } from '../errors.ts'
import { partitionOf } from '../hash/partition.ts'
import { granularities, type Level, lengthMs } from '../time/granularity.ts'
import type { VisitorTracker } from '../visitors/tracker.ts'
import type { MemoryBucket } from './memory-bucket.ts'
import { MemoryClaims } from './memory-claims.ts'
import { MemoryLane } from './memory-lane.ts'
import { MemoryShared } from './memory-shared.ts'
import { MemoryTransfer } from './memory-transfer.ts'
import { Ranking } from './ranking.ts'
import type {
	Batch,
	Claim,
	HitsQuery,
	HitsReading,
	Lane,
	ListQuery,
	ListReading,
	NodeHealth,
	Outcome,
	SessionSettings,
	Shared,
	Store,
	StoreSession,
	TopQuery,
	TopReading,
	TrendingQuery,
	TrendingReading,
	VisitorsQuery,
	VisitorsReading,
} from './store.ts'

const SERVED_BY = 'memory'
/** Keys handed out at a time. */
const PAGE = 1_000
/** Each costs 8 bytes in every bucket. */
const MAX_PARTITIONS = 65_536

export interface MemoryStoreOptions {
	/** Shares of the keys, 1 to 65,536. More than one brings nothing but a likeness of the stores that need them. @default 1 */
	readonly partitions?: number
}

/**
 * Two points where stores may differ, and this one does as follows. A sequence that skips one is applied: nothing can have been lost on the way here.
 * A key that was `set` to 0 is a key with 0 hits: listed, not ranked, and `existed` when it is deleted.
 * Sums beyond 2^53 are rounded, as doubles are.
 */
export class MemoryStore implements Store {
	readonly name = 'memory'
	readonly partitions: number
	readonly #namespaces = new Map<string, Namespace>()

	constructor({ partitions = 1 }: MemoryStoreOptions = {}) {
		if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) {
			throw expected('ERR_TALLYMARK_OPTION', 'partitions', `a whole number from 1 to ${MAX_PARTITIONS}`, partitions)
		}
		this.partitions = partitions
	}

	/** Throws MismatchError when the namespace was opened with another tracker, `uniquesPer`, retention or half-life, unless that was left unused. */
	open(settings: SessionSettings): MemorySession {
		let namespace = this.#namespaces.get(settings.namespace)
		if (namespace === undefined || !namespace.inUse) {
			namespace = new Namespace(this.partitions, settings, namespace?.shared)
			this.#namespaces.set(settings.namespace, namespace)
		} else {
			checkSame(namespace.settings, settings)
		}
		return new MemorySession(namespace, settings)
	}
}

/** What a writer has sent; kept when its session is closed, since its last batch may yet come again. */
interface Writer {
	/** By partition: the last sequence applied. */
	readonly applied: Float64Array
	/** By partition: what the last batch answered, if it was a delete. */
	readonly existed: (boolean | undefined)[]
}

/** The numbers of one namespace. */
class Namespace {
	readonly partitions: number
	/** Of the session that came first. */
	readonly settings: SessionSettings
	readonly claims = new MemoryClaims()
	/** Does not depend on the settings, and outlives them. */
	readonly shared: MemoryShared
	sessions = 0
	/** Whether a batch was ever applied, or anything restored. */
	written = false
	/** Of the one who copies into it. */
	note: string | undefined
	readonly #lanes = new Map<Lane, MemoryLane>()
	readonly #writers = new Map<string, Writer>()
	/** The minute of the last call. */
	#minute = Number.NEGATIVE_INFINITY

	constructor(partitions: number, settings: SessionSettings, shared = new MemoryShared()) {
		this.partitions = partitions
		this.settings = settings
		this.shared = shared
	}

	/** Whether somebody relies on the settings. */
	get inUse(): boolean {
		return this.sessions > 0 || this.written
	}

	lane(name: Lane): MemoryLane {
		let lane = this.#lanes.get(name)
		if (lane === undefined) {
			lane = new MemoryLane({ ...this.settings, partitions: this.partitions })
			this.#lanes.set(name, lane)
		}
		return lane
	}

	get lanes(): ReadonlyMap<Lane, MemoryLane> {
		return this.#lanes
	}

	/** Forgets every number. */
	clear(): void {
		this.#lanes.clear()
	}

	writer(name: string): Writer {
		let writer = this.#writers.get(name)
		if (writer === undefined) {
			writer = { applied: new Float64Array(this.partitions), existed: [] }
			this.#writers.set(name, writer)
		}
		return writer
	}

	/** Drops what is past its deadline, once a minute. */
	expire(now: number): void {
		const minute = Math.floor(now / lengthMs.minute)
		if (minute === this.#minute) return
		this.#minute = minute
		for (const lane of this.#lanes.values()) lane.expire(now)
		this.shared.expire(now)
	}
}

class MemorySession implements StoreSession {
	readonly #namespace: Namespace
	readonly #settings: SessionSettings
	readonly #writer: Writer
	#closed = false

	constructor(namespace: Namespace, settings: SessionSettings) {
		this.#namespace = namespace
		this.#settings = settings
		this.#writer = namespace.writer(settings.writer)
		namespace.sessions++
	}

	apply(batch: Batch): Outcome {
		const now = this.#now()
		const { partition, sequence } = batch
		const { applied, existed } = this.#writer
		if (sequence <= applied[partition]!) {
			const answered = sequence === applied[partition] ? existed[partition] : undefined
			return answered === undefined ? { status: 'duplicate' } : { status: 'duplicate', existed: answered }
		}
		// Before anything is counted: should something throw half-way, the batch must not come again.
		applied[partition] = sequence
		existed[partition] = undefined
		this.#namespace.written = true
		try {
			if (batch.kind === 'hits') {
				for (const group of batch.groups) this.#namespace.lane(group.lane).add(partition, group, now)
			} else if (batch.kind === 'set') {
				this.#namespace.lane(batch.lane).set(partition, batch.key, batch.hits)
			} else {
				let found = false
				for (const lane of this.#namespace.lanes.values()) found = lane.delete(partition, batch.key) || found
				existed[partition] = found
				return { status: 'applied', existed: found }
			}
		} catch (cause) {
			// A tracker of the application's own that throws, or more keys than a Map can have (2^24).
			const message = `The memory store failed within batch ${sequence} of partition ${partition}: part of it may not be counted`
			return { status: 'refused', error: new StoreRefusedError(message, { cause }) }
		}
		return { status: 'applied' }
	}

	hits({ lane: name, keys, buckets }: HitsQuery): HitsReading {
		const now = this.#now()
		const { partitions } = this.#namespace
		const lane = this.#namespace.lane(name)
		const columns = buckets.map((bucket) => lane.bucket(bucket, now))
		const rows = keys === 'all' ? partitions : keys.length
		const values = new Float64Array(rows * columns.length)
		const applied = new Float64Array(rows * columns.length)
		for (let row = 0, at = 0; row < rows; row++) {
			const partition = keys === 'all' ? row : partitionOf(keys[row]!, partitions)
			const sequence = this.#writer.applied[partition]!
			for (const column of columns) {
				values[at] = (keys === 'all' ? column?.allHits[partition] : column?.hits.get(keys[row]!)) ?? 0
				applied[at++] = sequence
			}
		}
		return { values, applied, servedBy: SERVED_BY }
	}

	visitors({ lane: name, keys, groups }: VisitorsQuery): VisitorsReading {
		const now = this.#now()
		const tracker = this.#tracker()
		const lane = this.#namespace.lane(name)
		const visitorsOf = (bucket: MemoryBucket) =>
			(keys === 'all' ? bucket.allVisitors : keys.map((key) => bucket.visitors.get(key))).filter((sketch) => sketch !== undefined)
		return {
			sketches: groups.map((buckets) => tracker.union(lane.living(buckets, now).flatMap(visitorsOf))),
			servedBy: SERVED_BY,
		}
	}

	top({ lane: name, buckets, by, limit, prefix }: TopQuery): TopReading {
		const now = this.#now()
		const living = this.#namespace.lane(name).living(buckets, now)
		const hits = sums(living)
		const ranking = new Ranking(limit)
		if (by === 'uniques') {
			const tracker = this.#tracker()
			for (const key of new Set(living.flatMap((bucket) => [...bucket.visitors.keys()]))) {
				if (!key.startsWith(prefix) || (hits.get(key) ?? 0) === 0) continue
				ranking.offer(key, countUnion(tracker, living, key))
			}
		} else {
			for (const [key, score] of hits) if (score > 0 && key.startsWith(prefix)) ranking.offer(key, score)
		}
		const entries = ranking
			.entries()
			.map(({ key, score }) => (by === 'uniques' ? { key, hits: hits.get(key) ?? 0, uniques: score } : { key, hits: score }))
		return { entries, applied: this.#writer.applied.slice(), servedBy: SERVED_BY }
	}

	trending({ lane: name, limit, now }: TrendingQuery): TrendingReading {
		this.#now()
		return { entries: this.#namespace.lane(name).trend.top(limit, now), servedBy: SERVED_BY }
	}

	list(query: ListQuery): ListReading {
		this.#now()
		return this.#namespace.lane(query.lane).list(query)
	}

	*keys(lane: Lane): Generator<readonly string[]> {
		this.#now()
		let page: string[] = []
		for (const key of this.#namespace.lane(lane).keys()) {
			if (page.push(key) < PAGE) continue
			yield page
			page = []
		}
		yield page
	}

	claim(claim: Claim): boolean {
		return this.#namespace.claims.claim(claim, this.#settings.writer, this.#now())
	}

	release(claim: Claim): void {
		this.#namespace.claims.release(claim, this.#settings.writer, this.#now())
	}

	share(shared: Shared): string {
		return this.#namespace.shared.share(shared, this.#now())
	}

	health(): readonly NodeHealth[] {
		return [{ name: SERVED_BY, status: 'up', latencyMs: 0 }]
	}

	transfer(): MemoryTransfer {
		return new MemoryTransfer(this.#namespace, () => this.#now())
	}

	close(): void {
		if (this.#closed) return
		this.#closed = true
		this.#namespace.sessions--
	}

	/** The time by this session's clock, after dropping what is past its deadline by then. */
	#now(): number {
		const now = this.#settings.clock.now()
		this.#namespace.expire(now)
		return now
	}

	/** The namespace's own, so that all of its sketches lie in one pool. */
	#tracker(): VisitorTracker {
		const { tracker } = this.#namespace.settings
		if (tracker === undefined) {
			throw new BadInputError('ERR_TALLYMARK_ARGUMENT', 'Uniques are off for this namespace: nobody was tracked, so nobody can be counted')
		}
		return tracker
	}
}

/** Hits by key, summed over the buckets. */
function sums(buckets: readonly MemoryBucket[]): ReadonlyMap<string, number> {
	if (buckets.length === 1) return buckets[0]!.hits
	const hits = new Map<string, number>()
	for (const bucket of buckets) for (const [key, count] of bucket.hits) hits.set(key, (hits.get(key) ?? 0) + count)
	return hits
}

/** How many visitors a key had in the buckets together. */
function countUnion(tracker: VisitorTracker, buckets: readonly MemoryBucket[], key: string): number {
	const sketches = buckets.flatMap((bucket) => bucket.visitors.get(key) ?? [])
	if (sketches.length === 1) return sketches[0]!.estimate().value
	return tracker.union(sketches).estimate().value
}

/** Throws MismatchError at the first setting in which two counters of a namespace differ. */
function checkSame(first: SessionSettings, second: SessionSettings): void {
	const compare = (setting: string, a: string | number, b: string | number) => {
		if (a === b) return
		throw new MismatchError(
			`Counters of one namespace must agree: namespace ${JSON.stringify(first.namespace)} of this memory store is in use with \`${setting}\` ${a}, and this counter has ${b}`,
		)
	}
	compare('uniques', first.tracker?.kind ?? 'off', second.tracker?.kind ?? 'off')
	compare('uniquesPer', levels(first), levels(second))
	for (const granularity of granularities) compare(`retention.${granularity}`, first.retention[granularity], second.retention[granularity])
	compare('trendHalfLifeMs', first.trendHalfLifeMs, second.trendHalfLifeMs)
}

/** The levels at which visitors are kept, in one order whatever the order of the option. */
function levels({ tracker, uniquesPer }: SessionSettings): string {
	if (tracker === undefined) return 'none'
	return (['total', ...granularities] satisfies Level[]).filter((level) => uniquesPer.includes(level)).join(', ')
}
