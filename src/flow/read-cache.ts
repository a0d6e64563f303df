/**
 * Keeps what was read from the store for a while: one load per reading however many ask, and while the store is down the last answer, marked stale.
 *
 * A reading that is kept must go on being right about this process's own hits. Hits that are not stored yet are added when it is used; a batch that
 * becomes stored is folded into the readings that were taken before. A load races with that: a batch can become stored while the answer is under way,
 * and may or may not be in it. So each load notes the batches that were stored since it began and folds them in at its end; the reading itself knows,
 * by the sequences the store gave with it, which of them it contains.
 */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { isTallymarkError, StoreUnavailableError } from '../errors.ts'
import { type Lane, lanes, type MaybePromise } from '../stores/store.ts'
import { inTime } from './in-time.ts'
import type { FrozenBatch } from './write-batcher.ts'

/** Something read from the store. */
export interface Reading {
	/** For `servedBy` when it comes fresh. */
	readonly servedBy: string
	/** The bytes it takes, about. */
	readonly size: number
	/** Adds a batch that was stored after the reading was asked for; what it contains already is left out. */
	fold(batch: FrozenBatch): void
	/** Gives pooled memory back; not used afterwards. */
	release(): void
}

/** Where an answer comes from, and how old it is. */
export interface Provenance {
	/** `'cache'`, or what the store says: 'memory', 'redis:<name>'. */
	readonly servedBy: string
	/** The store could not be asked and the kept answer is past its ttl. */
	readonly stale: boolean
	/** When the store was read, epoch milliseconds. This process's own hits since are included. */
	readonly asOf: number
}

export interface CacheLimits {
	/** How long a reading is taken for fresh. */
	readonly ttlMs: number
	/** Keys whose readings are kept. */
	readonly max: number
	/** How long past its ttl a reading may answer while the store is down. */
	readonly staleMs: number
}

export interface ReadCacheOptions {
	/** undefined: nothing is kept. */
	readonly limits: CacheLimits | undefined
	readonly clock: Clock
	readonly storeName: string
	/** A load without an answer has failed after this. */
	readonly timeoutMs: number
	/** Bytes of all readings that are kept, about. @default 64 MB */
	readonly mostBytes?: number
}

/** After a failed load, readings that are kept answer for this long before the store is asked again. */
const restMs = 1_000
/** Readings that a slot keeps: whoever may choose ranges or prefixes must not fill the memory with them. */
const mostReadings = 100
/** Nor with long ones: past this the keys that were not read for the longest time are let go of. */
const defaultMostBytes = 2 ** 26

interface Held {
	reading: Reading | undefined
	loadedAt: number
	failedAt: number
	/** Settles when the load under way ends; never rejects. */
	loading: Promise<Failure | undefined> | undefined
	/** Stored while the load is under way; undefined while none is. */
	early: FrozenBatch[] | undefined
	/** Calls that use `reading` or wait for it: a reading that fell out of the cache is released after the last of them. */
	users: number
	dropped: boolean
	/** What `reading` counts for in the bytes that are kept. */
	size: number
}

interface Failure {
	readonly error: unknown
}

/** The readings of one key (or of a lane's all keys, or its lists) by name. */
interface Slot {
	readonly held: Map<string, Held>
	folded: FrozenBatch | undefined
	/** When it was last asked for. */
	usedAt: number
}

/** The slot of a key's readings. */
export const slotOfKey = (lane: Lane, key: string): string => `k:${lane}:${key}`
/** The slot of the readings of all keys together. */
export const slotOfAll = (lane: Lane): string => `a:${lane}`
/** The slot of top and trending lists. They cannot be folded into, and are read anew after this process stored something. */
export const slotOfLists = (lane: Lane): string => `l:${lane}`

