/**
 * The store port: batches in, readings out. A leaf: no store knows of batching, caching or HTTP, and the flow above knows no store.
 *
 * A `Store` is what the application makes (`new MemoryStore()`); a counter opens one {@link StoreSession} on it. A session is one **writer**: it numbers
 * its batches per partition from 1, sends at most one of a partition at a time, and sends the same batch again until it hears an outcome. A store keeps,
 * per writer and partition (or finer), the last sequence it applied, so that a batch that comes twice counts once.
 *
 * Any call may answer at once or with a promise. A promise that rejects means "no answer": nothing, or everything, or part of it may have happened,
 * and the caller sends the same again. What the store will never take is an {@link Outcome} with status `refused`, not a rejection.
 */
import type { Clock } from '../clock.ts'
import type { TallymarkError } from '../errors.ts'
import type { Bucket, Granularity, Level } from '../time/granularity.ts'
import type { VisitorDelta, VisitorSketch, VisitorTracker } from '../visitors/tracker.ts'

export type MaybePromise<T> = T | Promise<T>

/** Kinds of traffic, counted apart; the public number is the `human` lane. */
export type Lane = 'human' | 'bot' | 'ai' | 'prefetch' | 'optout' | 'own'

export const lanes: readonly Lane[] = ['human', 'bot', 'ai', 'prefetch', 'optout', 'own']

/** What happened to one key in one minute of one lane. */
export interface Delta {
	readonly key: string
	/** A positive safe integer. */
	readonly hits: number
	/** Who came; undefined when no hit named a visitor or uniques are off. Made by the session's tracker. */
	readonly visitors: VisitorDelta | undefined
}

/** The deltas of one lane and minute. A key occurs at most once in it. */
export interface DeltaGroup {
	readonly lane: Lane
	/** Start of the minute the hits fell in, epoch milliseconds. */
	readonly minute: number
	readonly deltas: readonly Delta[]
}

interface BatchHead {
	/** 0 .. partitions - 1; every key of the batch belongs to it. */
	readonly partition: number
	/** 1, 2, 3, ... per session and partition. A sequence never changes its content. */
	readonly sequence: number
}

/** Hits to add. A lane and minute may occur in one group only. */
export interface HitsBatch extends BatchHead {
	readonly kind: 'hits'
	readonly groups: readonly DeltaGroup[]
}

/** Sets the all-time hits of a key. The all-keys total moves by the difference; buckets, visitors and trend stay. */
export interface SetBatch extends BatchHead {
	readonly kind: 'set'
	readonly lane: Lane
	readonly key: string
	/** A safe integer >= 0. */
	readonly hits: number
}

/** Forgets a key in every lane: hits, buckets, visitors, trend. The all-keys hits go down by what it had; all-keys visitors are a union and stay. */
export interface DeleteBatch extends BatchHead {
	readonly kind: 'delete'
	readonly key: string
}

export type Batch = HitsBatch | SetBatch | DeleteBatch

/**
 * How a batch ended. `duplicate`: it was applied before, which is as good as `applied`. `existed` (delete only): whether the key had any number.
 * `refused`: the store will never take it; the error says which part and why.
 */
export type Outcome =
	| { readonly status: 'applied' | 'duplicate'; readonly existed?: boolean }
	| { readonly status: 'refused'; readonly error: TallymarkError }

/** Hits of keys, or of all keys together, in some buckets. */
export interface HitsQuery {
	readonly lane: Lane
	/** Rows of the answer: these keys; or `'all'`: all keys together, a row per partition. */
	readonly keys: readonly string[] | 'all'
	/** Columns of the answer. */
	readonly buckets: readonly Bucket[]
}

export interface HitsReading {
	/** Row-major: `values[row * buckets.length + column]`. */
	readonly values: Float64Array
	/** Likewise: this session's last sequence whose hits are in that value (0: none). It tells whether a batch in flight is in it already. */
	readonly applied: Float64Array
	/** For `servedBy`: 'memory', 'redis:<name>'. */
	readonly servedBy: string
}

/** The visitors of keys (a union), or of all keys together, one sketch for each group of buckets (a union). */
export interface VisitorsQuery {
	readonly lane: Lane
	readonly keys: readonly string[] | 'all'
	readonly groups: readonly (readonly Bucket[])[]
}

export interface VisitorsReading {
	/** One per group. The caller owns them: they are copies. */
	readonly sketches: readonly VisitorSketch[]
	readonly servedBy: string
}

