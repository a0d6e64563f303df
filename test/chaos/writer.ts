/**
 * A process that counts, as an application would: `node writer.js`, told over IPC what to do. It answers 'ready'; on `start` it counts what the plan says
 * (where the load is lasting, until 'enough' at least) and answers 'counted'; on 'close' it stores what is left, closes, answers 'closed' and ends. What it
 * did is in its log.
 */
import { type Clock, systemClock } from '../../src/clock.ts'
import { Counter } from '../../src/counter.ts'
import type { Batch, Outcome, SessionSettings, Store, StoreSession } from '../../src/stores/store.ts'
import { lengthMs, startOf } from '../../src/time/granularity.ts'
import { type PlannedHit, tickOf } from './hits.ts'
import { type Plan, tickMs } from './plan.ts'
import { counterOptions, isComplete, openStore, type Place, type Target } from './target.ts'
import { WriterLog } from './writer-log.ts'

export interface Orders {
	readonly target: Target
	readonly plan: Plan
	/** Which of the plan's writers this is. */
	readonly writer: number
	/** Through the proxies. */
	readonly place: Place
	readonly log: string
	/** When the load starts, epoch milliseconds. */
	readonly start: number
}

const flushTicks = 20
const idRetryMs = 60
const closeMs = 20_000

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** The system's clock, but for the time in which the hits of a tick are counted: they all happen at one known moment. */
class TickClock implements Clock {
	held: number | undefined
	readonly setTimer = systemClock.setTimer

	now(): number {
		return this.held ?? Date.now()
	}
}

/** A store that takes note of what is asked of it and answered. */
class Observed implements Store {
	readonly name: string
	readonly partitions: number
	attempts = 0
	duplicates = 0
	/** As whom it writes. */
	writer = ''
	readonly #store: Store

	constructor(store: Store) {
		this.#store = store
		this.name = store.name
		this.partitions = store.partitions
	}

	open(settings: SessionSettings): StoreSession {
		const session = this.#store.open(settings)
		this.writer = settings.writer
		const apply = async (batch: Batch): Promise<Outcome> => {
			this.attempts += 1
			const outcome = await session.apply(batch)
			if (outcome.status === 'duplicate') this.duplicates += 1
			return outcome
		}
		return new Proxy(session, {
			get(target, name) {
				if (name === 'apply') return apply
				const value: unknown = Reflect.get(target, name)
				return typeof value === 'function' ? value.bind(target) : value
			},
		})
	}
}

class Writer {
	readonly #orders: Orders
	readonly #log: WriterLog
	readonly #clock = new TickClock()
	readonly #store: Observed
	readonly #counter: Counter
	readonly #end: () => void
	readonly #asked: Promise<void>[] = []
	#retries = 0
	/** Why the last one was needed. */
	#lastRetry = ''
	#closing = false
	#enough: boolean

	constructor(orders: Orders) {
		const { target, plan, place, log, start } = orders
		this.#orders = orders
		this.#enough = plan.lasting !== true
		this.#log = new WriterLog(log)
		const { store, end } = openStore(target, place, plan)
		this.#store = new Observed(store)
		this.#end = end
		this.#counter = new Counter({ ...counterOptions(target, plan, start), store: this.#store, clock: this.#clock })
		this.#counter.on('rollback', ({ partition, what, hits }) => this.#log.rollback({ partition, what, hits }))
		this.#counter.on('retry', ({ error }) => {
			this.#retries += 1
			this.#lastRetry = error.message
		})
		this.#counter.on('error', ({ message }) => {
			if (message.includes('on closing')) this.#log.error(message)
		})
		this.#counter.on('drop', ({ hits, reason }) => this.#log.error(`${hits} hits were dropped: ${reason}`))
	}

	async count(): Promise<void> {
		const { plan, writer: index, start } = this.#orders
		const writer = plan.writers[index]!
		for (let tick = 0; tick < writer.ticks || !this.#enough; tick++) {
			const due = start + writer.joinsAtMs + tick * tickMs - Date.now()
			await wait(Math.max(0, due))
			this.#tick(tick)
			if (tick % flushTicks === flushTicks - 1 && writer.killedAtMs !== undefined) this.#flush()
		}
	}

	/** Everything that was to happen has happened. */
	enough(): void {
		this.#enough = true
	}

	#tick(tick: number): void {
		const { plan, writer, target, start } = this.#orders
		const { hits, operations } = tickOf(plan, plan.writers[writer]!, tick)
		const now = Date.now()
		this.#log.tick(tick, now)
		this.#clock.held = now
		for (const [i, hit] of hits.entries()) {
			const at = hit.minute === undefined ? now : startOf('minute', start) + hit.minute * lengthMs.minute
			if (hit.id !== undefined) this.#asked.push(this.#hitOnce(tick, i, hit, at))
			else void this.#hit(tick, i, hit, at, now)
		}
		if (isComplete(target)) {
			for (const operation of operations) {
				const done = operation.kind === 'set' ? this.#counter.set(operation.key, operation.hits) : this.#counter.delete(operation.key)
				done.then(
					() => {},
					(error: unknown) => this.#log.error(`${operation.kind} failed: ${error}`),
				)
			}
		}
		this.#clock.held = undefined
	}

	/** Begins to count at once; only the answer is waited for. */
	async #hit(tick: number, i: number, { key, lane, by, visitor }: PlannedHit, at: number, now: number): Promise<void> {
		const options = { lane, by, visitor, ...(at === now ? {} : { at }) }
		try {
			const receipt = await this.#counter.hit(key, options)
			if (!receipt.counted) this.#log.notCounted(tick, i, receipt.reason)
		} catch (error) {
			this.#log.notCounted(tick, i, 'error')
			this.#log.error(`hit failed: ${error}`)
		}
	}

	/** As whoever counts with an id does: the same id again until there is an answer. */
	async #hitOnce(tick: number, i: number, { key, lane, by, visitor, id }: PlannedHit, at: number): Promise<void> {
		for (;;) {
			try {
				const receipt = await this.#counter.hit(key, { lane, by, visitor, id, at })
				this.#log.withId(tick, i, receipt.counted ? 'counted' : 'duplicate')
				return
			} catch {
				if (this.#closing) break
			}
			await wait(idRetryMs)
		}
		this.#log.withId(tick, i, 'unanswered')
	}

	#flush(): void {
		const lines = this.#log.lines
		this.#counter.flush().then(
			() => this.#log.flushed(lines),
			() => {},
		)
	}

	async close(): Promise<void> {
		await Promise.race([Promise.all(this.#asked), wait(closeMs)])
		this.#closing = true
		const { unstored } = await this.#counter.close({ timeoutMs: closeMs })
		if (unstored > 0) this.#log.error(`could not store because of ${this.#lastRetry}`)
		const { attempts, duplicates, writer } = this.#store
		this.#log.summary({ unstored, attempts, duplicates, retries: this.#retries, writer })
		this.#end()
	}
}

let writer: Writer | undefined
process.on('message', async (message: Orders | 'enough' | 'close') => {
	if (message === 'enough') {
		writer?.enough()
		return
	}
	if (message === 'close') {
		await writer?.close()
		process.send?.('closed', () => process.exit(0))
		return
	}
	writer = new Writer(message)
	await writer.count()
	process.send?.('counted')
})
// Nobody is there any more to tell it to end.
process.on('disconnect', () => process.exit(1))
process.send?.('ready')
