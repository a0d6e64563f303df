/** Bounds how many keys a counter knows: past the bound, hits on new ones go to '(other)', so that hostile URLs cannot fill the memory or the store. */

/** Where the hits of keys past the bound are counted. */
export const otherKey = '(other)'

/**
 * The keys that were admitted. Each process keeps its own; keys that were stored before are learnt at the start. Until all are, it is not known which keys
 * are new: as many as the bound are admitted beside those that are learnt, so that what is stored does not lose its hits to what comes first.
 */
export class KeyBudget {
	readonly #most: number
	readonly #known = new Set<string>()
	/** Admitted before all stored keys were learnt, and not among those so far; undefined from then on. */
	#early: Set<string> | undefined

	/** `learning`: stored keys will be learnt, up to `learnt()`. */
	constructor(most: number, learning = false) {
		this.#most = most
		if (learning) this.#early = new Set()
	}

	/** The key under which a hit on `key` counts. */
	admit(key: string): string {
		if (this.#known.has(key) || key === otherKey) return key
		const admitted = this.#early ?? this.#known
		if (admitted.has(key)) return key
		if (admitted.size >= this.#most) return otherKey
		admitted.add(key)
		return key
	}

	/** Keys that are stored already are never turned away, even past the bound. */
	learn(keys: readonly string[]): void {
		for (const key of keys) {
			if (key === otherKey) continue
			this.#known.add(key)
			this.#early?.delete(key)
		}
	}

	/** All that was stored is learnt: what else was admitted is new. */
	learnt(): void {
		const early = this.#early ?? []
		this.#early = undefined
		for (const key of early) this.#known.add(key)
	}

	/** The key was deleted: its place is free. */
	forget(key: string): void {
		this.#known.delete(key)
		this.#early?.delete(key)
	}
}
