/**
 * Gathers hits and brings them to the store, each exactly once as far as the store keeps its word.
 *
 * Every partition has a channel of its own. A channel has at most one batch under way; the batch is frozen from the moment it is cut and is sent again,
 * the same with the same sequence, until the store says that it is stored or that it will never be. Meanwhile new hits gather in the slabs and go into
 * the next batch, so a partition that cannot be reached holds up no other. A batch is cut by age, by size, or because somebody waits for it.
 *
 * What is sent twice counts once because the store knows the sequence; what is answered late is an answer all the same: an outcome of an earlier
 * attempt settles the batch, whichever attempt is under way.
 */

import type { Clock, Timer } from '../clock.ts'
import { isTallymarkError, StoreUnavailableError, type TallymarkError, type TallymarkErrorCode } from '../errors.ts'
import { partitionOf } from '../hash/partition.ts'
import type { Batch, Lane, MaybePromise, Outcome } from '../stores/store.ts'
import type { VisitorTracker } from '../visitors/tracker.ts'
import { backoffMs } from './backoff.ts'
import type { DropEvent, FlushEvent, RetryEvent } from './batch-events.ts'
import type { Entry, Group, Slab } from './pending.ts'
import type { HitReceipt } from './receipt.ts'
import { Slabs } from './slabs.ts'

export interface BatchLimits {
	/** The age of the oldest waiting hit at which a batch is cut. */
	readonly maxWaitMs: number
	/** The number of waiting keys of a partition at which a batch is cut. */
	readonly maxKeys: number
	/** The number of keys and visitors, waiting or under way, past which hits are refused. */
	readonly maxPendingKeys: number
}

/** Whom the batcher tells. None of them may throw. */
export interface BatcherReports {
	flush(event: FlushEvent): void
	retry(event: RetryEvent): void
	drop(event: DropEvent): void
	error(error: TallymarkError): void
	/** The batch is stored; called before anybody who waits for it goes on. */
	stored(batch: FrozenBatch): void
}

export interface WriteBatcherOptions {
	readonly apply: (batch: Batch) => MaybePromise<Outcome>
	readonly storeName: string
	readonly partitions: number
	readonly limits: BatchLimits
	readonly clock: Clock
	readonly tracker: VisitorTracker | undefined
	readonly reports: BatcherReports
	/** An attempt without an answer counts as failed after this. */
	readonly attemptTimeoutMs: number
	/** In [0, 1), for the jitter of retries. */
	readonly random?: () => number
}

/** What waits, in numbers. */
export interface Waiting {
	readonly keys: number
	readonly hits: number
	/** Age of the oldest waiting hit; 0 when none waits. */
	readonly oldestMs: number
}

type Content =
	| { kind: 'hits'; groups: readonly Group[] }
	| { kind: 'set'; lane: Lane; key: string; hits: number }
	| { kind: 'delete'; key: string }

/** A batch as the batcher makes it: frozen, its groups searchable by key. */
export type FrozenBatch = Content & { readonly partition: number; readonly sequence: number }

interface Waiter {
	resolve(): void
	reject(error: TallymarkError): void
}

/** A frozen batch on its way. */
interface Work {
	readonly batch: FrozenBatch
	readonly keys: number
	readonly hits: number
	/** What it counts for in `maxPendingKeys`. */
	readonly units: number
	/** When its oldest hit came. */
	readonly since: number
	attempts: number
	firstSentAt: number
	/** Those who wait until it is stored. */
	waiters: Waiter[]
	/** Of a set or delete: the caller. */
	readonly done?: { resolve(outcome: Outcome): void; reject(error: TallymarkError): void }
}

interface Channel {
	readonly partition: number
	/** The last one given out. */
	sequence: number
	/** Frozen, in order of their sequences; only the first is under way. */
	readonly queue: Work[]
	/** `sending`: an attempt is under way; `resting`: the next one waits for its time. */
	state: 'idle' | 'sending' | 'resting'
	/** Of the attempt (gives up waiting) or of the retry. */
	timer: Timer | undefined
	/** What waits in the slabs is to be cut as soon as the queue is empty. */
	due: boolean
	/** Those who wait for everything that is in the slabs now; they join the batch that takes the last of it. */
	waiters: Waiter[]
	/** Entries in the slabs, of all lanes and minutes. */
	keys: number
	/** Why the batch under way is not stored yet. */
	error: TallymarkError | undefined
}

