/** A store that fails on demand, around one that works: for tests of what must survive it. */
import { StoreUnavailableError } from '../errors.ts'
import type {
	Batch,
	Claim,
	HitsQuery,
	HitsReading,
	Lane,
	ListQuery,
	ListReading,
	MaybePromise,
	NodeHealth,
	Outcome,
	SessionSettings,
	Shared,
	SnapshotRecord,
	Store,
	StoreSession,
	StoreTransfer,
	TopQuery,
	TopReading,
	TrendingQuery,
	TrendingReading,
	VisitorsQuery,
	VisitorsReading,
} from '../stores/store.ts'
import type { VisitorDelta } from '../visitors/tracker.ts'

/**
 * How a call fails. `before`: it rejects, and the store never hears of it. `after`: it is done, then rejects, as when the answer is lost.
 * `hang`: nothing is done and nothing answered until `answerHung()`, which does it then: a request that is delayed on its way.
 * `hang-after`: it is done at once, and answered no earlier than at `answerHung()`: an answer that is delayed.
 */
export type FaultMode = 'before' | 'after' | 'hang' | 'hang-after'

/** The methods of a session, and (where the store has them) those of its transfer. A snapshot fails, or not, for each of its pages, and so do the keys. */
export type StoreOperation = Exclude<keyof StoreSession | keyof StoreTransfer, symbol | 'transfer' | 'readTimeoutMs'>

/** An operation; or `read`: any of hits, visitors, top, trending, list and keys. */
export type FaultTarget = StoreOperation | 'read'

export interface FaultyStoreOptions {
	/**
	 * Decides about each call that `failNext` left alone: how it fails, or undefined for not at all. `n` is 1 for the first call of the operation,
	 * 2 for the second, ...
	 */
	readonly plan?: (operation: StoreOperation, n: number) => FaultMode | undefined
	/** Whether calls that do not fail answer as the inner store does, at once if it does. @default false: every answer is a promise */
	readonly sync?: boolean
}

/** A batch as it came. */
export interface SentBatch {
	readonly writer: string
	readonly batch: Batch
}

interface Fault {
	readonly mode: FaultMode
	readonly operation: FaultTarget | undefined
	left: number
}

const reads: readonly StoreOperation[] = ['hits', 'visitors', 'top', 'trending', 'list', 'keys']

export class FaultyStore implements Store {
	readonly name: string
	readonly partitions: number
	/** While true, every call rejects and none reaches the store. */
	down = false
	readonly #inner: Store
	readonly #plan: FaultyStoreOptions['plan']
	readonly #sync: boolean
	#faults: Fault[] = []
	readonly #calls = new Map<StoreOperation, number>()
	#hung: (() => void)[] = []
	readonly #batches: SentBatch[] = []
	readonly #breaches: string[] = []

	constructor(inner: Store, { plan, sync = false }: FaultyStoreOptions = {}) {
		this.#inner = inner
		this.#plan = plan
		this.#sync = sync
		this.name = inner.name
		this.partitions = inner.partitions
	}

