/** Marks that one session at a time may hold: cooldowns and idempotency ids. No timer and no object for any of them. */
import { RecencyTable } from '../sketches/recency-table.ts'
import type { Claim } from './store.ts'

/** Above a million cooldowns those that would end first are given up: a flood of made-up visitors must not fill the memory. */
const COOLDOWNS = 1_000_000
/** An id that was forgotten would be counted twice: these live as long as they should. */
const IDS = 100_000_000

class Marks {
	readonly #held: RecencyTable
	/** Beside each mark one more, of its name and the writer that set it: the table itself knows no owners. */
	readonly #owned: RecencyTable

	constructor(maxEntries: number) {
		this.#held = new RecencyTable({ maxEntries })
		this.#owned = new RecencyTable({ maxEntries })
	}

	claim(name: string, ttlMs: number, writer: string, now: number): boolean {
		if (!this.#held.claim(low(name), high(name), now, ttlMs)) return false
		this.#owned.claim(low(name) ^ low(writer), high(name) ^ high(writer), now, ttlMs)
		return true
	}

	release(name: string, writer: string, now: number): void {
		if (this.#owned.release(low(name) ^ low(writer), high(name) ^ high(writer), now)) this.#held.release(low(name), high(name), now)
	}
}

export class MemoryClaims {
	readonly #marks: Readonly<Record<Claim['kind'], Marks>> = { cooldown: new Marks(COOLDOWNS), id: new Marks(IDS) }

	/** Sets the mark for `ttlMs`, unless somebody holds it. */
	claim({ kind, name, ttlMs }: Claim, writer: string, now: number): boolean {
		return this.#marks[kind].claim(name, ttlMs, writer, now)
	}

	/** Takes back what the writer holds; what has passed to another by now stays. */
	release({ kind, name }: Claim, writer: string, now: number): void {
		this.#marks[kind].release(name, writer, now)
	}
}

/** The low and the high half of a hash of 16 hex digits. */
const low = (hash: string) => Number.parseInt(hash.slice(8), 16) | 0
const high = (hash: string) => Number.parseInt(hash.slice(0, 8), 16) | 0
