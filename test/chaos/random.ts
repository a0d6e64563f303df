/** Random numbers that come back: the same seed gives the same ones, on every machine. */
import { hashed, hashText } from '../../src/hash/murmur64.ts'

export class Random {
	#state: number

	constructor(seed: string) {
		hashText(seed)
		this.#state = hashed[0]!
	}

	/** In [0, 1). Mulberry32. */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) | 0
		let mixed = this.#state
		mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
	}

	/** A whole number from `least` to `most`, both included. */
	whole(least: number, most: number): number {
		return least + Math.floor(this.next() * (most - least + 1))
	}

	chance(share: number): boolean {
		return this.next() < share
	}

	pick<T>(items: readonly T[]): T {
		return items[Math.floor(this.next() * items.length)]!
	}
}