	open(settings: SessionSettings): StoreSession {
		const log = new BatchLog(settings, this.#batches, this.#breaches)
		return new FaultySession(this.#inner.open(settings), log, (operation, run) => this.#call(operation, run))
	}

	/** The next `times` calls (of `op`, if given) fail. Several of these wait in line, each for calls of its own. */
	failNext(mode: FaultMode, { times = 1, op }: { readonly times?: number; readonly op?: FaultTarget } = {}): void {
		this.#faults.push({ mode, operation: op, left: times })
	}

	/** Forgets what `failNext` said, and is up again. Calls that hang go on hanging. */
	heal(): void {
		this.#faults = []
		this.down = false
	}

	/** How many calls there were, of one operation or (without) of all; those that failed included. */
	calls(op?: FaultTarget): number {
		let sum = 0
		for (const [operation, n] of this.#calls) if (matches(op, operation)) sum += n
		return sum
	}

	/** How many calls hang. */
	get hung(): number {
		return this.#hung.length
	}

	/** Lets every call that hangs go on: what was not done is done now, then they answer. */
	answerHung(): void {
		for (const go of this.#hung.splice(0)) go()
	}

	/** Every batch that was sent, each time it was. */
	get batches(): readonly SentBatch[] {
		return this.#batches
	}

	/**
	 * Throws an error that names every breach of what a writer owes its store: a sequence never changes its content (visitors included), begins at 1,
	 * skips none, and is not sent before the one before it was answered.
	 */
	assertBatchesInOrder(): void {
		if (this.#breaches.length > 0) throw new Error(`The writer broke the rules of the store port:\n${this.#breaches.join('\n')}`)
	}

	#call<T>(operation: StoreOperation, run: () => MaybePromise<T>): MaybePromise<T> {
		const n = (this.#calls.get(operation) ?? 0) + 1
		this.#calls.set(operation, n)
		const mode = this.down ? 'before' : (this.#takeFault(operation) ?? this.#plan?.(operation, n))
		return mode === undefined && this.#sync ? run() : this.#answer(operation, mode, run)
	}

	async #answer<T>(operation: StoreOperation, mode: FaultMode | undefined, run: () => MaybePromise<T>): Promise<T> {
		// A request is on its way for a while; what the caller does next comes first.
		await Promise.resolve()
		if (mode === 'before') throw new StoreUnavailableError(`FaultyStore: ${operation} failed before it reached the store`)
		if (mode === 'hang') await this.#hang()
		const result = await run()
		if (mode === 'after') throw new StoreUnavailableError(`FaultyStore: ${operation} was done, but its answer was lost`)
		if (mode === 'hang-after') await this.#hang()
		return result
	}

	#hang(): Promise<void> {
		return new Promise((resolve) => {
			this.#hung.push(resolve)
		})
	}

	#takeFault(operation: StoreOperation): FaultMode | undefined {
		const fault = this.#faults.find((waiting) => matches(waiting.operation, operation))
		if (fault === undefined) return undefined
		if (--fault.left <= 0) this.#faults.splice(this.#faults.indexOf(fault), 1)
		return fault.mode
	}
}

function matches(target: FaultTarget | undefined, operation: StoreOperation): boolean {
	return target === undefined || target === operation || (target === 'read' && reads.includes(operation))
}

/** What one session sent, by the rules of the port. */
class BatchLog {
	readonly #settings: SessionSettings
	readonly #batches: SentBatch[]
	readonly #breaches: string[]
	/** By partition and sequence: the content as text, written when it was first sent, so that a batch changed in place is caught. */
	readonly #contents = new Map<string, string>()
	/** By partition: the highest sequence that had an outcome. */
	readonly #answered = new Map<number, number>()

	constructor(settings: SessionSettings, batches: SentBatch[], breaches: string[]) {
		this.#settings = settings
		this.#batches = batches
		this.#breaches = breaches
	}

	sent(batch: Batch): void {
		this.#batches.push({ writer: this.#settings.writer, batch })
		const { partition, sequence } = batch
		const name = `Writer ${this.#settings.writer}, partition ${partition}, sequence ${sequence}`
		const answered = this.#answered.get(partition) ?? 0
		if (sequence > answered + 1) this.#breaches.push(`${name}: sent while ${answered} is the last that was answered`)
		const place = `${partition}/${sequence}`
		const content = this.#contentOf(batch)
		const before = this.#contents.get(place)
		if (before === undefined) this.#contents.set(place, content)
		else if (before !== content) this.#breaches.push(`${name}: was ${before}, is now ${content}`)
	}

	answered({ partition, sequence }: Batch): void {
		this.#answered.set(partition, Math.max(sequence, this.#answered.get(partition) ?? 0))
	}

	/** By the fields of the port, whatever else a batch may carry. */
	#contentOf(batch: Batch): string {
		if (batch.kind === 'set') return JSON.stringify(['set', batch.lane, batch.key, batch.hits])
		if (batch.kind === 'delete') return JSON.stringify(['delete', batch.key])
		const groups = batch.groups.map(({ lane, minute, deltas }) => [
			lane,
			minute,
			deltas.map(({ key, hits, visitors }) => (visitors === undefined ? [key, hits] : [key, hits, this.#bytesOf(visitors)])),
		])
		return JSON.stringify(['hits', groups])
	}

	#bytesOf(delta: VisitorDelta): string {
		const sketch = this.#settings.tracker?.sketch()
		if (sketch === undefined) return 'visitors without a tracker'
		sketch.apply(delta)
		const bytes = sketch.save()
		sketch.release()
		return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
	}
}

type Call = <T>(operation: StoreOperation, run: () => MaybePromise<T>) => MaybePromise<T>

class FaultySession implements StoreSession {
	readonly #inner: StoreSession
	readonly #log: BatchLog
	readonly #call: Call
	readonly transfer?: () => StoreTransfer
	readonly readTimeoutMs: number | undefined

	constructor(inner: StoreSession, log: BatchLog, call: Call) {
		this.#inner = inner
		this.#log = log
		this.#call = call
		this.readTimeoutMs = inner.readTimeoutMs
		if (inner.transfer !== undefined) this.transfer = () => new FaultyTransfer(inner.transfer!(), call)
	}

	apply(batch: Batch): MaybePromise<Outcome> {
		this.#log.sent(batch)
		const answer = this.#call('apply', () => this.#inner.apply(batch))
		if (!(answer instanceof Promise)) {
			this.#log.answered(batch)
			return answer
		}
		return answer.then((outcome) => {
			this.#log.answered(batch)
			return outcome
		})
	}

	hits(query: HitsQuery): MaybePromise<HitsReading> {
		return this.#call('hits', () => this.#inner.hits(query))
	}

	visitors(query: VisitorsQuery): MaybePromise<VisitorsReading> {
		return this.#call('visitors', () => this.#inner.visitors(query))
	}

	top(query: TopQuery): MaybePromise<TopReading> {
		return this.#call('top', () => this.#inner.top(query))
	}

	trending(query: TrendingQuery): MaybePromise<TrendingReading> {
		return this.#call('trending', () => this.#inner.trending(query))
	}

	list(query: ListQuery): MaybePromise<ListReading> {
		return this.#call('list', () => this.#inner.list(query))
	}

	async *keys(lane: Lane): AsyncGenerator<readonly string[]> {
		const pages = this.#inner.keys(lane)
		const each = Symbol.asyncIterator in pages ? pages[Symbol.asyncIterator]() : pages[Symbol.iterator]()
		for (;;) {
			const { done, value } = await this.#call<IteratorResult<readonly string[]>>('keys', () => each.next())
			if (done === true) return
			yield value
		}
	}

	claim(claim: Claim): MaybePromise<boolean> {
		return this.#call('claim', () => this.#inner.claim(claim))
	}

	release(claim: Claim): MaybePromise<void> {
		return this.#call('release', () => this.#inner.release(claim))
	}

	share(shared: Shared): MaybePromise<string> {
		return this.#call('share', () => this.#inner.share(shared))
	}

	health(): MaybePromise<readonly NodeHealth[]> {
		return this.#call('health', () => this.#inner.health())
	}

	close(timeoutMs?: number): MaybePromise<void> {
		return this.#call('close', () => this.#inner.close(timeoutMs))
	}
}

class FaultyTransfer implements StoreTransfer {
	readonly #inner: StoreTransfer
	readonly #call: Call
	readonly identity?: () => MaybePromise<string>

	constructor(inner: StoreTransfer, call: Call) {
		this.#inner = inner
		this.#call = call
		if (inner.identity !== undefined) this.identity = () => call('identity', () => inner.identity!())
	}

	async *snapshot(partition: number, at: number): AsyncGenerator<SnapshotRecord> {
		for await (const record of this.#inner.snapshot(partition, at)) yield await this.#call('snapshot', () => record)
	}

	restore(records: readonly SnapshotRecord[]): MaybePromise<void> {
		return this.#call('restore', () => this.#inner.restore(records))
	}

	clear(): MaybePromise<void> {
		return this.#call('clear', () => this.#inner.clear())
	}

	note(text?: string): MaybePromise<string | undefined> {
		return this.#call('note', () => this.#inner.note(text))
	}
}
