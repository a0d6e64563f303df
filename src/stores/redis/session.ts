/** A counter's connection to the Redis store: a channel for each partition, the readings, and the watch over what may have been lost. */
import { systemClock, type Timer } from '../../clock.ts'
import { ClosedError, StoreUnavailableError, TallymarkError } from '../../errors.ts'
import { total } from '../../time/granularity.ts'
import type {
	Batch,
	Claim,
	HitsQuery,
	HitsReading,
	ListQuery,
	ListReading,
	NodeHealth,
	Outcome,
	SessionSettings,
	Shared,
	StoreSession,
	TopQuery,
	TopReading,
	TrendingQuery,
	TrendingReading,
	VisitorsQuery,
	VisitorsReading,
} from '../store.ts'
import { Channel, type Identity } from './channel.ts'
import { Claims } from './claims.ts'
import { command } from './client.ts'
import { Failure } from './failure.ts'
import { Keys } from './keys.ts'
import type { Link } from './link.ts'
import { agree, agreementOf, checkAgreement } from './meta.ts'
import { readHits } from './read-hits.ts'
import { readList, readTop, readTrending } from './read-lists.ts'
import { readVisitors } from './read-visitors.ts'
import { Reader } from './reader.ts'
import type { Route } from './route.ts'
import { share } from './shared.ts'
import { RedisTransfer } from './transfer.ts'
import { TrendEpochs } from './trend-epoch.ts'
import type { Concerns } from './wire.ts'
import { AWAY_MS, clearAway, show } from './writers.ts'

export interface SessionLimits {
	readonly partitions: number
	readonly retentionMs: number
	readonly retainedBytes: number
	readonly readTimeoutMs: number
	readonly writeTimeoutMs: number
}

/** How long closing waits for a server that is away, at least, and how often it looks. */
const CLOSE_MS = 5_000
const CLOSE_RETRY_MS = 50

export class RedisSession implements StoreSession {
	readonly #route: Route
	readonly #settings: SessionSettings
	readonly #limits: SessionLimits
	readonly #release: () => void
	readonly #keys: Keys
	readonly #epochs: TrendEpochs
	readonly #identity: Identity
	readonly #channels: readonly Channel[]
	readonly #reader: Reader
	readonly #claims: Claims
	readonly #stopListening: readonly (() => void)[]
	/** The server was asked, since the last reconnection, whether its settings are ours. */
	#started = false
	#starting: Promise<void> | undefined
	/** When the server last heard of this writer. */
	#shownAt: number | undefined
	#retirements = 0
	#tidied = false
	#timer: Timer | undefined
	#closed = false