export interface TopQuery {
	readonly lane: Lane
	/** The sum over these buckets ranks a key; by uniques, the union. */
	readonly buckets: readonly Bucket[]
	readonly by: 'hits' | 'uniques'
	readonly limit: number
	/** Only keys that start with it; '' for all. */
	readonly prefix: string
}

export interface TopReading {
	/** Most first, ties by key in code point order; keys with 0 hits are not listed. `uniques` is there when ranked by it. */
	readonly entries: readonly { readonly key: string; readonly hits: number; readonly uniques?: number }[]
	/** Per partition: this session's last sequence that is surely contained. */
	readonly applied: Float64Array
	readonly servedBy: string
}

export interface TrendingQuery {
	readonly lane: Lane
	readonly limit: number
	/** The moment to which the scores are decayed, epoch milliseconds. */
	readonly now: number
}

export interface TrendingReading {
	/** score: the sum over the key's hits of 2^(-age / half-life). Highest first, ties by key. */
	readonly entries: readonly { readonly key: string; readonly score: number }[]
	readonly servedBy: string
}

export interface ListQuery {
	readonly lane: Lane
	readonly prefix: string
	readonly limit: number
	/** List what comes after this key; undefined from the start. */
	readonly after: string | undefined
}

export interface ListReading {
	/** In code point order (the order of their UTF-8 bytes), each once. */
	readonly keys: readonly string[]
	/** Whether more keys follow. */
	readonly more: boolean
}

/** A mark that only one may set while it lives: a cooldown, an idempotency id. */
export interface Claim {
	readonly kind: 'cooldown' | 'id'
	/** Where the mark is kept. */
	readonly partition: number
	/** A 64-bit hash of what is claimed, as 16 hex digits; raw ids never reach a store. */
	readonly name: string
	readonly ttlMs: number
}

/** A small text that all counters of a namespace know, for a while: the salt of a day. */
export interface Shared {
	/** 1 to 128 letters, digits, `.`, `_`, `:` and `-`. */
	readonly name: string
	/** 1 to 4,096 characters. */
	readonly value: string
	readonly ttlMs: number
}

/** The state of one server (or of the embedded store). */
export interface NodeHealth {
	readonly name: string
	/** In a cluster. */
	readonly role?: 'master' | 'replica'
	readonly status: 'up' | 'down'
	/** Of the last answer, milliseconds; undefined when down. */
	readonly latencyMs: number | undefined
	/** Why it is down, for people. */
	readonly reason?: string
}

/**
 * What a store reports of its own accord. `rollback`: acknowledged hits that the store lost and nobody can replay; `topology`: who owns what has changed.
 * Each set that lost hits tells of itself, so that a hit may be told of several times: `what` is `total` for the all-time numbers (`bot total` in that
 * lane), which every hit is in, and something else for everything else.
 */
export type StoreEvent =
	| {
			readonly type: 'rollback'
			readonly partition: number
			readonly what: string
			readonly fromSequence: number
			readonly toSequence: number
			readonly hits: number
	  }
	| { readonly type: 'topology'; readonly message: string }
	| { readonly type: 'error'; readonly error: TallymarkError }

/** What a counter tells the store when it opens a session. Counters of one namespace must agree on everything but the writer and the clock. */
export interface SessionSettings {
	readonly namespace: string
	/** 16 random hex digits, new for every session. */
	readonly writer: string
	readonly clock: Clock
	/** undefined: uniques are off. */
	readonly tracker: VisitorTracker | undefined
	/** The levels at which visitors are kept. */
	readonly uniquesPer: readonly Level[]
	/** Milliseconds a bucket is kept after its end; 0: the granularity is off. */
	readonly retention: Readonly<Record<Granularity, number>>
	readonly trendHalfLifeMs: number
	/** Takes what the store reports of its own accord. Never throws. */
	readonly report: (event: StoreEvent) => void
}

/**
 * A page of what a store holds of a namespace: some hundred numbers or some hundred kilobytes of sketches at most (one sketch may be larger). Hits are
 * absolute. A key may come again in a later page, with a number it had later.
 */
