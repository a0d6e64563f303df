/** Where the cases of the contract work: one store, a namespace of its own, and sessions that number their batches by themselves. */
import { type Clock, systemClock } from '../../clock.ts'
import { partitionOf } from '../../hash/partition.ts'
import type {
	Batch,
	Claim,
	Delta,
	DeltaGroup,
	HitsBatch,
	HitsReading,
	Lane,
	MaybePromise,
	Outcome,
	SessionSettings,
	Store,
	StoreSession,
	TopQuery,
} from '../../stores/store.ts'
import { type Bucket, granularities, lengthMs, startOf, total } from '../../time/granularity.ts'
import type { VisitorTracker } from '../../visitors/tracker.ts'
import { createTracker, type TrackerName, trackerNames } from '../../visitors/trackers.ts'
import { ManualClock } from '../manual-clock.ts'
import { equal, fails } from './assert.ts'

/** A promise of the port, and how to see whether a store keeps it. */
export interface ContractCase {
	/** A sentence. */
	readonly name: string
	/** Rejects with what was promised and what was seen. */
	run(): Promise<void>
}

/** A case before it has a store. */
export type Proof = readonly [name: string, prove: (desk: Desk) => Promise<void>]

/** Hits for a batch. By default one, without a visitor, of the human lane, now. */
export interface Hit {
	readonly key: string
	readonly hits?: number
	readonly visitors?: readonly string[]
	readonly lane?: Lane
	readonly minute?: number
}

export const hour = lengthMs.hour
export const day = lengthMs.day

export class Desk {
	readonly store: Store
	readonly namespace = `contract-${randomHex()}`
	readonly clock: Clock
	readonly #manual: ManualClock | undefined
	readonly #tracker: TrackerName
	readonly #writers: Writer[] = []

	constructor(store: Store, tracker: TrackerName, controlsTime: boolean) {
		this.store = store
		this.#tracker = tracker
		this.#manual = controlsTime ? new ManualClock(Date.UTC(2026, 0, 1, 12, 34, 56, 789)) : undefined
		this.clock = this.#manual ?? systemClock
	}

	/** A new session with a tracker of its own, as another process would have. */
	open(settings: Partial<SessionSettings> = {}): Writer {
		const writer = new Writer(this.store, {
			namespace: this.namespace,
			writer: randomHex(),
			clock: this.clock,
			tracker: this.tracker(),
			uniquesPer: ['total', 'day'],
			retention: { minute: day, hour: 31 * day, day: 731 * day },
			trendHalfLifeMs: 6 * hour,
			report: () => {},
			...settings,
		})
		this.#writers.push(writer)
		return writer
	}

	/** By which share the counts of the same visitors may differ: a Bloom filter's depends on the order, and on whether filters were united. */
	get tolerance(): number {
		return this.#tracker === 'bloom' ? 0.02 : 0
	}

