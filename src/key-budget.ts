/** Bounds how many keys a counter knows: past the bound, hits on new ones go to '(other)', so that hostile URLs cannot fill the memory or the store. */

/** Where the hits of keys past the bound are counted. */
export const otherKey = '(other)'

/** The keys that were admitted. Each process keeps its own; keys that were stored before are learnt at the start. */
export class KeyBudget {
	readonly #most: number
	readonly #known = new Set<string>()

	constructor(most: number) {
		this.#most = most
	}

	/** The key under which a hit on `key` counts. */
	admit(key: string): string {
		if (this.#known.has(key) || key === otherKey) return key
		if (this.#known.size >= this.#most) return otherKey
		this.#known.add(key)
		return key
	}

	/** Keys that are stored already are never turned away, even past the bound. */
	learn(keys: readonly string[]): void {
		for (const key of keys) if (key !== otherKey) this.#known.add(key)
	}

	/** The key was deleted: its place is free. */
	forget(key: string): void {
		this.#known.delete(key)
	}
}