/** See above. */
export class ReadCache {
	readonly #options: ReadCacheOptions
	readonly #slots: LRUCache<string, Slot> | undefined
	/** What somebody waits for: loads under way, and those that ended a moment ago. */
	readonly #awaited = new Set<Held>()
	/** Of the readings in the slots. */
	#bytes = 0

	constructor(options: ReadCacheOptions) {
		this.#options = options
		if (options.limits !== undefined) {
			this.#slots = new LRUCache({
				max: options.limits.max,
				dispose: ({ held }) => {
					for (const each of held.values()) this.#drop(each)
				},
			})
		}
	}

	/**
	 * Calls `use` with the reading `name` of `slot`, kept or loaded; without a slot it is loaded and not kept. `use` runs in one go: it must not keep the reading.
	 * Rejects with StoreUnavailableError when the store does not answer and nothing is kept.
	 */
	async read<R extends Reading, T>(
		slot: string | undefined,
		name: string,
		load: () => MaybePromise<R>,
		use: (reading: R, from: Provenance) => T,
	): Promise<T> {
		const { limits, clock } = this.#options
		const held = this.#hold(slot, name)
		held.users += 1
		try {
			if (limits !== undefined && held.reading !== undefined) {
				const now = clock.now()
				const age = now - held.loadedAt
				// A clock that was set back must not make an answer fresh for ever.
				if (age >= 0 && age < limits.ttlMs) return use(held.reading as R, { servedBy: 'cache', stale: false, asOf: held.loadedAt })
				const rested = now - held.failedAt
				if (rested >= 0 && rested < restMs && age < limits.ttlMs + limits.staleMs)
					return use(held.reading as R, { servedBy: 'cache', stale: true, asOf: held.loadedAt })
			}
			this.#awaited.add(held)
			// Cleared a turn later: a store that answers at once ends the load before it is assigned here.
			held.loading ??= this.#load(held, load).finally(() => {
				held.loading = undefined
			})
			const failure = await held.loading
			if (failure === undefined) {
				const reading = held.reading as R
				return use(reading, { servedBy: reading.servedBy, stale: false, asOf: held.loadedAt })
			}
			const unavailable = !isTallymarkError(failure.error) || failure.error.code === 'ERR_TALLYMARK_STORE_UNAVAILABLE'
			if (
				unavailable &&
				limits !== undefined &&
				held.reading !== undefined &&
				clock.now() - held.loadedAt < limits.ttlMs + limits.staleMs
			) {
				return use(held.reading as R, { servedBy: 'cache', stale: true, asOf: held.loadedAt })
			}
			throw this.#asError(failure.error)
		} finally {
			held.users -= 1
			if (held.users === 0) this.#awaited.delete(held)
			if (held.dropped && held.users === 0) held.reading?.release()
		}
	}

	/** A batch was stored: readings taken before go on including it. */
	stored(batch: FrozenBatch): void {
		if (batch.kind !== 'hits') {
			this.#forget(batch)
			return
		}
		for (const held of this.#awaited) {
			held.early?.push(batch)
			// In no slot (any more), and between the end of its load and those who wait for it there are some turns.
			if (held.dropped) held.reading?.fold(batch)
		}
		if (this.#slots === undefined) return
		for (const group of batch.groups) {
			this.#slots.delete(slotOfLists(group.lane))
			this.#fold(slotOfAll(group.lane), batch)
			for (const { key } of group.deltas) this.#fold(slotOfKey(group.lane, key), batch)
		}
	}

	#fold(id: string, batch: FrozenBatch): void {
		const slot = this.#slots?.peek(id)
		// A key may occur in several minutes of a batch.
		if (slot === undefined || slot.folded === batch) return
		slot.folded = batch
		for (const { reading } of slot.held.values()) reading?.fold(batch)
	}

	/** After a set or a delete nothing that was read before is right. */
	#forget(batch: Exclude<FrozenBatch, { kind: 'hits' }>): void {
		for (const lane of lanes) {
			this.#slots?.delete(slotOfKey(lane, batch.key))
			this.#slots?.delete(slotOfAll(lane))
			this.#slots?.delete(slotOfLists(lane))
		}
	}

	#hold(id: string | undefined, name: string): Held {
		const fresh: Held = {
			reading: undefined,
			loadedAt: 0,
			failedAt: Number.NEGATIVE_INFINITY,
			loading: undefined,
			early: undefined,
			users: 0,
			dropped: false,
			size: 0,
		}
		if (this.#slots === undefined || id === undefined) {
			fresh.dropped = true
			return fresh
		}
		const now = this.#options.clock.now()
		let slot = this.#slots.get(id)
		if (slot === undefined) {
			this.#sweep(this.#slots, now)
			slot = { held: new Map(), folded: undefined, usedAt: now }
			this.#slots.set(id, slot)
		}
		slot.usedAt = now
		let held = slot.held.get(name)
		if (held === undefined) {
			this.#prune(slot)
			held = fresh
			slot.held.set(name, held)
		}
		return held
	}

	/** Makes room for a reading. Those of moving windows have a new name every minute: the old ones go. */
	#prune(slot: Slot): void {
		const { limits, clock } = this.#options
		const oldest = clock.now() - (limits === undefined ? 0 : limits.ttlMs + limits.staleMs)
		for (const [name, held] of slot.held) {
			if (held.loading !== undefined || (held.loadedAt > oldest && slot.held.size < mostReadings)) continue
			slot.held.delete(name)
			this.#drop(held)
		}
	}

	/** Lets go of the slots that nobody asked for since what they have is too old to answer. */
	#sweep(slots: LRUCache<string, Slot>, now: number): void {
		const { limits } = this.#options
		const oldest = now - (limits === undefined ? 0 : limits.ttlMs + limits.staleMs)
		const longestUnused = () => slots.rvalues().next().value
		for (let slot = longestUnused(); slot !== undefined && slot.usedAt < oldest; slot = longestUnused()) slots.pop()
	}

	/** A reading was loaded, and takes its place among those that are kept. */
	#weigh(held: Held, size: number): void {
		if (held.dropped) return
		this.#bytes += size - held.size
		held.size = size
		const { mostBytes = defaultMostBytes } = this.#options
		// It may be its own slot that goes: whoever waits for it has it all the same.
		while (this.#bytes > mostBytes && this.#slots?.pop() !== undefined) {}
	}

	#drop(held: Held): void {
		held.dropped = true
		this.#bytes -= held.size
		held.size = 0
		if (held.users === 0) held.reading?.release()
	}

	async #load(held: Held, load: () => MaybePromise<Reading>): Promise<Failure | undefined> {
		const early: FrozenBatch[] = []
		held.early = early
		try {
			const answer = load()
			const reading = answer instanceof Promise ? await this.#inTime(answer) : answer
			for (const batch of early) reading.fold(batch)
			held.reading?.release()
			held.reading = reading
			held.loadedAt = this.#options.clock.now()
			held.failedAt = Number.NEGATIVE_INFINITY
			this.#weigh(held, reading.size)
			return undefined
		} catch (error) {
			held.failedAt = this.#options.clock.now()
			return { error }
		} finally {
			held.early = undefined
		}
	}

	/** `answer`, or a rejection when it takes too long: a reader never hangs. */
	#inTime(answer: Promise<Reading>): Promise<Reading> {
		const { clock, timeoutMs, storeName } = this.#options
		const tooLate = () => new StoreUnavailableError(`The store '${storeName}' did not answer a read within ${timeoutMs} ms`)
		return inTime(clock, answer, timeoutMs, tooLate, (reading) => reading.release())
	}

	#asError(cause: unknown): Error {
		if (isTallymarkError(cause)) return cause
		const message = cause instanceof Error ? cause.message : String(cause)
		return new StoreUnavailableError(`The store '${this.#options.storeName}' could not be read: ${message}`, { cause })
	}
}
