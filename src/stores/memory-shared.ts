/** Small texts that all sessions of a namespace know, each until its time is over. */
import type { Shared } from './store.ts'

interface Kept {
	readonly value: string
	/** Epoch milliseconds. */
	readonly until: number
}

export class MemoryShared {
	readonly #kept = new Map<string, Kept>()

	/** Keeps the value, unless there is one whose time is not over; answers the one that is kept. */
	share({ name, value, ttlMs }: Shared, now: number): string {
		const kept = this.#kept.get(name)
		if (kept !== undefined && kept.until > now) return kept.value
		this.#kept.set(name, { value, until: now + ttlMs })
		return value
	}

	/** Forgets what is past its time: a salt must not outlive its days. */
	expire(now: number): void {
		for (const [name, { until }] of this.#kept) if (until <= now) this.#kept.delete(name)
	}
}
