/** A counter's connection to the Redis store: a channel for each partition, the readings, and the watch over what may have been lost. */
import { systemClock, type Timer } from '../../clock.ts'
import { ClosedError, StoreUnavailableError, TallymarkError } from '../../errors.ts'
import { total } from '../../time/granularity.ts'
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
import { readKeys, readList, readTop, readTrending } from './read-lists.ts'
import { readVisitors } from './read-visitors.ts'
import { Reader } from './reader.ts'
import { type Route, wayTo } from './route.ts'
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

/** How long closing waits for a server that is away, at least, where nobody says how long it may, and how often it looks. */
const CLOSE_MS = 5_000
const CLOSE_RETRY_MS = 50
/** How long until a server that could not be asked whether it lost something is asked again. */
const SETTLE_RETRY_MS = 1_000

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
	readonly #stopListening: () => void
	/** The servers that were asked, since the last reconnection, whether their settings are ours. */
	readonly #started = new Set<Link>()
	readonly #starting = new Map<Link, Promise<void>>()
	/** When a server last heard of this writer. */
	readonly #shownAt = new Map<Link, number>()
	#retirements = 0
	readonly #tidied = new Set<Link>()
	#timer: Timer | undefined
	#closed = false
	/** To be asked about again. */
	readonly #unsettled = new Set<Channel>()

	/** `release`: called once, when the session needs the route no more. */
	constructor(route: Route, settings: SessionSettings, limits: SessionLimits, release: () => void) {
		this.#route = route
		this.#settings = settings
		this.#limits = limits
		this.#release = release
		this.#keys = new Keys(settings.namespace)
		this.#epochs = new TrendEpochs(settings.trendHalfLifeMs)
		this.#identity = { writer: settings.writer }
		this.#channels = Array.from(
			{ length: limits.partitions },
			(_, partition) =>
				new Channel({
					...limits,
					partition,
					settings,
					ready: () => this.#ready(partition),
					// The settings too, perhaps, though the connection held: they are written again before the next batch.
					lost: () => void this.#started.delete(this.#route.linkOf(partition)),
					way: wayTo(partition, route, (link) => link.patience(limits.writeTimeoutMs)),
					keys: this.#keys,
					epochs: this.#epochs,
					identity: this.#identity,
				}),
		)
		this.#reader = new Reader(route, limits.partitions, limits.readTimeoutMs, (partition) => this.#ready(partition))
		this.#claims = new Claims(this.#keys, settings.writer)
		this.#stopListening = route.listen({
			reconnected: (link, concerns) => this.#reconnected(link, concerns),
			moved: (partitions, message) => this.#moved(partitions, message),
		})
	}

	get readTimeoutMs(): number {
		return this.#limits.readTimeoutMs
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

	keys(lane: Lane): AsyncGenerator<readonly string[]> {
		return readKeys(lane, this.#reader, this.#keys)
	}

	claim(claim: Claim): Promise<boolean> {
		return this.#claims.claim(claim, (commands) => this.#reader.ask(claim.partition, commands))
	}

	async release(claim: Claim): Promise<void> {
		const way = wayTo(claim.partition, this.#route, () => this.#limits.readTimeoutMs)
		const failure = await this.#claims.release(claim, way)
		if (failure !== undefined) throw failure.toError(way.name)
	}

	/** Of no partition: every server keeps it, so that it stays when partitions move. */
	async share(shared: Shared): Promise<string> {
		const waiting = this.#route.ready()
		if (waiting !== undefined) await waiting
		return share(shared, this.#keys.shared(shared.name), this.#route.links, async (link, commands) => {
			const starting = this.#start(link)
			if (starting !== undefined) await starting
			return this.#reader.askLink(link, commands)
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
	 * for; where no time is given as long as a write may take and at least 5 s, in which a client that was connected is so again. Then the route is let go
	 * of, whatever is on its way.
	 */
	async close(timeoutMs = Math.max(CLOSE_MS, this.#limits.writeTimeoutMs)): Promise<void> {
		if (this.#closed) return
		this.#closed = true
		this.#timer?.cancel()
		this.#stopListening()
		const written = this.#channels.filter(({ sets }) => sets.size > 0)
		for (const channel of written) channel.suspect()
		let over = false
		let timer: Timer | undefined
		const late = new Promise<never>((_, reject) => {
			timer = systemClock.setTimer(() => {
				over = true
				reject(new Error(`no answer within ${timeoutMs} ms`))
			}, timeoutMs)
		})
		try {
			if (written.length > 0) await Promise.race([this.#settleAll(written, () => over), late])
		} catch (cause) {
			const message = `${this.#route.name} could not be asked on closing whether it still has everything that it acknowledged`
			this.#settings.report({ type: 'error', error: new StoreUnavailableError(message, { cause }) })
		} finally {
			timer?.cancel()
			this.#release()
		}
	}

	/** Settles the channels, however often that takes, until it is `over`. */
	async #settleAll(channels: readonly Channel[], over: () => boolean): Promise<void> {
		for (;;) {
			try {
				await Promise.all(channels.map((channel) => channel.settle()))
				return
			} catch (error) {
				if (over()) throw error
				await new Promise<void>((resolve) => systemClock.setTimer(resolve, CLOSE_RETRY_MS))
			}
		}
	}

	/** undefined when all is ready: then nothing needs to wait, and what is sent in one turn travels together. */
	#ready(partition: number): Promise<void> | undefined {
		const waiting = this.#route.ready()
		if (waiting === undefined) return this.#start(this.#route.linkOf(partition))
		return waiting.then(() => this.#start(this.#route.linkOf(partition)))
	}

	/** Compares the settings with those that the server has of the namespace, and shows it the writer; undefined when that was done. */
	#start(link: Link): Promise<void> | undefined {
		if (this.#started.has(link)) return undefined
		let starting = this.#starting.get(link)
		if (starting === undefined) {
			starting = this.#meet(link).finally(() => this.#starting.delete(link))
			this.#starting.set(link, starting)
		}
		return starting
	}

	async #meet(link: Link): Promise<void> {
		const { name } = link
		const agreement = agreementOf(this.#settings, this.#limits.partitions)
		for (;;) {
			const [written, stored, shown] = await link.send(
				[...agree(this.#keys.meta, agreement), show(this.#keys, this.#identity.writer)],
				link.patience(this.#limits.readTimeoutMs),
			)
			if (written instanceof Failure) throw written.toError(name)
			if (stored instanceof Failure) throw stored.toError(name)
			checkAgreement(String(stored), agreement, this.#settings.namespace, name)
			if (shown instanceof Failure) {
				if (shown.kind !== 'noscript') throw shown.toError(name)
				const failure = await link.load(link.patience(this.#limits.readTimeoutMs))
				if (failure !== undefined) throw failure.toError(name)
				continue
			}
			if (this.#isShown(link, shown)) break
		}
		this.#started.add(link)
		void this.#tidyUp(link)
	}

	/** Whether the server knows this writer; otherwise it takes another name, and forgets what it had sent as the one it was. */
	#isShown(link: Link, shown: unknown): boolean {
		const now = this.#settings.clock.now()
		const before = this.#shownAt.get(link)
		this.#shownAt.set(link, now)
		if (Number(shown) !== 0 && (before === undefined || now - before <= AWAY_MS)) return true
		this.#retirements++
		this.#identity.writer = `${this.#settings.writer}.${this.#retirements}`
		for (const channel of this.#channels) channel.retire()
		this.#started.clear()
		return false
	}

	/** Once for each server, in the background: what it leaves undone the next session does. */
	async #tidyUp(link: Link): Promise<void> {
		if (this.#tidied.has(link)) return
		this.#tidied.add(link)
		try {
			const [info] = await this.#reader.askLink(link, [command('info', 'memory')])
			const problem = evictionOf(String(info))
			if (problem !== undefined)
				this.#settings.report({ type: 'error', error: new TallymarkError('ERR_TALLYMARK_SETUP', `${link.name}: ${problem}`) })
		} catch {
			// Not everybody may ask for that.
		}
		try {
			await clearAway(
				this.#keys,
				[...this.#channels.keys()].filter((partition) => this.#route.linkOf(partition) === link),
				(commands) => this.#reader.askLink(link, commands),
				(partition, commands) => this.#reader.ask(partition, commands),
			)
		} catch {
			this.#tidied.delete(link)
		}
	}

	/** The server may have lost something, or be another one: everything it has is asked about before anything else is sent. */
	#reconnected(link: Link, concerns: Concerns): void {
		if (concerns(this.#keys.meta) || concerns(this.#keys.writers)) this.#started.delete(link)
		this.#doubt((partition) => this.#route.linkOf(partition) === link && concerns(this.#keys.hits(partition, 'human', total)))
	}

	/** The new owner has what the old one had; whether that is all, it is asked. */
	#moved(partitions: readonly number[], message: string): void {
		if (message !== '') this.#settings.report({ type: 'topology', message })
		this.#doubt((partition) => partitions.includes(partition))
	}

	#doubt(concerns: (partition: number) => boolean): void {
		const theirs = this.#channels.filter((_, partition) => concerns(partition))
		for (const channel of theirs) channel.suspect()
		for (const channel of theirs) if (channel.sets.size > 0) this.#settle(channel)
	}

	/** A server that was just started, or has just taken over, may refuse for a while; and no batch may come to ask again. */
	#settle(channel: Channel): void {
		channel.settle().catch(() => {
			if (this.#unsettled.has(channel)) return
			this.#unsettled.add(channel)
			systemClock.setTimer(() => {
				this.#unsettled.delete(channel)
				if (!this.#closed) this.#settle(channel)
			}, SETTLE_RETRY_MS)
		})
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
		await Promise.all(this.#route.links.map((link) => this.#showTo(link).catch(() => {})))
		// A server that is away is noticed by the batches; the next reconnection asks about everything.
		await Promise.all(this.#channels.map((channel) => channel.check().catch(() => {})))
	}

	async #showTo(link: Link): Promise<void> {
		const waiting = this.#start(link)
		if (waiting !== undefined) await waiting
		const [shown] = await link.send([show(this.#keys, this.#identity.writer)], link.patience(this.#limits.readTimeoutMs))
		if (!(shown instanceof Failure)) this.#isShown(link, shown)
	}
}

/** What is wrong with the server's eviction, from its INFO. */
function evictionOf(info: string): string | undefined {
	const policy = /^maxmemory_policy:(.+?)\r?$/m.exec(info)?.[1]
	if (policy === undefined || policy === 'noeviction' || /^maxmemory:0\r?$/m.test(info)) return undefined
	return `its maxmemory-policy is ${policy}, so that numbers vanish when its memory is full: set it to noeviction`
}
