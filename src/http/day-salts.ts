/**
 * The salt of a day: random, the same in every process of the namespace, and gone two days after the day began, so that nobody, the owner of the site
 * included, can work back from yesterday's visitors to their addresses.
 *
 * It is asked of the store with the day's first request, and an hour before the next day begins, so that midnight waits for nothing. While the store is
 * away and today's is not known, there is none: a salt of this process's own would count everybody twice as soon as the store is back.
 */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { isTallymarkError, StoreUnavailableError, type TallymarkError } from '../errors.ts'
import type { MaybePromise, Shared } from '../stores/store.ts'

/** Where salts are kept; a `Counter` is such a place. */
export interface SaltKeeper {
	share?(shared: Shared): MaybePromise<string>
	report?(error: TallymarkError): void
}

export const dayMs = 86_400_000
const aheadMs = 3_600_000
/** A store that failed is asked again after this. */
const againMs = 1_000

export class DaySalts {
	readonly #keeper: SaltKeeper | undefined
	readonly #salts = new Map<number, KeyObject>()
	readonly #asked = new Map<number, Promise<KeyObject | undefined>>()
	#day = Number.NaN
	#askAgainAt = 0
	#failed = false

	/** Without a keeper, or with one that shares nothing, the salts are this process's own. */
	constructor(keeper: SaltKeeper | undefined) {
		this.#keeper = keeper
	}

	/** The salt of the day of `now`; undefined while it cannot be had. A promise never rejects, and is answered within the time the keeper takes. */
	at(now: number): MaybePromise<KeyObject | undefined> {
		const day = Math.floor(now / dayMs)
		if (day !== this.#day) {
			this.#day = day
			for (const known of this.#salts.keys()) if (known !== day) this.#salts.delete(known)
		}
		const salt = this.#salts.get(day)
		if (salt === undefined) return this.#ask(day, now)
		if (now >= (day + 1) * dayMs - aheadMs && !this.#salts.has(day + 1)) void this.#ask(day + 1, now)
		return salt
	}

	#ask(day: number, now: number): MaybePromise<KeyObject | undefined> {
		const asked = this.#asked.get(day)
		if (asked !== undefined) return asked
		// A clock that is set back must not keep the store from being asked.
		if (now < this.#askAgainAt && now >= this.#askAgainAt - againMs) return undefined
		const value = randomBytes(32).toString('base64url')
		let answer: MaybePromise<string>
		try {
			const name = `visitor-salt:${day}`
			answer = this.#keeper?.share?.({ name, value, ttlMs: Math.ceil((day + 2) * dayMs - now) }) ?? value
		} catch (error) {
			return this.#missed(error, now)
		}
		if (typeof answer === 'string') return this.#keep(day, answer)
		const waiting = answer
			.then(
				(kept) => this.#keep(day, kept),
				(error: unknown) => this.#missed(error, now),
			)
			.finally(() => this.#asked.delete(day))
		this.#asked.set(day, waiting)
		return waiting
	}

	#keep(day: number, text: string): KeyObject {
		this.#failed = false
		const salt = createSecretKey(Buffer.from(text))
		if (day >= this.#day) this.#salts.set(day, salt)
		return salt
	}

	/** Told once in an outage. */
	#missed(cause: unknown, now: number): undefined {
		this.#askAgainAt = now + againMs
		if (this.#failed) return undefined
		this.#failed = true
		const message = "The day's salt could not be read: hits count without their visitors until it can"
		// A closed counter is no outage, and its hits say so themselves.
		if (isTallymarkError(cause) && cause.code === 'ERR_TALLYMARK_CLOSED') return undefined
		this.#keeper?.report?.(new StoreUnavailableError(message, { cause }))
		return undefined
	}
}
