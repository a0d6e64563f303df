/** Marks that one session at a time may hold, in Redis: a string with a time to live whose value says who holds it. */
import type { Claim } from '../store.ts'
import { type Command, command } from './client.ts'
import { Failure } from './failure.ts'
import type { Keys } from './keys.ts'
import { evaluate, type Link, type Reply } from './link.ts'
import { releaseClaim } from './scripts.ts'

/** Attempts whose outcome is unknown that are remembered. */
const UNKNOWN = 10_000

export class Claims {
	readonly #keys: Keys
	readonly #writer: string
	#count = 0
	/** The value of claims that were not answered: they may be there, and a further attempt knows them by it. */
	readonly #unknown = new Map<string, string>()

	constructor(keys: Keys, writer: string) {
		this.#keys = keys
		this.#writer = writer
	}

	/** Sets the mark. Throws when the server did not answer; the next attempt then takes a mark that was set after all for its own. */
	async claim(claim: Claim, ask: (commands: readonly Command[]) => Promise<readonly Reply[]>): Promise<boolean> {
		const key = this.#keys.claim(claim)
		const value = this.#unknown.get(key) ?? `${this.#writer}:${++this.#count}`
		// Forgotten or not, what is known below is known for good.
		this.#unknown.delete(key)
		try {
			const [set, holder] = await ask([command('set', key, value, 'PX', Math.ceil(claim.ttlMs), 'NX'), command('get', key)])
			return set !== null || holder === value
		} catch (error) {
			if (this.#unknown.size >= UNKNOWN) this.#unknown.delete(this.#unknown.keys().next().value!)
			this.#unknown.set(key, value)
			throw error
		}
	}

	/** Takes the mark back if this session holds it. */
	async release(claim: Claim, link: Link, timeoutMs: number): Promise<Failure | undefined> {
		const key = this.#keys.claim(claim)
		this.#unknown.delete(key)
		for (let attempt = 0; ; attempt++) {
			const [reply] = await link.send([evaluate(releaseClaim, key, [this.#writer])], timeoutMs)
			if (!(reply instanceof Failure)) return undefined
			if (reply.kind !== 'noscript' || attempt === 3) return reply
			const failure = await link.load(timeoutMs)
			if (failure !== undefined) return failure
		}
	}
}
