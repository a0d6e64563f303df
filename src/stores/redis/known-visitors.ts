/**
 * What the server is known to have of the visitors of a partition, so that it is not sent again: on a busy page almost every visitor raises registers
 * that are raised already. Forgotten whenever the server may have lost something.
 *
 * Another process may delete a key, and with it visitors that are known here. So each deletion raises a counter of the partition in the same step, and
 * whoever leaves something out reads it afterwards, in the same pipeline: while it stays the same, nothing was taken away.
 */
import { CouponSet } from '../../visitors/coupon-set.ts'

/** Crowds that are remembered; forgotten as a whole when they are more. */
const CROWDS = 12
/** What a remembered deadline takes besides its name. */
const DEADLINE_BYTES = 60

interface Known {
	readonly visitors: CouponSet
	/** Counted in the sum. */
	bytes: number
}

export class KnownVisitors {
	readonly #maxBytes: number
	readonly #deadlines = new Set<string>()
	#deadlineBytes = 0
	readonly #crowds = new Map<string, CouponSet>()
	/** The least recently used first. */
	readonly #keys = new Map<string, Known>()
	#bytes = 0
	/** How often something was deleted from the partition, when the visitors of keys were learned; undefined: not asked yet. */
	#deletions: string | undefined

	/**
	 * `maxBytes`: for the visitors of keys and their deadlines; beyond it those are forgotten that were not sent for longest, and the deadlines as a whole
	 * when they are a quarter of it.
	 */
	constructor(maxBytes: number) {
		this.#maxBytes = maxBytes
	}

	/** Whether the server has the deadline of a key. */
	hasDeadline(key: string): boolean {
		return this.#deadlines.has(key)
	}

	addDeadline(key: string): void {
		if (this.#deadlines.has(key)) return
		const bytes = key.length + DEADLINE_BYTES
		if (this.#deadlineBytes + bytes > this.#maxBytes / 4) this.#forgetDeadlines()
		this.#deadlines.add(key)
		this.#deadlineBytes += bytes
	}

	/** The visitors of all keys together that the server has in all of the Redis keys of `name`. No deletion touches them. */
	crowd(name: string): CouponSet {
		let crowd = this.#crowds.get(name)
		if (crowd === undefined) {
			if (this.#crowds.size >= CROWDS) this.#crowds.clear()
			crowd = new CouponSet()
			this.#crowds.set(name, crowd)
		}
		return crowd
	}

	/** The visitors of one key that the server has in all of the Redis keys of `name`. To be told of by {@link learned} when some were added. */
	of(name: string): CouponSet {
		const known = this.#keys.get(name)
		if (known === undefined) return this.#add(name)
		this.#keys.delete(name)
		this.#keys.set(name, known)
		return known.visitors
	}

	/** Counts what was added to the visitors of `name`, and makes room. */
	learned(name: string): void {
		const known = this.#keys.get(name)
		if (known === undefined) return
		const { bytes } = known.visitors
		this.#bytes += bytes - known.bytes
		known.bytes = bytes
		for (const [oldest, { bytes }] of this.#keys) {
			if (this.#bytes + this.#deadlineBytes <= this.#maxBytes) return
			this.#keys.delete(oldest)
			this.#bytes -= bytes
		}
	}

	/** The partition's counter was read after something was sent. Answers whether what was left out is there, and what was sent may be learned. */
	isUntouched(deletions: string): boolean {
		if (deletions === this.#deletions) return true
		this.#forgetKeys()
		this.#deletions = deletions
		return false
	}

	clear(): void {
		this.#crowds.clear()
		this.#forgetKeys()
	}

	#forgetKeys(): void {
		this.#forgetDeadlines()
		this.#keys.clear()
		this.#bytes = 0
		this.#deletions = undefined
	}

	#forgetDeadlines(): void {
		this.#deadlines.clear()
		this.#deadlineBytes = 0
	}

	#add(name: string): CouponSet {
		const visitors = new CouponSet()
		const bytes = 2 * name.length
		this.#keys.set(name, { visitors, bytes })
		this.#bytes += bytes
		return visitors
	}
}
