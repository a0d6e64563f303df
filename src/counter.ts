/** The counter: takes hits, answers numbers. Composes the store, the batcher and the cache; what each does is in its own file. */
import type { Time } from './clock.ts'
import {
	type AllView,
	type CounterView,
	LaneView,
	type ListOptions,
	type ListPage,
	type Stats,
	type TopEntry,
	type TopOptions,
	type TrendingEntry,
	type ViewContext,
} from './counter-view.ts'
import { ClosedError, isTallymarkError, StoreUnavailableError, TallymarkError } from './errors.ts'
import { attempt, Emitter } from './events.ts'
import type { DropEvent, FlushEvent, RetryEvent } from './flow/batch-events.ts'
import { inTime } from './flow/in-time.ts'
import { Marks } from './flow/marks.ts'
import { ReadCache } from './flow/read-cache.ts'
import type { HitReceipt } from './flow/receipt.ts'
import { WriteBatcher } from './flow/write-batcher.ts'
import { hashed, hashText } from './hash/murmur64.ts'
import { partitionOf } from './hash/partition.ts'
import { checkAt, checkKey, checkLane, checkNames, checkShared, checkText, checkWhole, longestText } from './input.ts'
import { KeyBudget } from './key-budget.ts'
import { type CounterOptions, type Settings, settingsOf } from './options.ts'
import { MemoryStore } from './stores/memory.ts'
import {
	type Claim,
	type Lane,
	lanes,
	type MaybePromise,
	type NodeHealth,
	type Shared,
	type Store,
	type StoreEvent,
	type StoreSession,
} from './stores/store.ts'
import type { Range } from './time/range.ts'
import type { SeriesOptions, SeriesPoint } from './time/series.ts'
import type { Estimate } from './visitors/tracker.ts'

/**
 * Names that are none of these are refused with the first hit of a key that waits. While it waits, further hits on the key take a short way, on which
 * only the options below are looked at: a misspelt one does nothing.
 */
export interface HitOptions {
	/** Who hits: an opaque string of 1 to 4,096 characters. Never stored as it is by the default tracker. */
	readonly visitor?: string | undefined
	/** How many hits this is worth, a safe integer of at least 1. @default 1 */
	readonly by?: number | undefined
	/** When it happened: from 1970 to a day ahead. @default now */
	readonly at?: Time | undefined
	/** @default 'human' */
	readonly lane?: Lane | undefined
	/** Idempotency key: a hit whose id was counted already is not counted again, whatever its key, for `idMemoryMs`. */
	readonly id?: string | undefined
}

/** What a counter emits. */
export interface CounterEvents {
	/** Something went wrong in the background. Nobody needs to listen: an 'error' without a listener does nothing. */
	error: TallymarkError
	/** A batch was stored. */
	flush: FlushEvent
	/** An attempt to store failed; the same batch is sent again. */
	retry: RetryEvent
	/** Hits are not counted. */
	drop: DropEvent
	/** The store lost hits that it had acknowledged, and they can no longer be sent again. */
	rollback: Extract<StoreEvent, { type: 'rollback' }>
	/** Which server owns what has changed. */
	topology: Extract<StoreEvent, { type: 'topology' }>
}

export interface Health {
	/** `degraded`: a node is down, or the last attempt to store failed. */
	readonly status: 'up' | 'degraded' | 'down'
	readonly store: string
	readonly nodes: readonly NodeHealth[]
	/** Keys (per minute and lane) and hits that are not known to be stored. */
	readonly pendingKeys: number
	readonly pendingHits: number
	/** Age of the oldest of them, milliseconds. */
	readonly oldestPendingMs: number
	/** Hits refused or lost since the start; each was reported. */
	readonly dropped: number
	/** Hits the store lost after acknowledging them: out of the all-time numbers, which every hit is in. Each was reported, as was what the buckets lost. */
	readonly rolledBack: number
	readonly lastError: TallymarkError | undefined
}

export interface CloseReport {
	/** Hits stored while closing. */
	readonly stored: number
	/** Hits not known to be stored when the time was up. They are lost with the process. */
	readonly unstored: number
}

const hitNames = ['visitor', 'by', 'at', 'lane', 'id']
const noOptions: HitOptions = Object.freeze({})
const flushTimeoutMs = 30_000
const closeTimeoutMs = 10_000
const attemptTimeoutMs = 15_000
/** For a store that has no limit of its own. */
const defaultReadTimeoutMs = 2_000

