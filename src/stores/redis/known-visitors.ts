/**
 * What the server is known to have of the visitors of a partition, so that it is not sent again: on a busy page almost every visitor raises registers
 * that are raised already. Forgotten whenever the server may have lost something.
 *
 * Another process may delete a key, and with it visitors that are known here. So a mark lies in the partition, which is deleted with the visitors of any
 * key, by the same command. Whoever leaves something out reads it afterwards, in the same pipeline: while it is the same, nothing was taken away. Where
 * there is none, whoever wants to rely on it sets one, of a name that nobody ever gave before.
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
	/** The mark since which the visitors of keys were learned; undefined: none is known. */
	#mark: string | undefined
	#asked = false

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

	/** Whether the mark has to be asked for before something is sent, for something to be learned from it. It is told by {@link marked}. */
	asks(): boolean {
		this.#asked = this.#mark === undefined
		return this.#asked
	}

	/** The mark that was asked for; undefined where there was none. */
	marked(mark: string | undefined): void {
		// Not when all was forgotten in the meantime: then nobody knows whether what was sent is there.
		if (this.#asked) this.#mark = mark
		this.#asked = false
	}

	/** The mark as it was after that. Answers whether what was left out is there, and what was sent may be learned. */
	isUntouched(mark: string | undefined): boolean {
		if (mark !== undefined && mark === this.#mark) return true
		this.#forgetKeys()
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
		this.#mark = undefined
		this.#asked = false
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
