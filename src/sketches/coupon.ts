/**
 * A coupon is what one visitor can do to a HyperLogLog of 16,384 registers: raise register `index` to at least `rank`.
 * As a number it is `index << 6 | rank`, 20 bits and never 0. A set of coupons with the highest rank per index *is* the sketch, in a shorter form.
 */

import { expected } from '../errors.ts'
import { preimageInto } from '../hash/murmur64.ts'

/** Registers per sketch, 2^14: the number that Redis uses. */
export const REGISTERS = 16_384
/** The highest rank: 50 bits of the hash are left beside the index, and 51 stands for all of them being 0 (as in Redis since 5.0). */
export const MAX_RANK = 51

/** The coupon of a 64-bit hash: the low 14 bits are the index, and the rank is 1 + the number of zero bits that follow. */
export function couponOf(lo: number, hi: number): number {
	const index = (lo & 0x3fff) << 6
	const near = (lo >>> 14) | (hi << 18)
	if (near !== 0) return index | (32 - Math.clz32(near & -near))
	const far = hi >>> 14
	return index | (far === 0 ? MAX_RANK : 64 - Math.clz32(far & -far))
}

/** Whether `value` is a coupon: a whole number with an index below 16,384 and a rank from 1 to 51. */
export function isCoupon(value: number): boolean {
	return value >>> 0 === value && value < REGISTERS << 6 && ((value & 63) - 1) >>> 0 < MAX_RANK
}

/** Throws unless `value` is a coupon. */
export function checkCoupon(value: number): void {
	if (!isCoupon(value)) throw expected('ERR_TALLYMARK_SKETCH', 'coupon', 'index << 6 | rank with index below 16384 and rank 1 to 51', value)
}

/** Bytes of one preimage. */
export const PREIMAGE_BYTES = 8

/**
 * For each coupon 8 bytes that, given to PFADD as an element, raise exactly this register to exactly this rank, one after the other in one array.
 * Sending them again changes nothing, and no visitor's id leaves the process. A rank above what the register holds raises it; one below does nothing.
 * About 14 bytes per register on the wire; above some 4,000 registers SET and PFMERGE of a whole image is shorter.
 */
export function preimagesOf(coupons: ArrayLike<number>): Uint8Array {
	const out = new Uint8Array(coupons.length * PREIMAGE_BYTES)
	for (let i = 0; i < coupons.length; i++) {
		const coupon = coupons[i]!
		checkCoupon(coupon)
		// The hash with this index, rank - 1 zero bits, a one (none at rank 51), and zeros above.
		const bit = 13 + (coupon & 63)
		const lo = (coupon >>> 6) | (bit < 32 ? 1 << bit : 0)
		preimageInto(lo, bit >= 32 && bit < 64 ? 1 << (bit - 32) : 0, out, i * PREIMAGE_BYTES)
	}
	return out
}
