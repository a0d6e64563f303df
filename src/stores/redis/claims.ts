/** Marks that one session at a time may hold, in Redis: a string with a time to live whose value says who holds it. */
import type { Claim } from '../store.ts'
import { type Command, command } from './client.ts'
import { Failure } from './failure.ts'
import type { Keys } from './keys.ts'
import { evaluate, type Link, type Reply } from './link.ts'
import { releaseClaim } from './scripts.ts'

/** Marks whose state is unknown that are remembered. */
const UNKNOWN = 10_000

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

	constructor(keys: Keys, writer: string) {
		this.#keys = keys
		this.#writer = writer
	}

	/** Sets the mark. Throws when the server did not answer; the next attempt then takes a mark that was set after all for its own. */
	async claim(claim: Claim, ask: (commands: readonly Command[]) => Promise<readonly Reply[]>): Promise<boolean> {
		const key = this.#keys.claim(claim)
		const known = this.#unknown.get(key) ?? []
		// The point at the end, so that none is the beginning of another.
		const value = known[0] ?? `${this.#writer}:${++this.#count}.`
		// One claim only may take them for its own.
		this.#unknown.delete(key)
		try {
			const [set, holder] = await ask([command('set', key, value, 'PX', Math.ceil(claim.ttlMs), 'NX'), command('get', key)])
			const mine = set !== null ? value : known.find((each) => each === holder)
			if (mine !== undefined) this.#made.set(claim, { value: mine, held: true })
			return mine !== undefined
		} catch (error) {
			this.#made.set(claim, { value, held: false })
			this.#remember(key, known.length === 0 ? [value] : known)
			throw error
		}
	}

	/** Takes the mark back if this session holds it. */
	async release(claim: Claim, link: Link, timeoutMs: number): Promise<Failure | undefined> {
		const key = this.#keys.claim(claim)
		const { value, held } = this.#made.get(claim) ?? {}
		if (value !== undefined && held === true) {
			this.#made.set(claim, { value, held: false })
			this.#remember(key, [value])
		}
		// Claimed again meanwhile, the mark stands for a hit.
		const isTaken = () => value !== undefined && !this.#unknown.get(key)?.includes(value)
		if (isTaken()) return undefined
		for (let attempt = 0; ; attempt++) {
			const [reply] = await link.send([evaluate(releaseClaim, key, [value ?? `${this.#writer}:`])], timeoutMs)
			if (!(reply instanceof Failure)) return undefined
			if (reply.kind !== 'noscript' || attempt === 3) return reply
			const failure = await link.load(timeoutMs)
			if (failure !== undefined) return failure
			if (isTaken()) return undefined
		}
	}

	#remember(key: string, values: readonly string[]): void {
		const all = [...(this.#unknown.get(key) ?? []), ...values]
		if (this.#unknown.size >= UNKNOWN) this.#unknown.delete(this.#unknown.keys().next().value!)
		this.#unknown.set(key, all)
	}
}