/** Marks a promise as looked after: whoever does not await a refused hit must not bring the process down. */
function quietly<T>(promise: Promise<T>): Promise<T> {
	promise.catch(() => {})
	return promise
}

/**
 * Counts hits on keys.
 *
 * `hit()` never throws into a request: it returns a promise, already resolved when batched. A hit that is refused for bad input rejects it and emits
 * 'error'; nobody needs to catch that. Throws `ERR_TALLYMARK_OPTION` for bad options, MismatchError where the store holds data of other settings.
 */
export class Counter<Key extends string = string> implements CounterView<Key>, AsyncDisposable {
	/** Every key together: the site's own numbers. */
	readonly all: AllView
	readonly #settings: Settings
	readonly #store: Store
	readonly #session: StoreSession
	readonly #batcher: WriteBatcher
	readonly #events = new Emitter<CounterEvents>()
	readonly #budget: KeyBudget | undefined
	readonly #views: Readonly<Record<Lane, LaneView<Key>>>
	readonly #human: LaneView<Key>
	readonly #unbatched: boolean
	/** Whether most hits can take the short way: nothing is awaited and no mark is set. */
	readonly #plain: boolean
	readonly #marks: Marks
	/** Within which the store answers a reading, or has failed. */
	readonly #readTimeoutMs: number
	/** The stored keys could not be read for `maxKeys`, and are when the store answers again. */
	#unlearnt = false
	#closing: Promise<CloseReport> | undefined
	#closed = false
	#stored = 0
	#rolledBack = 0

	constructor(options: CounterOptions = {}) {
		this.#settings = settingsOf(options)
		const { clock, tracker, batch, cache, unbatched, maxKeys } = this.#settings
		this.#unbatched = unbatched
		this.#plain = !unbatched && this.#settings.cooldownMs === 0
		this.#store = options.store ?? new MemoryStore()
		this.#session = this.#store.open({ ...this.#settings, writer: newWriter(), report: (event) => this.#told(event) })
		const { name: storeName, partitions } = this.#store
		this.#readTimeoutMs = this.#session.readTimeoutMs ?? defaultReadTimeoutMs
		const readings = new ReadCache({ limits: cache, clock, storeName, timeoutMs: this.#readTimeoutMs })
		this.#batcher = new WriteBatcher({
			apply: (work) => this.#session.apply(work),
			storeName,
			partitions,
			limits: batch,
			clock,
			tracker,
			attemptTimeoutMs,
			reports: {
				flush: (event) => {
					this.#stored += event.hits
					this.#emit('flush', event)
				},
				retry: (event) => this.#emit('retry', event),
				drop: (event) => this.#emit('drop', event),
				error: (error) => this.#failed(error),
				stored: (work) => {
					readings.stored(work)
					if (this.#unlearnt) void this.#learn()
				},
			},
		})
		this.#marks = new Marks({
			session: this.#session,
			storeName,
			clock,
			timeoutMs: attemptTimeoutMs,
			failed: (error) => this.#failed(error),
		})
		this.#budget = maxKeys === undefined ? undefined : new KeyBudget(maxKeys, true)
		const context: ViewContext = {
			settings: this.#settings,
			session: this.#session,
			batcher: this.#batcher,
			cache: readings,
			assertOpen: () => this.#assertOpen(),
		}
		this.#views = Object.fromEntries(lanes.map((lane) => [lane, new LaneView<Key>(context, lane)])) as Record<Lane, LaneView<Key>>
		this.#human = this.#views.human
		this.all = this.#human.all
		if (this.#budget !== undefined) void this.#learn()
	}

	/**
	 * Counts a hit. Batched (the default) it answers at once; with `batch: false` when the hit is stored.
	 * Rejects with `ERR_TALLYMARK_KEY` or `ERR_TALLYMARK_ARGUMENT` for bad input, ClosedError after `close()`; nothing is counted then. With `batch: false`
	 * also as `flush()` does; the hit is kept then, and sent again.
	 */
	hit(key: Key, options?: HitOptions): Promise<HitReceipt> {
		try {
			if (this.#plain) {
				// A hit, now, on a key that waits already: everything that could be wrong with it was checked when the key came first.
				const receipt =
					options === undefined
						? this.#batcher.again(key)
						: options !== null && onlyVisitor(options)
							? this.#batcher.againBy(key, options.visitor)
							: undefined
				if (receipt !== undefined) return receipt
			}
			return this.#hit(key, options === undefined ? noOptions : options)
		} catch (error) {
			const known = isTallymarkError(error) ? error : new TallymarkError('ERR_TALLYMARK_ARGUMENT', 'A hit failed', { cause: error })
			this.#failed(known)
			return quietly(Promise.reject(known))
		}
	}

