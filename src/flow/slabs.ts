/** All hits that are in no batch yet: the slabs of every lane and minute. */
import type { Clock } from '../clock.ts'
import type { Lane } from '../stores/store.ts'
import { startOf } from '../time/granularity.ts'
import { Slab } from './pending.ts'

/** Fewer slabs than this are never swept. */
const fewSlabs = 64

export class Slabs {
	/** The slab a hit of the human lane most likely falls in: that of the minute it is. */
	current: Slab
	readonly #clock: Clock
	readonly #partitions: number
	/** By minute, then lane. */
	readonly #slabs = new Map<number, Map<Lane, Slab>>()
	/** Slabs, and how many there may be until those that are empty are forgotten. */
	#count = 0
	#sweepAbove = fewSlabs
	#sealed = false

	constructor(partitions: number, clock: Clock) {
		this.#partitions = partitions
		this.#clock = clock
		this.current = this.#none()
	}

	/** The slab of a lane at the moment `at`. */
	of(lane: Lane, at: number): Slab {
		const current = this.current
		if (lane === 'human' && at >= current.minute && at < current.until) return current
		const minute = startOf('minute', at)
		let byLane = this.#slabs.get(minute)
		if (byLane === undefined) {
			if (this.#count >= this.#sweepAbove) this.#sweep()
			byLane = new Map()
			this.#slabs.set(minute, byLane)
		}
		let slab = byLane.get(lane)
		if (slab === undefined) {
			slab = new Slab(lane, minute, this.#partitions)
			byLane.set(lane, slab)
			this.#count += 1
		}
		// A hit of another minute, late or ahead, must not push the present one off the hot path.
		if (lane === 'human' && !this.#sealed && minute === startOf('minute', this.#clock.now())) this.current = slab
		return slab
	}

	/** Whether a key waits in the slab of a lane at the moment `at`. */
	has(lane: Lane, at: number, key: string): boolean {
		return this.#slabs.get(startOf('minute', at))?.get(lane)?.entries.has(key) ?? false
	}

	/** Every slab, the empty ones too. */
	*all(): Iterable<Slab> {
		for (const byLane of this.#slabs.values()) yield* byLane.values()
	}

	/** No slab is the current one any more. */
	seal(): void {
		this.#sealed = true
		this.current = this.#none()
	}

	/** A slab that no moment falls in. */
	#none(): Slab {
		return new Slab('human', Number.NEGATIVE_INFINITY, this.#partitions)
	}

	/** Forgets the slabs that are empty, but for the current one. Called when their number has doubled, so that many minutes cost no more than few. */
	#sweep(): void {
		for (const [minute, byLane] of this.#slabs) {
			for (const [lane, slab] of byLane) {
				if (slab.entries.size > 0 || slab === this.current) continue
				byLane.delete(lane)
				this.#count -= 1
			}
			if (byLane.size === 0) this.#slabs.delete(minute)
		}
		this.#sweepAbove = Math.max(fewSlabs, 2 * this.#count)
	}
}
