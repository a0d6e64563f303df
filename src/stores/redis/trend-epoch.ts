/**
 * Trends in Redis: scores that fade by forward decay (see MemoryTrend), in sorted sets of an epoch each. Within an epoch a hit counts
 * 2^((its minute - start of the epoch) / half-life); a new epoch begins before that overflows, so that nothing that was written is ever scaled, and
 * every write is a sum that can be told to be there or not. Fading to a moment, and the sum over the epochs that still count, happen when read.
 */
import type { Granularity } from '../../time/granularity.ts'
import { lengthMs } from '../../time/granularity.ts'

/** Half-lives in an epoch. What has faded through a whole one counts 2^-64. */
const HALF_LIVES = 64

export class TrendEpochs {
	readonly #halfLifeMs: number
	/** Milliseconds in an epoch, whole minutes. */
	readonly #length: number

	constructor(halfLifeMs: number) {
		this.#halfLifeMs = halfLifeMs
		const minute = lengthMs['minute' satisfies Granularity]
		this.#length = Math.ceil((HALF_LIVES * halfLifeMs) / minute) * minute
	}

	/** The epoch that `time` lies in. */
	of(time: number): number {
		return Math.floor(time / this.#length)
	}

	/** What a hit of this minute counts in its epoch. */
	weight(minute: number): number {
		return 2 ** ((minute - this.of(minute) * this.#length) / this.#halfLifeMs)
	}

	/** What to multiply the scores of an epoch by, to fade them to the moment `now`. */
	fading(epoch: number, now: number): number {
		return 2 ** ((epoch * this.#length - now) / this.#halfLifeMs)
	}

	/** When an epoch may be forgotten, epoch seconds: one epoch after its end. */
	deadline(epoch: number): number {
		return Math.ceil(((epoch + 2) * this.#length) / 1_000)
	}

	/** The epochs that count at the moment `now`; the next one too, for the clocks of others may be ahead. */
	at(now: number): readonly number[] {
		const epoch = this.of(now)
		return [epoch - 1, epoch, epoch + 1]
	}
}