	#hit(key: string, options: HitOptions): Promise<HitReceipt> {
		this.#assertOpen()
		const { clock, maxKeyBytes, cooldownMs } = this.#settings
		checkKey(key, maxKeyBytes)
		if (options !== noOptions) checkNames('hit', options, hitNames)
		const { visitor, by = 1, lane = 'human', id } = options
		const now = clock.now()
		const at = options.at === undefined ? now : checkAt(options.at, now)
		if (by !== 1) checkWhole('by', by, 1)
		if (lane !== 'human') checkLane(lane)
		if (visitor !== undefined) checkText('visitor', visitor)
		if (id !== undefined) checkText('id', id)
		const counted = this.#budget?.admit(key) ?? key
		const claimed = id !== undefined || (cooldownMs > 0 && visitor !== undefined)
		const receipt = claimed
			? this.#claimed(this.#claims(key, lane, visitor, id), counted, lane, at, by, visitor)
			: this.#batcher.add(counted, lane, at, by, visitor)
		if (!this.#unbatched) return receipt
		return quietly(this.#whenStored(receipt))
	}

	async #whenStored(receipt: Promise<HitReceipt>): Promise<HitReceipt> {
		const answer = await receipt
		// Its own partition only: one that cannot be reached holds up no other.
		if (answer.counted) await this.#batcher.flush(flushTimeoutMs, partitionOf(answer.key, this.#store.partitions))
		return answer
	}