export type SnapshotRecord =
	| {
			readonly kind: 'hits'
			readonly lane: Lane
			readonly bucket: Bucket
			readonly entries: readonly (readonly [key: string, hits: number])[]
	  }
	| {
			readonly kind: 'visitors'
			readonly lane: Lane
			readonly bucket: Bucket
			/** Sketches as {@link VisitorSketch.save} gave them. */
			readonly entries: readonly (readonly [key: string, sketch: Uint8Array])[]
	  }
	| {
			/** The visitors of all keys of a partition together; what counts is their union over all partitions. */
			readonly kind: 'all-visitors'
			readonly partition: number
			readonly lane: Lane
			readonly bucket: Bucket
			readonly sketch: Uint8Array
	  }
	| {
			readonly kind: 'trend'
			readonly lane: Lane
			/** The moment to which the scores are decayed, epoch milliseconds. */
			readonly at: number
			readonly entries: readonly (readonly [key: string, score: number])[]
	  }

/**
 * Takes everything out of a namespace, or puts it into one that nobody counts in meanwhile. Hits of all keys together are not part of a snapshot: they are
 * the sum of what the keys have. Nor are the sequences of writers, for a batch belongs to the store it was sent to, nor claims, which are gone in a while.
 */
export interface StoreTransfer {
	/**
	 * Every number of a partition's keys, `at` being the moment to which trend scores are decayed. It is exact while nobody counts; otherwise each number is
	 * one that it had in the meantime.
	 */
	snapshot(partition: number, at: number): AsyncIterable<SnapshotRecord> | Iterable<SnapshotRecord>
	/**
	 * Gives keys the hits and scores of the records, all keys together moving by the difference, and unites their visitors with those of the records. Once
	 * more changes nothing. The records may come from a store of other partitions: the keys go where they belong here. Buckets past their deadline, and
	 * visitors at levels that are not kept, are left out.
	 */
	restore(records: readonly SnapshotRecord[]): MaybePromise<void>
	/** Forgets every number of the namespace. What a session has counted and not forgotten may come back: nobody may be counting. Claims stay. */
	clear(): MaybePromise<void>
	/** The note that is kept beside the numbers, for the one who copies into them; with `text` it is written first, with '' removed. */
	note(text?: string): MaybePromise<string | undefined>
	/**
	 * Which numbers these are: the same text in every process, whatever the address or the name of the store, and another for others. A transfer without it
	 * is known by its store object.
	 */
	identity?(): MaybePromise<string>
}

/** A counter's connection to a store. */
export interface StoreSession {
	/** Within which a reading is answered or has failed, milliseconds; undefined: the counter decides. */
	readonly readTimeoutMs?: number | undefined
	/**
	 * Applies a batch, once however often it is sent. Hits for a bucket past its deadline count for the coarser levels only.
	 * Batches of other partitions may be in flight at the same time; a store that wants to send them together waits a microtask.
	 */
	apply(batch: Batch): MaybePromise<Outcome>
	hits(query: HitsQuery): MaybePromise<HitsReading>
	visitors(query: VisitorsQuery): MaybePromise<VisitorsReading>
	top(query: TopQuery): MaybePromise<TopReading>
	trending(query: TrendingQuery): MaybePromise<TrendingReading>
	list(query: ListQuery): MaybePromise<ListReading>
	/** Every key of a lane in one walk, in no order, some thousands at a time. One may come twice; one that comes or goes meanwhile may be among them or not. */
	keys(lane: Lane): AsyncIterable<readonly string[]> | Iterable<readonly string[]>
	/** Sets the mark; answers false when somebody (this session included) holds it. */
	claim(claim: Claim): MaybePromise<boolean>
	/** Takes this session's own mark back: the hit it stood for was not accepted. */
	release(claim: Claim): MaybePromise<void>
	/** Keeps the value under its name for its time, unless there is one already, whose time goes on. Answers the one that is kept. */
	share(shared: Shared): MaybePromise<string>
	health(): MaybePromise<readonly NodeHealth[]>
	/** For stores that can be copied; those of other people need not. */
	transfer?(): StoreTransfer
	/**
	 * Lets go of what the session holds, within `timeoutMs` where that is given, whatever is on its way: nothing keeps the process alive then. The stored
	 * numbers stay. No other call follows.
	 */
	close(timeoutMs?: number): MaybePromise<void>
}

/** Where the numbers are kept. */
export interface Store {
	/** For `servedBy` and messages: 'memory', 'sqlite', 'redis'. */
	readonly name: string
	/** A fixed share of the keys each; `partitionOf(key, partitions)` in hash/partition.ts says which. Recorded with the data. */
	readonly partitions: number
	/** Throws MismatchError when the namespace holds data of other settings and that is known at once; otherwise the first call rejects with it. */
	open(settings: SessionSettings): StoreSession
}
