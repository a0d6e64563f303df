/**
 * Marks that one session at a time may hold, in Redis: a hash for each partition, so that they can move with it. A field says until when, and who holds it.
 * Marks whose time is over are taken out by those who set new ones: with every so many claims a few fields are looked at, twice as many as were claimed
 * meanwhile. So about half of the fields at most are of the past, and a hash that gets no more marks keeps its last ones.
 */
import type { Claim } from '../store.ts'
import type { Command } from './client.ts'
import { Failure } from './failure.ts'
import type { Keys } from './keys.ts'
import { evaluate, type Reply } from './link.ts'
import type { Way } from './route.ts'
import { claimMark, releaseMark, sweepMarks } from './scripts.ts'

/** Marks whose state is unknown that are remembered, and the series of attempts at each. */
const UNKNOWN = 10_000
const SERIES = 16
/** Claims of a partition after which some marks are looked at, and how many. */
const CLAIMS = 32
const LOOKED_AT = 2 * CLAIMS

/** Attempts at one mark: each has a value of its own, which begins as those of all of them do. */
interface Series {
	readonly start: string
	attempts: number
	/** The value of the one that stands for a hit. */
	held: string | undefined
}

export class Claims {
	readonly #keys: Keys
	readonly #writer: string
	#count = 0
	/**
	 * Of marks that may be there and stand for no hit: of claims that were not answered, or taken back. They may be set late, and the taking back may never
	 * arrive, or arrive late; whoever claims the same again takes their place with a value of its own, which nothing that is late can take back.
	 */
	readonly #unknown = new Map<string, readonly Series[]>()
	/** What a claim was made with last. */
	readonly #made = new WeakMap<Claim, { readonly series: Series; readonly value: string }>()
	/** By partition: claims since marks were looked at, and where to go on. */
	readonly #sweeps = new Map<number, { claims: number; cursor: string }>()

	constructor(keys: Keys, writer: string) {
		this.#keys = keys
		this.#writer = writer
	}

	/** Sets the mark. Throws when the server did not answer; the next attempt then takes the place of a mark that was set after all. */
	async claim(claim: Claim, ask: (commands: readonly Command[]) => Promise<readonly Reply[]>): Promise<boolean> {
		const id = idOf(claim)
		const known = (this.#unknown.get(id) ?? []).filter(({ held }) => held === undefined)
		// The signs at the end, so that none is the beginning of another.
		const series = known[0] ?? { start: `${this.#writer}:${++this.#count}.`, attempts: 0, held: undefined }
		const value = `${series.start}${++series.attempts};`
		// One claim only may take their place.
		this.#unknown.delete(id)
		try {
			const isMine = (await this.#send(claim, value, known, ask)) === value
			if (isMine) {
				this.#made.set(claim, { series, value })
				series.held = value
			}
			return isMine
		} catch (error) {
			this.#made.set(claim, { series, value })
			this.#remember(id, known.length === 0 ? [series] : known)
			throw error
		}
	}

	/** Takes the mark back if this session holds it. */
	async release(claim: Claim, way: Way): Promise<Failure | undefined> {
		const { series, value } = this.#made.get(claim) ?? {}
		if (series !== undefined) {
			if (series.held === value) series.held = undefined
			this.#remember(idOf(claim), [series])
		}
		const release = () => evaluate(releaseMark, this.#keys.claims(claim.partition), [fieldOf(claim), value ?? `${this.#writer}:`])
		for (let attempt = 0; ; attempt++) {
			const [reply] = await way.send([release()])
			if (!(reply instanceof Failure)) return undefined
			if (reply.kind !== 'noscript' || attempt === 3) return reply
			const failure = await way.load()
			if (failure !== undefined) return failure
		}
	}

	/** Answers who holds the mark. */
	async #send(
		claim: Claim,
		value: string,
		known: readonly Series[],
		ask: (commands: readonly Command[]) => Promise<readonly Reply[]>,
	): Promise<Reply> {
		const { partition, ttlMs } = claim
		const key = this.#keys.claims(partition)
		const sweep = this.#sweeps.get(partition) ?? { claims: 0, cursor: '0' }
		this.#sweeps.set(partition, sweep)
		const isDue = ++sweep.claims >= CLAIMS
		if (isDue) sweep.claims = 0
		const set = evaluate(claimMark, key, [fieldOf(claim), value, Math.ceil(ttlMs), ...known.map(({ start }) => start)])
		const [holder, cursor] = await ask(isDue ? [set, evaluate(sweepMarks, key, [sweep.cursor, LOOKED_AT])] : [set])
		if (cursor !== undefined) sweep.cursor = String(cursor)
		return holder
	}

	#remember(id: string, series: readonly Series[]): void {
		const all = [...new Set([...(this.#unknown.get(id) ?? []), ...series])].slice(-SERIES)
		if (this.#unknown.size >= UNKNOWN) this.#unknown.delete(this.#unknown.keys().next().value!)
		this.#unknown.set(id, all)
	}
}

function fieldOf({ kind, name }: Claim): string {
	return `${kind}:${name}`
}

function idOf(claim: Claim): string {
	return `${claim.partition}:${fieldOf(claim)}`
}
