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

/** Marks whose state is unknown that are remembered. */
const UNKNOWN = 10_000
/** Claims of a partition after which some marks are looked at, and how many. */
const CLAIMS = 32
const LOOKED_AT = 2 * CLAIMS

export class Claims {
	readonly #keys: Keys
	readonly #writer: string
	#count = 0
	/**
	 * Values of marks that may be there and stand for no hit: of claims that were not answered, or taken back. They may be set late, and the taking back
	 * may never arrive; whoever claims the same again then finds a mark of his own.
	 */
	readonly #unknown = new Map<string, readonly string[]>()
	/** The value that a claim was made with, and whether it is known to hold the mark. */
	readonly #made = new WeakMap<Claim, { readonly value: string; readonly held: boolean }>()
	/** By partition: claims since marks were looked at, and where to go on. */
	readonly #sweeps = new Map<number, { claims: number; cursor: string }>()

	constructor(keys: Keys, writer: string) {
		this.#keys = keys
		this.#writer = writer
	}

	/** Sets the mark. Throws when the server did not answer; the next attempt then takes a mark that was set after all for its own. */
	async claim(claim: Claim, ask: (commands: readonly Command[]) => Promise<readonly Reply[]>): Promise<boolean> {
		const id = idOf(claim)
		const known = this.#unknown.get(id) ?? []
		// The point at the end, so that none is the beginning of another.
		const value = known[0] ?? `${this.#writer}:${++this.#count}.`
		// One claim only may take them for its own.
		this.#unknown.delete(id)
		try {
			const holder = await this.#send(claim, value, ask)
			const mine = holder === value ? value : known.find((each) => each === holder)
			if (mine !== undefined) this.#made.set(claim, { value: mine, held: true })
			return mine !== undefined
		} catch (error) {
			this.#made.set(claim, { value, held: false })
			this.#remember(id, known.length === 0 ? [value] : known)
			throw error
		}
	}

	/** Takes the mark back if this session holds it. */
	async release(claim: Claim, way: Way): Promise<Failure | undefined> {
		const id = idOf(claim)
		const { value, held } = this.#made.get(claim) ?? {}
		if (value !== undefined && held === true) {
			this.#made.set(claim, { value, held: false })
			this.#remember(id, [value])
		}
		// Claimed again meanwhile, the mark stands for a hit.
		const isTaken = () => value !== undefined && !this.#unknown.get(id)?.includes(value)
		if (isTaken()) return undefined
		const release = () => evaluate(releaseMark, this.#keys.claims(claim.partition), [fieldOf(claim), value ?? `${this.#writer}:`])
		for (let attempt = 0; ; attempt++) {
			const [reply] = await way.send([release()])
			if (!(reply instanceof Failure)) return undefined
			if (reply.kind !== 'noscript' || attempt === 3) return reply
			const failure = await way.load()
			if (failure !== undefined) return failure
			if (isTaken()) return undefined
		}
	}

	/** Answers who holds the mark. */
	async #send(claim: Claim, value: string, ask: (commands: readonly Command[]) => Promise<readonly Reply[]>): Promise<Reply> {
		const { partition, ttlMs } = claim
		const key = this.#keys.claims(partition)
		const sweep = this.#sweeps.get(partition) ?? { claims: 0, cursor: '0' }
		this.#sweeps.set(partition, sweep)
		const isDue = ++sweep.claims >= CLAIMS
		if (isDue) sweep.claims = 0
		const set = evaluate(claimMark, key, [fieldOf(claim), value, Math.ceil(ttlMs)])
		const [holder, cursor] = await ask(isDue ? [set, evaluate(sweepMarks, key, [sweep.cursor, LOOKED_AT])] : [set])
		if (cursor !== undefined) sweep.cursor = String(cursor)
		return holder
	}

	#remember(id: string, values: readonly string[]): void {
		const all = [...(this.#unknown.get(id) ?? []), ...values]
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
