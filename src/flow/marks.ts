/**
 * Marks that a hit needs before it counts: its idempotency id, the visitor's cooldown. They are set in the store, one after the other, before the hit is
 * handed on. A mark whose hit is not counted is taken back, so that the same hit sent again is not taken for its own double.
 */
import type { Clock } from '../clock.ts'
import { isTallymarkError, StoreUnavailableError, type TallymarkError } from '../errors.ts'
import type { Claim, MaybePromise, StoreSession } from '../stores/store.ts'
import { inTime } from './in-time.ts'
import type { HitReceipt } from './receipt.ts'

export interface MarksOptions {
	readonly session: Pick<StoreSession, 'claim' | 'release'>
	readonly storeName: string
	readonly clock: Clock
	/** A mark that is not answered for in this time has failed. */
	readonly timeoutMs: number
	/** Told why a mark could not be set. Never throws. */
	readonly failed: (error: TallymarkError) => void
}

/** A promise that nobody may be looking at: it must not bring the process down. */
function quietly<T>(promise: Promise<T>): Promise<T> {
	promise.catch(() => {})
	return promise
}

/** See above. */
export class Marks {
	readonly #options: MarksOptions
	readonly #waiting = new Set<Promise<HitReceipt>>()

	constructor(options: MarksOptions) {
		this.#options = options
	}

	/** Hits that wait for a mark. */
	get waiting(): number {
		return this.#waiting.size
	}

	/** Resolves when no hit that waits now waits any more. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.#waiting)
	}

	/** Sets the marks of a hit on `key` and then counts it. Rejects, nothing counted and no mark left, when the store cannot be asked. */
	claim(wanted: readonly Claim[], key: string, count: () => Promise<HitReceipt>): Promise<HitReceipt> {
		return this.#next(wanted, 0, key, count)
	}

	#next(wanted: readonly Claim[], index: number, key: string, count: () => Promise<HitReceipt>): Promise<HitReceipt> {
		const claim = wanted[index]
		if (claim === undefined) {
			return count().then((receipt) => {
				if (!receipt.counted) this.#release(wanted)
				return receipt
			})
		}
		const goOn = (mine: boolean): Promise<HitReceipt> => {
			if (mine) return this.#next(wanted, index + 1, key, count)
			this.#release(wanted.slice(0, index))
			return Promise.resolve({ counted: false, key, reason: claim.kind === 'id' ? 'duplicate' : 'cooldown' })
		}
		const { session, storeName, clock, timeoutMs } = this.#options
		const failed = (cause: unknown): Promise<HitReceipt> => {
			// Nobody knows whether the mark was set.
			this.#release(wanted.slice(0, index + 1))
			const error = isTallymarkError(cause)
				? cause
				: new StoreUnavailableError(`The store '${storeName}' could not be asked about a ${claim.kind}`, { cause })
			this.#options.failed(error)
			return quietly(Promise.reject(error))
		}
		let answer: MaybePromise<boolean>
		try {
			answer = session.claim(claim)
		} catch (error) {
			return failed(error)
		}
		if (!(answer instanceof Promise)) return goOn(answer)
		const tooLate = () => new StoreUnavailableError(`The store '${storeName}' did not answer about a ${claim.kind} within ${timeoutMs} ms`)
		const late = (mine: boolean) => {
			if (mine) this.#release([claim])
		}
		const receipt = quietly(inTime(clock, answer, timeoutMs, tooLate, late).then(goOn, failed))
		this.#waiting.add(receipt)
		const ended = () => this.#waiting.delete(receipt)
		receipt.then(ended, ended)
		return receipt
	}

	/** A mark that cannot be taken back ends by itself. */
	#release(claims: readonly Claim[]): void {
		for (const claim of claims) {
			try {
				const answer: MaybePromise<void> = this.#options.session.release(claim)
				if (answer instanceof Promise) answer.catch(() => {})
			} catch {}
		}
	}
}
