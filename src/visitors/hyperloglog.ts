/**
 * Visitors as a HyperLogLog, the default: some 4 bytes for the first few visitors of a key and 12 KB at most, standard error 0.81 % at most.
 * Registers, counts and bytes are those that Redis would hold for PFADD of the same visitors. See `HyperLogLog` for the sources and for who can forge
 * a count: ids that a client chooses must pass a keyed hash first.
 */
import { expected } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'
import { couponOf } from '../sketches/coupon.ts'
import { relativeStandardError } from '../sketches/estimate.ts'
import { readImage } from '../sketches/redis-image.ts'
import { CouponSet } from './coupon-set.ts'
import type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from './tracker.ts'

/**
 * Estimates distinct visitors. 0 and 1 are given as exact: a 1 hides a second visitor with a probability below 1 in 16,384 (both must fall on the
 * same register). Every other value carries the standard error at that value, from 0.55 % for small ones to 0.81 %.
 */
export class HyperLogLogTracker implements VisitorTracker {
	readonly kind = 'hyperloglog'

	delta(): HyperLogLogDelta {
		return new HyperLogLogDelta()
	}

	sketch(): VisitorSketch {
		return new HyperLogLogSketch()
	}

	/** Takes what `save()` gave and every other value of PFADD, dense or sparse. */
	load(bytes: Uint8Array): VisitorSketch {
		const sketch = new HyperLogLogSketch()
		readImage(bytes, (index, rank) => sketch.registers.add((index << 6) | rank))
		return sketch
	}
}

/** Who came between two cuts, as the registers they raise. */
export class HyperLogLogDelta implements VisitorDelta {
	/** @internal */
	readonly registers = new CouponSet()

	add(visitor: string): boolean {
		hashText(visitor)
		return this.registers.add(couponOf(hashed[0]!, hashed[1]!))
	}

	/** The registers that are raised, by rising index: `index << 6 | rank`. What a store of registers sends; a fresh copy. */
	coupons(): Uint32Array {
		return this.registers.coupons()
	}
}

class HyperLogLogSketch implements VisitorSketch {
	readonly registers = new CouponSet()

	apply(delta: VisitorDelta): void {
		if (!(delta instanceof HyperLogLogDelta)) throw expected('ERR_TALLYMARK_SKETCH', 'delta', "a delta of the 'hyperloglog' tracker", delta)
		this.registers.merge(delta.registers)
	}

	merge(other: VisitorSketch): void {
		if (!(other instanceof HyperLogLogSketch))
			throw expected('ERR_TALLYMARK_SKETCH', 'other', "a sketch of the 'hyperloglog' tracker", other)
		this.registers.merge(other.registers)
	}

	estimate(): Estimate {
		const value = this.registers.count()
		return value <= 1 ? { value, exact: true, error: 0 } : { value, exact: false, error: relativeStandardError(value) }
	}

	save(): Uint8Array {
		return this.registers.toRedis()
	}

	release(): void {}
}
