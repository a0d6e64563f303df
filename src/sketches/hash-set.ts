/** A set of 64-bit hashes: 8 bytes a slot, open addressing, no object per entry. */

/** At most this share of the slots is in use, in quarters. */
const FULL_QUARTERS = 3

export class HashSet {
	/** Pairs of (low, high); (0, 0) is an empty slot. The length is a power of two. */
	#slots = new Int32Array(4)
	#size = 0
	/** Whether the hash 0, which looks like an empty slot, is in the set. */
	#zero = false

	get size(): number {
		return this.#size + (this.#zero ? 1 : 0)
	}

	/** Bytes of the slots. */
	get bytes(): number {
		return this.#slots.byteLength
	}

	/** Adds a hash given as two int32; true when it was not there. */
	add(lo: number, hi: number): boolean {
		if (lo === 0 && hi === 0) {
			if (this.#zero) return false
			this.#zero = true
			return true
		}
		const at = slotOf(this.#slots, lo, hi)
		if (this.#slots[at] !== 0 || this.#slots[at + 1] !== 0) return false
		this.#slots[at] = lo
		this.#slots[at + 1] = hi
		this.#size += 1
		if (this.#size * 8 > this.#slots.length * FULL_QUARTERS) this.#grow()
		return true
	}

	/** Calls `visit` with every hash, in no order. The set must not change meanwhile. */
	each(visit: (lo: number, hi: number) => void): void {
		if (this.#zero) visit(0, 0)
		for (let at = 0; at < this.#slots.length; at += 2) {
			const lo = this.#slots[at]!
			const hi = this.#slots[at + 1]!
			if (lo !== 0 || hi !== 0) visit(lo, hi)
		}
	}

	#grow(): void {
		const old = this.#slots
		const slots = new Int32Array(old.length * 2)
		for (let from = 0; from < old.length; from += 2) {
			const lo = old[from]!
			const hi = old[from + 1]!
			if (lo === 0 && hi === 0) continue
			const at = slotOf(slots, lo, hi)
			slots[at] = lo
			slots[at + 1] = hi
		}
		this.#slots = slots
	}
}

/** Where the hash is, or belongs: the position of its low half. */
function slotOf(slots: Int32Array, lo: number, hi: number): number {
	const mask = slots.length - 2
	let at = (lo << 1) & mask
	while ((slots[at] !== 0 || slots[at + 1] !== 0) && (slots[at] !== lo || slots[at + 1] !== hi)) at = (at + 2) & mask
	return at
}