	/** The marks of a hit: its id, and the visitor's cooldown on the key, which may be counted under another. */
	#claims(key: string, lane: Lane, visitor: string | undefined, id: string | undefined): Claim[] {
		const { cooldownMs, idMemoryMs } = this.#settings
		const partition = partitionOf(key, this.#store.partitions)
		const wanted: Claim[] = []
		if (id !== undefined)
			wanted.push({ kind: 'id', partition: partitionOf(id, this.#store.partitions), name: nameOf(id), ttlMs: idMemoryMs })
		// The lengths keep two pairs of key and visitor from reading as one.
		if (cooldownMs > 0 && visitor !== undefined)
			wanted.push({ kind: 'cooldown', partition, name: nameOf(`${lane} ${key.length} ${key}${visitor}`), ttlMs: cooldownMs })
		return wanted
	}

	/** A hit that needs marks set first. */
	#claimed(wanted: readonly Claim[], key: string, lane: Lane, at: number, by: number, visitor: string | undefined): Promise<HitReceipt> {
		// What would be refused must not leave a mark: the same hit sent again later is a new one. Hits that wait for their marks wait in memory too.
		if (this.#marks.waiting >= this.#settings.batch.maxPendingKeys || this.#batcher.refuses(key, lane, at, visitor))
			return this.#batcher.refuse(key, by)
		return this.#marks.claim(wanted, key, () => this.#batcher.add(key, lane, at, by, visitor))
	}

	count(key: Key, range?: Range): Promise<number> {
		return this.#human.count(key, range)
	}

	uniques(key: Key | readonly Key[], range?: Range): Promise<Estimate> {
		return this.#human.uniques(key, range)
	}

	stats(key: Key): Promise<Stats> {
		return this.#human.stats(key)
	}

	series(key: Key, options: SeriesOptions): Promise<SeriesPoint[]> {
		return this.#human.series(key, options)
	}

	rate(key: Key, options?: { readonly windowMs?: number | undefined }): Promise<number> {
		return this.#human.rate(key, options)
	}

	top(options?: TopOptions): Promise<TopEntry[]> {
		return this.#human.top(options)
	}

	trending(options?: { readonly limit?: number | undefined }): Promise<TrendingEntry[]> {
		return this.#human.trending(options)
	}

	list(options?: ListOptions): Promise<ListPage<Key>> {
		return this.#human.list(options)
	}

	/** The reading methods over another lane. Throws `ERR_TALLYMARK_ARGUMENT` for an unknown one. */
	lane(name: Lane): CounterView<Key> {
		checkLane(name)
		return this.#views[name]
	}

	/** Sets the all-time hits of a key (>= 0), in the human lane: a start value or a correction. Hits before the call are overwritten, hits after it add up. */
	async set(key: Key, hits: number): Promise<void> {
		this.#assertOpen()
		checkKey(key, this.#settings.maxKeyBytes)
		checkWhole('hits', hits, 0)
		this.#budget?.learn([key])
		await this.#batcher.set('human', key, hits)
	}

	/**
	 * Forgets every number of a key, in every lane: hits, buckets, visitors, trend. Answers whether there was any. Hits before the call are gone, hits
	 * after it count anew. The hits of all keys together go down; their visitors are a union, out of which nobody can be taken.
	 */
	async delete(key: Key): Promise<boolean> {
		this.#assertOpen()
		checkKey(key, this.#settings.maxKeyBytes)
		// At once: hits that come after the call make it a new key.
		this.#budget?.forget(key)
		const outcome = await this.#batcher.delete(key)
		return outcome.status !== 'refused' && (outcome.existed ?? true)
	}

	/**
	 * Resolves when everything accepted before the call is stored. Rejects with StoreUnavailableError after `timeoutMs` (default 30 s), at once with what no
	 * waiting cures: MismatchError, `ERR_TALLYMARK_SETUP`. Nothing is lost by that.
	 */
	async flush(options: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
		this.#assertOpen()
		checkNames('flush', options, ['timeoutMs'])
		const { timeoutMs = flushTimeoutMs } = options
		checkWhole('timeoutMs', timeoutMs, 0, 86_400_000)
		await this.#batcher.flush(timeoutMs)
	}

	/** The state of the store's nodes and of what waits. Never rejects: a store that does not answer is down. */
	async health(): Promise<Health> {
		const { keys, hits, oldestMs } = this.#batcher.waiting()
		const nodes = await this.#nodes()
		const up = nodes.filter((node) => node.status === 'up').length
		const { lastError, dropped } = this.#batcher
		return {
			status: up === 0 ? 'down' : up < nodes.length || lastError !== undefined ? 'degraded' : 'up',
			store: this.#store.name,
			nodes,
			pendingKeys: keys,
			pendingHits: hits,
			oldestPendingMs: oldestMs,
			dropped,
			rolledBack: this.#rolledBack,
			lastError,
		}
	}

	async #nodes(): Promise<readonly NodeHealth[]> {
		const { name } = this.#store
		const down = (reason: string): NodeHealth[] => [{ name, status: 'down', latencyMs: undefined, reason }]
		if (this.#closed) return down('this counter is closed')
		try {
			const answer = this.#session.health()
			if (!(answer instanceof Promise)) return answer
			const ms = this.#readTimeoutMs
			return await inTime(this.#settings.clock, answer, ms, () => new Error(`no answer within ${ms} ms`))
		} catch (error) {
			return down(error instanceof Error ? error.message : String(error))
		}
	}

	/**
	 * Takes no more hits, stores what waits, and lets go, all within `timeoutMs` (default 10 s). What could not be stored by then is told, never hidden.
	 * Calling it again gives the same answer.
	 */
	close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<CloseReport> {
		if (this.#closing !== undefined) return this.#closing
		const { timeoutMs = closeTimeoutMs } = options ?? {}
		try {
			checkNames('close', options, ['timeoutMs'])
			checkWhole('timeoutMs', timeoutMs, 0, 86_400_000)
		} catch (error) {
			return Promise.reject(error)
		}
		this.#batcher.seal()
		// A turn later: the listeners that this calls must find the counter closed.
		const before = this.#stored
		this.#closing = Promise.resolve().then(() => this.#close(timeoutMs, before))
		return this.#closing
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.close()
	}

	async #close(timeoutMs: number, before: number): Promise<CloseReport> {
		const { clock } = this.#settings
		const deadline = clock.now() + timeoutMs
		// A clock that is set back must not move the deadline.
		const left = () => Math.min(timeoutMs, Math.max(0, deadline - clock.now()))
		// The store gets a moment to let go when it has not answered until then.
		const lettingGoMs = Math.min(100, timeoutMs / 10)
		try {
			if (this.#marks.waiting > 0) await this.#withTimeLeft(this.#marks.settled(), left() - lettingGoMs)
			await this.#batcher.flush(Math.max(0, left() - lettingGoMs))
		} catch (error) {
			this.#failed(error as TallymarkError)
		}
		const { hits } = this.#batcher.waiting()
		this.#batcher.stop()
		this.#closed = true
		try {
			const ms = Math.max(lettingGoMs, left())
			await this.#withTimeLeft(this.#session.close(ms), ms)
		} catch (error) {
			this.#failed(
				isTallymarkError(error)
					? error
					: new StoreUnavailableError(`The store '${this.#store.name}' could not be closed`, { cause: error }),
			)
		}
		return { stored: this.#stored - before, unstored: hits }
	}

	/** A store that never answers must not keep close() from ending. */
	async #withTimeLeft(closed: MaybePromise<unknown>, ms: number): Promise<void> {
		if (!(closed instanceof Promise)) return
		await new Promise<void>((resolve, reject) => {
			const timer = this.#settings.clock.setTimer(resolve, ms)
			closed.then(() => resolve(), reject).finally(() => timer.cancel())
		})
	}

	/**
	 * Keeps a small text under a name for every counter of the namespace, unless there is one already; answers the one that is kept, at once in memory.
	 * It ends after `ttlMs` (1 to a year), whoever asks. `name`: 1 to 128 letters, digits, `.`, `_`, `:`, `-`; `value`: 1 to 4,096 characters. Throws, or
	 * rejects with, `ERR_TALLYMARK_ARGUMENT`, ClosedError, and StoreUnavailableError when the store has not answered in the time that a reading has.
	 */
	share(shared: Shared): MaybePromise<string> {
		this.#assertOpen()
		checkNames('share', shared, ['name', 'value', 'ttlMs'])
		checkShared(shared)
		const answer = this.#session.share(shared)
		if (!(answer instanceof Promise)) return answer
		const ms = this.#readTimeoutMs
		const tooLate = () => new StoreUnavailableError(`The store '${this.#store.name}' did not answer within ${ms} ms`)
		return inTime(this.#settings.clock, answer, ms, tooLate)
	}

	on<Name extends keyof CounterEvents>(name: Name, listener: (event: CounterEvents[Name]) => void): this {
		this.#events.on(name, listener)
		return this
	}

	off<Name extends keyof CounterEvents>(name: Name, listener: (event: CounterEvents[Name]) => void): this {
		this.#events.off(name, listener)
		return this
	}

	/** Tells the 'error' listeners and `onError` of a failure around the counting; middleware does so. Never throws. */
	report(error: TallymarkError): void {
		this.#failed(error)
	}

	#assertOpen(): void {
		if (this.#closing !== undefined) throw new ClosedError('This counter')
	}

	#told(event: StoreEvent): void {
		if (event.type === 'error') this.#failed(event.error)
		else if (event.type === 'rollback') {
			// Each set tells what it lost: the buckets of a hit, and its trend, lost the same hit.
			if (event.what === 'total' || event.what.endsWith(' total')) this.#rolledBack += event.hits
			this.#emit('rollback', event)
		} else this.#emit('topology', event)
	}

	#failed(error: TallymarkError): void {
		this.#emit('error', error)
		// Whoever is told of errors is the last in the line.
		attempt(
			() => this.#settings.onError?.(error),
			() => {},
		)
	}

	/** A listener that throws must not stop the counting: its error is reported as one. */
	#emit<Name extends keyof CounterEvents>(name: Name, event: CounterEvents[Name]): void {
		this.#events.emit(name, event, (cause) => {
			if (name !== 'error') this.#failed(new TallymarkError('ERR_TALLYMARK_ARGUMENT', `A listener of '${name}' threw`, { cause }))
		})
	}

	/** Keys that are stored already must not be turned away by `maxKeys`. A store that answers at once is read at once, before the first hit. */
	async #learn(): Promise<void> {
		this.#unlearnt = false
		try {
			for (const lane of lanes) {
				const pages = this.#session.keys(lane)
				if (Symbol.iterator in pages) for (const keys of pages) this.#budget?.learn(keys)
				else {
					for await (const keys of pages) {
						if (this.#closed) return
						this.#budget?.learn(keys)
					}
				}
			}
			this.#budget?.learnt()
		} catch (error) {
			this.#unlearnt = true
			this.#failed(
				isTallymarkError(error) ? error : new StoreUnavailableError('The stored keys could not be read for `maxKeys`', { cause: error }),
			)
		}
	}
}

/** Whether the options say who hits and nothing else that matters. Names nobody knows are caught on the long way, with the first hit of a key. */
function onlyVisitor(options: HitOptions): options is { readonly visitor: string } {
	const { visitor } = options
	return (
		typeof visitor === 'string' &&
		visitor !== '' &&
		visitor.length <= longestText &&
		options.by === undefined &&
		options.at === undefined &&
		options.lane === undefined &&
		options.id === undefined
	)
}

/** 64 random bits; never copied, so two processes that were forked from one image are two writers. */
function newWriter(): string {
	const bytes = globalThis.crypto.getRandomValues(new Uint8Array(8))
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** What is claimed, as 16 hex digits. */
function nameOf(text: string): string {
	hashText(text)
	return [hashed[1]!, hashed[0]!].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
}