/** See above. */
export class WriteBatcher {
	readonly #options: WriteBatcherOptions
	readonly #clock: Clock
	readonly #channels: readonly Channel[]
	readonly #slabs: Slabs
	/** Keys and visitors that wait, at each multiple of which a cut is due. */
	readonly #crowd: number
	#ageTimer: Timer | undefined
	#sizeTimer: Timer | undefined
	#units = 0
	#dropped = 0
	#stopped = false

	constructor(options: WriteBatcherOptions) {
		this.#options = options
		this.#clock = options.clock
		this.#crowd = Math.ceil(options.limits.maxPendingKeys / 8)
		this.#channels = Array.from({ length: options.partitions }, (_, partition) => ({
			partition,
			sequence: 0,
			queue: [],
			state: 'idle',
			timer: undefined,
			due: false,
			waiters: [],
			keys: 0,
			error: undefined,
		}))
		this.#slabs = new Slabs(options.partitions, options.clock)
	}

	/** Hits refused or lost so far. */
	get dropped(): number {
		return this.#dropped
	}

	/** Why something is not stored yet that was sent; undefined while all goes well. */
	get lastError(): TallymarkError | undefined {
		return this.#channels.find((channel) => channel.error !== undefined)?.error
	}

	/** One more human hit, now, on a key that has an entry: the whole hot path. undefined where there is none. */
	again(key: string): Promise<HitReceipt> | undefined {
		const now = this.#clock.now()
		const slab = this.#slabs.current
		if (now >= slab.until || now < slab.minute) return undefined
		const entry = slab.entries.get(key)
		if (entry === undefined) return undefined
		entry.hits += 1
		return entry.receipt
	}

	/** The same by a visitor, where the entry has visitors already and nothing would be refused, or where nobody wants to know visitors. */
	againBy(key: string, visitor: string): Promise<HitReceipt> | undefined {
		if (this.#options.tracker === undefined) return this.again(key)
		const now = this.#clock.now()
		const slab = this.#slabs.current
		if (now >= slab.until || now < slab.minute || this.#full) return undefined
		const entry = slab.entries.get(key)
		if (entry?.visitors === undefined) return undefined
		entry.hits += 1
		if (entry.visitors.add(visitor)) this.#grew(entry)
		return entry.receipt
	}

	/** Takes no more hits by `again`, only those by `add` whose marks were under way. What waits can still be flushed. */
	seal(): void {
		this.#slabs.seal()
	}

	get #full(): boolean {
		return this.#units >= this.#options.limits.maxPendingKeys
	}

	/** Whether `add` would refuse this hit: too much waits, and the hit is on a new key or names a visitor, who may be new. */
	refuses(key: string, lane: Lane, at: number, visitor: string | undefined): boolean {
		if (this.#stopped) return true
		if (!this.#full) return false
		const tracked = visitor !== undefined && this.#options.tracker !== undefined
		if (!tracked && this.#slabs.has(lane, at, key)) return false
		// What waits for its time only, or for a loop that never yields, is no reason to refuse anything.
		this.#cutAll()
		return this.#full
	}

	/** Adds `by` hits at the moment `at`. Everything was validated. */
	add(key: string, lane: Lane, at: number, by: number, visitor: string | undefined): Promise<HitReceipt> {
		if (this.refuses(key, lane, at, visitor)) return this.refuse(key, by)
		const slab = this.#slabs.of(lane, at)
		const waits = slab.entries.get(key)
		const entry = waits ?? slab.create(key)
		const { tracker } = this.#options
		if (visitor !== undefined && tracker !== undefined) {
			entry.visitors ??= tracker.delta()
			if (entry.visitors.add(visitor)) this.#grew(entry)
		}
		entry.hits += by
		if (waits === undefined) {
			this.#units += 1
			// Last: it may send the entry at once, and nothing changes an entry that was sent.
			this.#arm(slab, entry.partition)
		}
		return entry.receipt
	}

	/** Counts a hit that nothing can hold. */
	refuse(key: string, by: number): Promise<HitReceipt> {
		this.#dropped += by
		this.#options.reports.drop({ key, hits: by, reason: 'overflow' })
		return Promise.resolve({ counted: false, key, reason: 'overflow' })
	}

	/** A key began to wait: sets the timer of its age, and looks at the size. */
	#arm(slab: Slab, partition: number): void {
		slab.since ??= this.#clock.now()
		this.#ageTimer ??= this.#clock.setTimer(() => {
			this.#ageTimer = undefined
			this.#cutAll()
		}, this.#options.limits.maxWaitMs)
		const { maxKeys } = this.#options.limits
		const channel = this.#channels[partition]!
		channel.keys += 1
		const size = channel.keys
		if (size < maxKeys) return
		this.#cutSoon()
		// A loop that never lets a timer run.
		if (size % (2 * maxKeys) === 0) {
			channel.due = true
			this.#pump(channel)
		}
	}

	/** An entry has a visitor more. A crowd of new visitors on few keys is cut before it comes near the bound. */
	#grew(entry: Entry): void {
		entry.units += 1
		this.#units += 1
		if (this.#units % this.#crowd === 0) this.#cutSoon()
	}

	/** Not within the request that is being counted. */
	#cutSoon(): void {
		this.#sizeTimer ??= this.#clock.setTimer(() => {
			this.#sizeTimer = undefined
			this.#cutAll()
		}, 0)
	}

	#cutAll(): void {
		for (const channel of this.#channels) {
			channel.due = true
			this.#pump(channel)
		}
	}

	/**
	 * Resolves when everything accepted before the call (in one partition, if given) is stored; rejects with StoreUnavailableError after `timeoutMs`,
	 * the hits are kept. What is not worth waiting for, or was refused, ends the waiting for its own partition only; then it rejects with that error.
	 */
	flush(timeoutMs: number, partition?: number): Promise<void> {
		let left = 0
		let expired = false
		let first: TallymarkError | undefined
		let finish!: () => void
		let fail!: (error: TallymarkError) => void
		const promise = new Promise<void>((resolve, reject) => {
			finish = resolve
			fail = reject
		})
		const ended = (error?: TallymarkError) => {
			first ??= error
			left -= 1
			if (left > 0) return
			if (first === undefined) finish()
			else fail(first)
		}
		const waiter: Waiter = { resolve: () => ended(), reject: ended }
		const asked = partition === undefined ? this.#channels : [this.#channels[partition]!]
		const concerned = asked.filter((channel) => channel.keys > 0 || channel.queue.length > 0)
		left = concerned.length
		if (left === 0) return Promise.resolve()
		for (const channel of concerned) {
			if (channel.keys > 0) {
				channel.waiters.push(waiter)
				channel.due = true
			} else if (channel.queue.length > 0) channel.queue.at(-1)!.waiters.push(waiter)
			else {
				waiter.resolve()
				continue
			}
			this.#hurry(channel)
		}
		if (left === 0) return promise
		const timer = this.#clock.setTimer(() => {
			expired = true
			for (const channel of this.#channels) {
				channel.waiters = channel.waiters.filter((each) => each !== waiter)
				for (const work of channel.queue) work.waiters = work.waiters.filter((each) => each !== waiter)
			}
			const { hits } = this.waiting()
			fail(
				new StoreUnavailableError(
					`The store '${this.#options.storeName}' did not take everything within ${timeoutMs} ms: ${hits} hits are kept and sent again`,
					{
						cause: first ?? this.lastError,
					},
				),
			)
		}, timeoutMs)
		return promise.finally(() => {
			if (!expired) timer.cancel()
		})
	}

	/** Sets the all-time hits of a key, after all that was accepted before and before all that comes after. */
	set(lane: Lane, key: string, hits: number): Promise<Outcome> {
		return this.#operate({ kind: 'set', lane, key, hits })
	}

	/** Forgets a key, likewise. */
	delete(key: string): Promise<Outcome> {
		return this.#operate({ kind: 'delete', key })
	}

	#operate(content: Extract<Content, { key: string }>): Promise<Outcome> {
		const channel = this.#channels[partitionOf(content.key, this.#channels.length)]!
		if (channel.keys > 0) this.#cut(channel, Number.POSITIVE_INFINITY)
		return new Promise((resolve, reject) => {
			this.#enqueue(channel, content, { keys: 1, hits: 0, units: 0, since: this.#clock.now(), done: { resolve, reject } })
			this.#pump(channel)
		})
	}

	/** Calls `visit` for each entry of a lane that is not known to be stored: of `key`, or of all keys. `sequence`: of its batch; infinite while it is in none. */
	unstored(lane: Lane, key: string | undefined, visit: (minute: number, entry: Entry, sequence: number) => void): void {
		for (const slab of this.#slabs.all()) {
			if (slab.lane !== lane) continue
			if (key === undefined) for (const entry of slab.entries.values()) visit(slab.minute, entry, Number.POSITIVE_INFINITY)
			else {
				const entry = slab.entries.get(key)
				if (entry !== undefined) visit(slab.minute, entry, Number.POSITIVE_INFINITY)
			}
		}
		const channels = key === undefined ? this.#channels : [this.#channels[partitionOf(key, this.#channels.length)]!]
		for (const { queue } of channels) {
			for (const { batch } of queue) {
				if (batch.kind !== 'hits') continue
				for (const group of batch.groups) {
					if (group.lane !== lane) continue
					if (key === undefined) for (const entry of group.deltas) visit(group.minute, entry, batch.sequence)
					else {
						const entry = group.find(key)
						if (entry !== undefined) visit(group.minute, entry, batch.sequence)
					}
				}
			}
		}
	}

	/** Whether anything of a lane is not known to be stored, batches under way included. */
	waits(lane: Lane): boolean {
		for (const slab of this.#slabs.all()) if (slab.lane === lane && slab.entries.size > 0) return true
		return this.#channels.some(({ queue }) => queue.some(({ batch }) => concerns(batch, lane)))
	}

	waiting(): Waiting {
		let keys = 0
		let hits = 0
		let since = Number.POSITIVE_INFINITY
		for (const slab of this.#slabs.all()) {
			if (slab.entries.size === 0) continue
			keys += slab.entries.size
			for (const entry of slab.entries.values()) hits += entry.hits
			since = Math.min(since, slab.since ?? since)
		}
		for (const { queue } of this.#channels) {
			for (const work of queue) {
				keys += work.keys
				hits += work.hits
				since = Math.min(since, work.since)
			}
		}
		return { keys, hits, oldestMs: keys === 0 ? 0 : Math.max(0, this.#clock.now() - since) }
	}

	/** Stops every timer. What waits stays where it is and is told by `waiting()`; whoever waits for it is told that it ended. */
	stop(): void {
		this.#ageTimer?.cancel()
		this.#sizeTimer?.cancel()
		const error = new StoreUnavailableError('The counter was closed before the store took this', { cause: this.lastError })
		this.#stopped = true
		for (const channel of this.#channels) {
			channel.timer?.cancel()
			this.#turnAway(channel, error)
		}
	}

	/** Tells those who wait for something of a channel to wait no longer. It stays where it is. */
	#turnAway(channel: Channel, error: TallymarkError): void {
		const waiters = [...channel.waiters, ...channel.queue.flatMap((work) => work.waiters)]
		channel.waiters = []
		for (const work of channel.queue) {
			work.waiters = []
			work.done?.reject(error)
		}
		for (const waiter of waiters) waiter.reject(error)
	}

	/** Cuts what waits in the slabs into a batch of at most `limit` keys. */
	#cut(channel: Channel, limit: number): void {
		const groups: Group[] = []
		let keys = 0
		let hits = 0
		let units = 0
		let since = Number.POSITIVE_INFINITY
		for (const slab of this.#slabs.all()) {
			if (keys === limit) break
			const group = slab.take(channel.partition, limit - keys)
			if (group === undefined) continue
			groups.push(group)
			keys += group.deltas.length
			since = Math.min(since, slab.since ?? since)
			if (slab.entries.size === 0) slab.since = undefined
			for (const entry of group.deltas) {
				hits += entry.hits
				units += entry.units
			}
		}
		channel.keys -= keys
		channel.due = channel.keys > 0
		if (groups.length === 0) return
		const waiters = channel.due ? [] : channel.waiters
		if (!channel.due) channel.waiters = []
		this.#enqueue(channel, { kind: 'hits', groups }, { keys, hits, units, since, waiters })
	}

	#enqueue(
		channel: Channel,
		content: Content,
		about: Pick<Work, 'keys' | 'hits' | 'units' | 'since'> & Partial<Pick<Work, 'waiters' | 'done'>>,
	): void {
		channel.sequence += 1
		const batch = Object.freeze({ ...content, partition: channel.partition, sequence: channel.sequence })
		channel.queue.push({ waiters: [], ...about, batch, attempts: 0, firstSentAt: 0 })
	}

	/** Sends what is to be sent, unless something is under way. */
	#pump(channel: Channel): void {
		while (channel.state === 'idle' && !this.#stopped) {
			if (channel.queue.length === 0) {
				if (!channel.due) return
				// Whoever waits gets everything in one batch: with a limit, hits that keep coming could keep him waiting.
				this.#cut(channel, channel.waiters.length > 0 ? Number.POSITIVE_INFINITY : this.#options.limits.maxKeys)
				if (channel.queue.length === 0) return
			}
			this.#send(channel, channel.queue[0]!)
		}
	}

	/** Tries again at once what waits for its next attempt. */
	#hurry(channel: Channel): void {
		if (channel.state === 'resting') {
			channel.timer?.cancel()
			channel.state = 'idle'
		}
		this.#pump(channel)
	}

	#send(channel: Channel, work: Work): void {
		channel.state = 'sending'
		work.attempts += 1
		const attempt = work.attempts
		if (attempt === 1) work.firstSentAt = this.#clock.now()
		let answer: MaybePromise<Outcome>
		try {
			answer = this.#options.apply(work.batch)
		} catch (error) {
			this.#failed(channel, work, attempt, error)
			return
		}
		if (!(answer instanceof Promise)) {
			this.#settled(channel, work, answer)
			return
		}
		const { attemptTimeoutMs, storeName } = this.#options
		channel.timer = this.#clock.setTimer(() => {
			this.#failed(
				channel,
				work,
				attempt,
				new StoreUnavailableError(`The store '${storeName}' did not answer within ${attemptTimeoutMs} ms`),
			)
		}, attemptTimeoutMs)
		answer.then(
			(outcome) => {
				this.#settled(channel, work, outcome)
				this.#pump(channel)
			},
			(error: unknown) => this.#failed(channel, work, attempt, error),
		)
	}

	/** The store answered, to whichever attempt. */
	#settled(channel: Channel, work: Work, outcome: Outcome): void {
		if (channel.queue[0] !== work) return
		channel.timer?.cancel()
		channel.timer = undefined
		channel.queue.shift()
		channel.state = 'idle'
		channel.error = undefined
		this.#units -= work.units
		const { reports } = this.#options
		if (outcome.status === 'refused') {
			this.#dropped += work.hits
			reports.error(outcome.error)
			if (work.hits > 0) reports.drop({ key: undefined, hits: work.hits, reason: 'refused' })
			work.done?.reject(outcome.error)
		} else {
			reports.stored(work.batch)
			if (work.batch.kind === 'hits') {
				const { partition } = channel
				const { keys, hits, attempts, firstSentAt } = work
				reports.flush({ partition, keys, hits, attempts, durationMs: this.#clock.now() - firstSentAt })
			}
			work.done?.resolve(outcome)
		}
		for (const waiter of work.waiters) {
			if (outcome.status === 'refused') waiter.reject(outcome.error)
			else waiter.resolve()
		}
	}

	/** No answer, or an error that says nothing about what happened: the same batch again, later. */
	#failed(channel: Channel, work: Work, attempt: number, cause: unknown): void {
		if (channel.queue[0] !== work || work.attempts !== attempt) return
		channel.timer?.cancel()
		const { storeName, reports, random } = this.#options
		const error = isTallymarkError(cause)
			? cause
			: new StoreUnavailableError(`The store '${storeName}' failed: ${messageOf(cause)}`, { cause })
		channel.error = error
		const delayMs = backoffMs(attempt, random)
		if (this.#stopped) return
		if (hopeless.has(error.code)) this.#turnAway(channel, error)
		channel.state = 'resting'
		channel.timer = this.#clock.setTimer(() => {
			channel.timer = undefined
			channel.state = 'idle'
			this.#pump(channel)
		}, delayMs)
		// Once per failing batch: what follows are its retries.
		if (attempt === 1) reports.error(error)
		reports.retry({ partition: channel.partition, attempt, delayMs, error })
	}
}

/** What waiting does not cure: somebody has to change the settings, or the installation. It is sent again all the same, for they may. */
const hopeless: ReadonlySet<TallymarkErrorCode> = new Set(['ERR_TALLYMARK_MISMATCH', 'ERR_TALLYMARK_SETUP'])

function concerns(batch: FrozenBatch, lane: Lane): boolean {
	if (batch.kind === 'hits') return batch.groups.some((group) => group.lane === lane)
	return batch.kind === 'delete' || batch.lane === lane
}

function messageOf(cause: unknown): string {
	return cause instanceof Error ? cause.message : String(cause)
}