	/** A tracker of the kind that all sessions here have. */
	tracker(): VisitorTracker {
		return createTracker(this.#tracker)
	}

	/** Throws unless a session with another kind of tracker is refused, when it is opened or by its first call. */
	async expectMismatch(): Promise<void> {
		const other = trackerNames.find((name) => name !== this.#tracker)!
		await fails('ERR_TALLYMARK_MISMATCH', () => this.open({ tracker: createTracker(other) }).list(), `a counter with tracker '${other}'`)
	}

	/** The start of the minute that was `agoMs` ago. */
	minute(agoMs = 0): number {
		return startOf('minute', this.clock.now() - agoMs)
	}

	/** Waits until `time`: by turning the clock where it can be turned, otherwise a quarter of a second longer. */
	async waitUntil(time: number): Promise<void> {
		const ms = time - this.clock.now()
		if (this.#manual !== undefined) await this.#manual.advance(ms)
		else await new Promise((resolve) => setTimeout(resolve, ms + 250))
	}

	async close(): Promise<void> {
		for (const writer of this.#writers) await writer.close()
	}
}

/** The buckets of all levels that a minute lies in: all time, minute, hour, day. */
export function bucketsOf(minute: number): Bucket[] {
	return [total, ...granularities.map((level): Bucket => ({ level, start: startOf(level, minute) }))]
}

export class Writer {
	readonly session: StoreSession
	readonly id: string
	readonly namespace: string
	readonly #store: Store
	readonly #settings: SessionSettings
	/** By partition, the last sequence given out. */
	readonly #sequences: number[] = []
	#closed = false

	constructor(store: Store, settings: SessionSettings) {
		this.session = store.open(settings)
		this.id = settings.writer
		this.namespace = settings.namespace
		this.#store = store
		this.#settings = settings
	}

	/** Closes the session, once. */
	async close(): Promise<void> {
		if (this.#closed) return
		this.#closed = true
		await this.session.close()
	}

	/** The last sequence given out for the partition of `key`. */
	sequence(key: string): number {
		return this.#sequences[this.partition(key)] ?? 0
	}

	partition(key: string): number {
		return partitionOf(key, this.#store.partitions)
	}

	/** The hits as batches, one for each partition that they touch. Not sent yet; they must be sent in the order they were made. */
	batches(hits: readonly Hit[]): HitsBatch[] {
		const partitions = new Map<number, Map<string, { lane: Lane; minute: number; hits: Map<string, Hit[]> }>>()
		const now = startOf('minute', this.#settings.clock.now())
		for (const hit of hits) {
			const { key, lane = 'human', minute = now } = hit
			const groups = entry(partitions, this.partition(key), () => new Map())
			const group = entry(groups, `${lane} ${minute}`, () => ({ lane, minute, hits: new Map<string, Hit[]>() }))
			entry(group.hits, key, (): Hit[] => []).push(hit)
		}
		return [...partitions].map(([partition, groups]) => ({
			kind: 'hits',
			partition,
			sequence: this.#next(partition),
			groups: [...groups.values()].map(
				(group): DeltaGroup => ({
					lane: group.lane,
					minute: group.minute,
					deltas: [...group.hits].map(([key, same]) => this.#delta(key, same)),
				}),
			),
		}))
	}

	/** Sends batches of different partitions, at the same time; each must be applied. */
	async apply(batches: readonly Batch[]): Promise<void> {
		for (const outcome of await this.send(batches)) equal(outcome.status, 'applied', 'a batch that is sent for the first time')
	}

	/** Sends batches of different partitions, at the same time. */
	async send(batches: readonly Batch[]): Promise<Outcome[]> {
		return Promise.all(batches.map((batch) => this.session.apply(batch)))
	}

	/** Applies hits; answers the batches, to send them again. */
	async hit(...hits: readonly Hit[]): Promise<HitsBatch[]> {
		const batches = this.batches(hits)
		await this.apply(batches)
		return batches
	}

	async set(key: string, hits: number, lane: Lane = 'human'): Promise<Batch> {
		const partition = this.partition(key)
		const batch: Batch = { kind: 'set', partition, sequence: this.#next(partition), lane, key, hits }
		await this.apply([batch])
		return batch
	}

	/** Deletes a key; answers the batch, and whether the key was known. */
	async delete(key: string): Promise<{ batch: Batch; existed: boolean | undefined }> {
		const partition = this.partition(key)
		const batch: Batch = { kind: 'delete', partition, sequence: this.#next(partition), key }
		const outcome = await this.session.apply(batch)
		equal(outcome.status, 'applied', 'a delete that is sent for the first time')
		return { batch, existed: outcome.status === 'refused' ? undefined : outcome.existed }
	}

	reading(keys: readonly string[] | 'all', buckets: readonly Bucket[], lane: Lane = 'human'): MaybePromise<HitsReading> {
		return this.session.hits({ lane, keys, buckets })
	}

	/** The hits of one key in one bucket. */
	async count(key: string, bucket: Bucket = total, lane: Lane = 'human'): Promise<number> {
		return (await this.reading([key], [bucket], lane)).values[0]!
	}

	/** The hits of one key in several buckets. */
	async counts(key: string, buckets: readonly Bucket[], lane: Lane = 'human'): Promise<number[]> {
		return [...(await this.reading([key], buckets, lane)).values]
	}

	/** The hits of all keys together in one bucket. */
	async all(bucket: Bucket = total, lane: Lane = 'human'): Promise<number> {
		return (await this.reading('all', [bucket], lane)).values.reduce((sum, value) => sum + value, 0)
	}

	/** The visitors of keys, or of all keys together, in the union of buckets. */
	async uniques(keys: readonly string[] | 'all', buckets: readonly Bucket[] = [total], lane: Lane = 'human'): Promise<number> {
		const { sketches } = await this.session.visitors({ lane, keys, groups: [buckets] })
		equal(sketches.length, 1, 'sketches for one group of buckets')
		const { value } = sketches[0]!.estimate()
		sketches[0]!.release()
		return value
	}

	/** Key and hits (or visitors), most first. */
	async top(query: Partial<TopQuery> = {}): Promise<[string, number][]> {
		const by = query.by ?? 'hits'
		const { entries } = await this.session.top({ lane: 'human', buckets: [total], by, limit: 100, prefix: '', ...query })
		return entries.map(({ key, hits, uniques }) => [key, by === 'hits' ? hits : (uniques ?? Number.NaN)])
	}

	async trending(limit = 100, now = this.#settings.clock.now(), lane: Lane = 'human'): Promise<{ key: string; score: number }[]> {
		const { entries } = await this.session.trending({ lane, limit, now })
		return entries.map(({ key, score }) => ({ key, score }))
	}

	/** All keys, page by page. */
	async list(prefix = '', pageSize = 100, lane: Lane = 'human'): Promise<string[]> {
		const keys: string[] = []
		for (let more = true; more; ) {
			const page = await this.session.list({ lane, prefix, limit: pageSize, after: keys.at(-1) })
			const again = page.keys.find((key) => keys.includes(key))
			if (again !== undefined) throw new Error(`Each key is listed once: ${JSON.stringify(again)} came again on a later page`)
			keys.push(...page.keys)
			more = page.more
			if (more) equal(page.keys.length, pageSize, 'keys on a page that is not the last')
		}
		return keys
	}

	/** All keys in one walk, in order, each once. */
	async keys(lane: Lane = 'human'): Promise<string[]> {
		const keys = new Set<string>()
		for await (const page of this.session.keys(lane)) for (const key of page) keys.add(key)
		return inOrder([...keys])
	}

	/** A claim; by default a cooldown of a minute. */
	claim(name: string, options: Partial<Claim> = {}): Claim {
		return { kind: 'cooldown', partition: 0, name, ttlMs: 60_000, ...options }
	}

	/** How many visitors this writer's tracker finds among these. */
	estimate(visitors: Iterable<string>): number {
		const sketch = this.#tracker().sketch()
		sketch.apply(this.#deltaOf(visitors))
		return sketch.estimate().value
	}

	#next(partition: number): number {
		const sequence = (this.#sequences[partition] ?? 0) + 1
		this.#sequences[partition] = sequence
		return sequence
	}

	#delta(key: string, hits: readonly Hit[]): Delta {
		const visitors = hits.flatMap((hit) => hit.visitors ?? [])
		return {
			key,
			hits: hits.reduce((sum, hit) => sum + (hit.hits ?? 1), 0),
			visitors: visitors.length === 0 ? undefined : this.#deltaOf(visitors),
		}
	}

	#deltaOf(visitors: Iterable<string>) {
		const delta = this.#tracker().delta()
		for (const visitor of visitors) delta.add(visitor)
		return delta
	}

	#tracker(): VisitorTracker {
		if (this.#settings.tracker === undefined) throw new Error('This case has visitors, and a session without a tracker')
		return this.#settings.tracker
	}
}

/** The keys in the order of their UTF-8 bytes, found by no code of a store's. */
export function inOrder(keys: readonly string[]): string[] {
	const encoder = new TextEncoder()
	const bytes = keys.map((key) => ({ key, bytes: encoder.encode(key) }))
	bytes.sort((a, b) => {
		const at = a.bytes.findIndex((byte, i) => byte !== b.bytes[i])
		return at === -1 ? a.bytes.length - b.bytes.length : a.bytes[at]! - (b.bytes[at] ?? -1)
	})
	return bytes.map(({ key }) => key)
}

/** 16 random hex digits: a writer, or what makes a namespace unique. */
export function randomHex(): string {
	return Array.from({ length: 16 }, () => Math.floor(Math.random() * 16).toString(16)).join('')
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
	let value = map.get(key)
	if (value === undefined) {
		value = make()
		map.set(key, value)
	}
	return value
}