	/** `release`: called once, when the session needs the route no more. */
	constructor(route: Route, settings: SessionSettings, limits: SessionLimits, release: () => void) {
		this.#route = route
		this.#settings = settings
		this.#limits = limits
		this.#release = release
		this.#keys = new Keys(settings.namespace)
		this.#epochs = new TrendEpochs(settings.trendHalfLifeMs)
		this.#identity = { writer: settings.writer }
		const ready = () => this.#ready()
		this.#channels = Array.from(
			{ length: limits.partitions },
			(_, partition) =>
				new Channel({
					...limits,
					partition,
					settings,
					ready,
					link: route.linkOf(partition),
					keys: this.#keys,
					epochs: this.#epochs,
					identity: this.#identity,
					timeoutMs: limits.writeTimeoutMs,
					servedBy: route.name,
				}),
		)
		this.#reader = new Reader(route, limits.partitions, limits.readTimeoutMs, ready)
		this.#claims = new Claims(this.#keys, settings.writer)
		this.#stopListening = route.links.map((link) => link.onReady((concerns) => this.#reconnected(link, concerns)))
	}

	apply(batch: Batch): Promise<Outcome> {
		if (this.#closed) return Promise.reject(new ClosedError('The session'))
		this.#watch()
		return this.#channels[batch.partition]!.apply(batch)
	}

	hits(query: HitsQuery): Promise<HitsReading> {
		return readHits(query, this.#reader, this.#keys, this.#settings, this.#identity.writer, this.#channels)
	}

	visitors(query: VisitorsQuery): Promise<VisitorsReading> {
		return readVisitors(query, this.#reader, this.#keys, this.#settings)
	}

	top(query: TopQuery): Promise<TopReading> {
		// What is acknowledged before the question is surely in the answer.
		const applied = Float64Array.from(this.#channels, ({ acked }) => acked)
		return readTop(query, this.#reader, this.#keys, this.#settings, applied)
	}

	trending(query: TrendingQuery): Promise<TrendingReading> {
		return readTrending(query, this.#reader, this.#keys, this.#epochs)
	}

	list(query: ListQuery): Promise<ListReading> {
		return readList(query, this.#reader, this.#keys)
	}

	claim(claim: Claim): Promise<boolean> {
		return this.#claims.claim(claim, (commands) => this.#reader.ask(claim.partition, commands))
	}

	async release(claim: Claim): Promise<void> {
		const link = this.#route.linkOf(claim.partition)
		const failure = await this.#claims.release(claim, link, this.#limits.readTimeoutMs)
		if (failure !== undefined) throw failure.toError(link.name)
	}

	/** Of no partition: it stays where it is when partitions move. */
	share(shared: Shared): Promise<string> {
		return share(shared, this.#keys.shared(shared.name), async (commands) => {
			const waiting = this.#ready()
			if (waiting !== undefined) await waiting
			return this.#reader.askLink(this.#route.home, commands)
		})
	}

	transfer(): RedisTransfer {
		const { writeTimeoutMs } = this.#limits
		return new RedisTransfer(this.#route, this.#reader, this.#keys, this.#settings, this.#epochs, writeTimeoutMs)
	}

	async health(): Promise<readonly NodeHealth[]> {
		const each = await Promise.all(this.#route.links.map((link) => link.health(this.#limits.readTimeoutMs)))
		return each.flat()
	}

	/**
	 * Asks a last time whether everything that was acknowledged is there, and repairs what is not: afterwards nobody can. A server that is away is waited
	 * for, as long as a write may take and at least 5 s, in which a client that was connected is so again.
	 */
	async close(): Promise<void> {
		if (this.#closed) return
		this.#closed = true
		this.#timer?.cancel()
		for (const stop of this.#stopListening) stop()
		const written = this.#channels.filter(({ sets }) => sets.size > 0)
		for (const channel of written) channel.suspect()
		try {
			const deadline = performance.now() + Math.max(CLOSE_MS, this.#limits.writeTimeoutMs)
			for (let settled = false; !settled; ) {
				try {
					await Promise.all(written.map((channel) => channel.settle()))
					settled = true
				} catch (error) {
					if (performance.now() > deadline) throw error
					await new Promise<void>((resolve) => systemClock.setTimer(resolve, CLOSE_RETRY_MS))
				}
			}
		} catch (cause) {
			const message = `${this.#route.name} could not be asked on closing whether it still has everything that it acknowledged`
			this.#settings.report({ type: 'error', error: new StoreUnavailableError(message, { cause }) })
		} finally {
			this.#release()
		}
	}

	/** undefined when all is ready: then nothing needs to wait, and what is sent in one turn travels together. */
	#ready(): Promise<void> | undefined {
		if (this.#started) return undefined
		this.#starting ??= this.#start().finally(() => {
			this.#starting = undefined
		})
		return this.#starting
	}

	/** Compares the settings with those of the namespace, and shows the writer. */
	async #start(): Promise<void> {
		const { home, name } = this.#route
		const agreement = agreementOf(this.#settings, this.#limits.partitions)
		for (;;) {
			const [written, stored, shown] = await home.send(
				[...agree(this.#keys.meta, agreement), show(this.#keys, this.#identity.writer)],
				this.#limits.readTimeoutMs,
			)
			if (written instanceof Failure) throw written.toError(name)
			if (stored instanceof Failure) throw stored.toError(name)
			checkAgreement(String(stored), agreement, this.#settings.namespace, name)
			if (shown instanceof Failure) {
				if (shown.kind !== 'noscript') throw shown.toError(name)
				const failure = await home.load(this.#limits.readTimeoutMs)
				if (failure !== undefined) throw failure.toError(name)
				continue
			}
			if (!this.#isShown(shown)) continue
			break
		}
		this.#started = true
		void this.#tidyUp()
	}

	/** Whether the server knows this writer; otherwise it takes another name, and forgets what it had sent as the one it was. */
	#isShown(shown: unknown): boolean {
		const now = this.#settings.clock.now()
		const away = this.#shownAt !== undefined && now - this.#shownAt > AWAY_MS
		this.#shownAt = now
		if (Number(shown) !== 0 && !away) return true
		this.#retirements++
		this.#identity.writer = `${this.#settings.writer}.${this.#retirements}`
		for (const channel of this.#channels) channel.retire()
		return false
	}

	/** Once in a session, in the background: what it leaves undone the next one does. */
	async #tidyUp(): Promise<void> {
		if (this.#tidied) return
		this.#tidied = true
		try {
			const { home, name } = this.#route
			const [info] = await this.#reader.askLink(home, [command('info', 'memory')])
			const problem = evictionOf(String(info))
			if (problem !== undefined)
				this.#settings.report({ type: 'error', error: new TallymarkError('ERR_TALLYMARK_SETUP', `${name}: ${problem}`) })
		} catch {
			// Not everybody may ask for that.
		}
		try {
			await clearAway(
				this.#keys,
				this.#limits.partitions,
				(commands) => this.#reader.askLink(this.#route.home, commands),
				(partition, commands) => this.#reader.ask(partition, commands),
			)
		} catch {
			this.#tidied = false
		}
	}

	/** The server may have lost something, or be another one: everything it has is asked about before anything else is sent. */
	#reconnected(link: Link, concerns: Concerns): void {
		if (concerns(this.#keys.meta) || concerns(this.#keys.writers)) this.#started = false
		const theirs = this.#channels.filter(
			(_, partition) => this.#route.linkOf(partition) === link && concerns(this.#keys.hits(partition, 'human', total)),
		)
		for (const channel of theirs) channel.suspect()
		// What fails is tried again by the next batch, or the next look.
		for (const channel of theirs) if (channel.sets.size > 0) channel.settle().catch(() => {})
	}

	/** From the first batch on, looks now and then whether the server still has what it acknowledged. */
	#watch(): void {
		this.#timer ??= this.#settings.clock.setTimer(() => {
			this.#timer = undefined
			if (this.#closed) return
			this.#watch()
			void this.#look()
		}, this.#limits.retentionMs / 3)
	}

	async #look(): Promise<void> {
		const waiting = this.#ready()
		try {
			if (waiting !== undefined) await waiting
			const [shown] = await this.#route.home.send([show(this.#keys, this.#identity.writer)], this.#limits.readTimeoutMs)
			if (!(shown instanceof Failure) && !this.#isShown(shown)) this.#started = false
			await Promise.all(this.#channels.map((channel) => channel.check()))
		} catch {
			// The server is away: the batches say so, and the next reconnection asks about everything.
		}
	}
}

/** What is wrong with the server's eviction, from its INFO. */
function evictionOf(info: string): string | undefined {
	const policy = /^maxmemory_policy:(.+?)\r?$/m.exec(info)?.[1]
	if (policy === undefined || policy === 'noeviction' || /^maxmemory:0\r?$/m.test(info)) return undefined
	return `its maxmemory-policy is ${policy}, so that numbers vanish when its memory is full: set it to noeviction`
}
