/**
 * Hits that fade: each counts 2^(-age / half-life). Instead of fading every score as time goes on, newer hits count for more (forward decay:
 * Cormode, Shkapenyuk, Srivastava and Xu, ICDE 2009): a score is the sum of n * 2^((minute - landmark) / half-life), and is scaled down to a moment
 * when it is read. Ranking needs no scaling at all.
 */
import { Ranking } from './ranking.ts'

/** The landmark moves when a hit would count 2^500: sums then keep 500 binary places to the largest double. */
const HIGHEST_EXPONENT = 500
/** At such a move, what has faded below this is forgotten; by then its last hit is hundreds of half-lives old. */
const FORGOTTEN_BELOW = 2 ** -64

export class MemoryTrend {
	readonly #halfLifeMs: number
	readonly #scores = new Map<string, number>()
	/** Where a hit counts 1; set by the first one. */
	#landmark: number | undefined

	constructor(halfLifeMs: number) {
		this.#halfLifeMs = halfLifeMs
	}

	/** Adds hits of the minute that starts at `minute`, which is not after `now`. */
	add(key: string, hits: number, minute: number, now: number): void {
		this.#bringBack(now)
		const weight = this.#weightAt(minute)
		this.#scores.set(key, (this.#scores.get(key) ?? 0) + hits * weight)
	}

	/** Gives a key the score that it had, decayed to the moment `at`. */
	set(key: string, score: number, at: number, now: number): void {
		this.#bringBack(Math.max(at, now))
		const weight = this.#weightAt(at)
		this.#scores.set(key, score * weight)
	}

	/** Every key with its score, decayed to the moment `at`; what has faded to nothing is left out. Hits may come meanwhile. */
	*decayedTo(at: number): Generator<[key: string, score: number]> {
		for (const [key, score] of this.#scores) {
			const faded = this.#decayed(score, at)
			if (faded > 0) yield [key, faded]
		}
	}

	delete(key: string): void {
		this.#scores.delete(key)
	}

	/** The highest scores at the moment `now`, ties by key; what has faded to nothing is not listed. */
	top(limit: number, now: number): { key: string; score: number }[] {
		const ranking = new Ranking(limit)
		for (const [key, score] of this.#scores) ranking.offer(key, score)
		return ranking.entries().flatMap(({ key, score }) => {
			const faded = this.#decayed(score, now)
			return faded > 0 ? [{ key, score: faded }] : []
		})
	}

	#decayed(score: number, at: number): number {
		// What is asked of a moment before the landmark was more by then; but not much more: one far ahead is of a clock that was. In two steps, for
		// 2^exponent alone can be 0 where the product is not.
		const half = 2 ** Math.min(((this.#landmark ?? at) - at) / this.#halfLifeMs / 2, 0.5)
		return score * half * half
	}

	/**
	 * A clock that was ahead and came back has left a landmark to come, which hits of now count nothing against. It moves back to now, and what was counted
	 * by it counts as it did there.
	 */
	#bringBack(now: number): void {
		if (this.#landmark !== undefined && this.#landmark > now) this.#landmark = now
	}

	/** What a hit at `time` counts. */
	#weightAt(time: number): number {
		this.#landmark ??= time
		const exponent = (time - this.#landmark) / this.#halfLifeMs
		if (exponent <= HIGHEST_EXPONENT) return 2 ** exponent
		// By whole half-lives: a power of two changes no digit of a score.
		const steps = Math.floor(exponent)
		this.#moveLandmark(this.#landmark, steps)
		return 2 ** (exponent - steps)
	}

	#moveLandmark(from: number, steps: number): void {
		this.#landmark = from + steps * this.#halfLifeMs
		for (const [key, score] of this.#scores) {
			const scaled = score * 2 ** -steps
			if (scaled < FORGOTTEN_BELOW) this.#scores.delete(key)
			else this.#scores.set(key, scaled)
		}
	}
}
