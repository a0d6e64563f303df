/**
 * A HyperLogLog that is as small as its content: one number for the first visitor, then a list of coupons, then a table of coupons, and from 768
 * registers in use the dense sketch of 12 KB, which is the smaller by then. The registers, and so every count and byte, are those of the dense
 * sketch from the start.
 */
import { REGISTERS } from '../sketches/coupon.ts'
import { estimate } from '../sketches/estimate.ts'
import { HyperLogLog } from '../sketches/hyperloglog.ts'
import { DENSE_BYTES, sparseImage } from '../sketches/redis-image.ts'

/** Above this many registers in use the sketch is dense. */
export const DENSE_ABOVE = 768
/** Up to this many slots the coupons are a list, without gaps; from the next size on a hash table. */
const LISTED = 32

/** Registers in use by rank, for {@link CouponSet.count}; shared, as it is filled and read in one go. */
const histogram = new Float64Array(64)

export class CouponSet {
	#size = 0
	/** The only coupon, while there is one. */
	#only = 0
	/**
	 * From two coupons on: at most one for each register, 0 for an empty slot. Up to {@link LISTED} slots the first `#size` are in use; above, the slot of
	 * a coupon is the first free one from `index & (slots - 1)` on (the index is part of a hash already), and a quarter of the slots stays empty.
	 * A plain array: filling a fresh set takes half the time of one on typed arrays, whose allocation is most of it.
	 */
	#slots: number[] | undefined
	#dense: HyperLogLog | undefined

	/** Raises register `coupon >>> 6` to at least rank `coupon & 63`; true when it was lower. The coupon must be one: it is not checked here. */
	add(coupon: number): boolean {
		if (this.#dense !== undefined) return this.#dense.addCoupon(coupon)
		const slots = this.#slots
		if (slots === undefined) return this.#addFirst(coupon)
		const size = this.#size
		let at = 0
		if (slots.length <= LISTED) {
			while (at < size && slots[at]! >>> 6 !== coupon >>> 6) at++
		} else {
			at = slotOf(slots, coupon)
		}
		const before = at < slots.length ? slots[at]! : 0
		if (coupon <= before) return false
		if (before !== 0) {
			slots[at] = coupon
			return true
		}
		if (size === DENSE_ABOVE) {
			this.#becomeDense()
			return this.#dense!.addCoupon(coupon)
		}
		this.#size = size + 1
		if (slots.length <= LISTED ? size < slots.length : size < slots.length * 0.75) slots[at] = coupon
		else this.#slots = grown(slots, coupon)
		return true
	}

	/** Whether register `coupon >>> 6` is at least at rank `coupon & 63`: adding it would change nothing. */
	has(coupon: number): boolean {
		if (this.#dense !== undefined) return this.#dense.rank(coupon >>> 6) >= (coupon & 63)
		const slots = this.#slots
		if (slots === undefined) return holds(this.#only, coupon)
		if (slots.length > LISTED) return holds(slots[slotOf(slots, coupon)]!, coupon)
		for (let at = 0; at < this.#size; at++) if (holds(slots[at]!, coupon)) return true
		return false
	}

	/** Bytes it takes in memory, roughly. */
	get bytes(): number {
		return 64 + (this.#dense === undefined ? 8 * (this.#slots?.length ?? 0) : DENSE_BYTES)
	}

	/** Calls `visit` with every coupon, in no order. Neither set may change meanwhile. */
	each(visit: (coupon: number) => void): void {
		if (this.#dense !== undefined) {
			this.#dense.coupons().forEach(visit)
		} else if (this.#slots !== undefined) {
			for (const coupon of this.#slots) if (coupon !== 0) visit(coupon)
		} else if (this.#only !== 0) {
			visit(this.#only)
		}
	}

	/** The registers in use as coupons, in no order; a fresh copy. */
	list(): Uint32Array {
		if (this.#dense !== undefined) return this.#dense.coupons()
		if (this.#slots === undefined) return this.#only === 0 ? new Uint32Array() : Uint32Array.of(this.#only)
		const out = new Uint32Array(this.#size)
		let at = 0
		for (const coupon of this.#slots) if (coupon !== 0) out[at++] = coupon
		return out
	}

	/** The same by rising index. */
	coupons(): Uint32Array {
		const list = this.list()
		return this.#dense === undefined ? list.sort() : list
	}

	/** Makes this the union of both. */
	merge(other: CouponSet): void {
		if (other.#dense === undefined) {
			other.each((coupon) => this.add(coupon))
			return
		}
		this.#becomeDense()
		this.#dense!.merge(other.#dense)
	}

	/** The number of distinct visitors: what PFCOUNT says of the same registers. */
	count(): number {
		if (this.#dense !== undefined) return this.#dense.count()
		histogram.fill(0)
		histogram[0] = REGISTERS - this.#size
		this.each(tally)
		return estimate(histogram)
	}

	/** The value that Redis would hold after PFADD of the same visitors, its cached count stale. */
	toRedis(): Uint8Array {
		if (this.#dense !== undefined) return this.#dense.toRedis({ encoding: 'auto' })
		return imageOf(this.coupons())
	}

	#addFirst(coupon: number): boolean {
		const only = this.#only
		if (only >>> 6 === coupon >>> 6 && only !== 0) {
			if (coupon <= only) return false
			this.#only = coupon
			return true
		}
		if (only === 0) this.#only = coupon
		else this.#slots = [only, coupon, 0, 0, 0, 0, 0, 0]
		this.#size++
		return true
	}

	#becomeDense(): void {
		if (this.#dense !== undefined) return
		const dense = new HyperLogLog()
		this.each((coupon) => dense.addCoupon(coupon))
		this.#dense = dense
		this.#slots = undefined
	}
}

/** The value that Redis would hold for at most {@link DENSE_ABOVE} coupons by rising index, its cached count stale. */
export function imageOf(coupons: Uint32Array): Uint8Array {
	// Where some rank is above 32, one visitor in four thousand million, Redis goes dense too.
	return sparseImage(coupons) ?? HyperLogLog.fromCoupons(coupons).toRedis()
}

/** Whether `slot` is of the coupon's register, and at its rank or above. */
function holds(slot: number, coupon: number): boolean {
	return slot >>> 6 === coupon >>> 6 && slot >= coupon
}

function tally(coupon: number): void {
	histogram[coupon & 63]!++
}

/** Where in a hash table the coupon of this register is, or belongs. */
function slotOf(slots: readonly number[], coupon: number): number {
	const mask = slots.length - 1
	let at = (coupon >>> 6) & mask
	while (slots[at] !== 0 && slots[at]! >>> 6 !== coupon >>> 6) at = (at + 1) & mask
	return at
}

/** Four times the slots of a list, twice those of a table, with `coupon`, whose register is not among `slots`. */
function grown(slots: readonly number[], coupon: number): number[] {
	const more = new Array<number>(slots.length * (slots.length <= LISTED ? 4 : 2)).fill(0)
	if (more.length <= LISTED) {
		for (let at = 0; at < slots.length; at++) more[at] = slots[at]!
		more[slots.length] = coupon
		return more
	}
	for (const old of slots) if (old !== 0) more[slotOf(more, old)] = old
	more[slotOf(more, coupon)] = coupon
	return more
}
