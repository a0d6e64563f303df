/**
 * Visitors as a HyperLogLog, the default: some 8 bytes each for the first visitors of a key and 12 KB at most, standard error 0.81 % at most.
 * Registers, counts and bytes are those that Redis would hold for PFADD of the same visitors. See `HyperLogLog` for the sources and for who can forge
 * a count: ids that a client chooses must pass a keyed hash first.
 */
import { expected } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'
import { CounterPool } from '../sketches/counter-pool.ts'
import { couponOf } from '../sketches/coupon.ts'
import { relativeStandardError } from '../sketches/estimate.ts'
import { readImage } from '../sketches/redis-image.ts'
import { CouponSet, DENSE_ABOVE, imageOf } from './coupon-set.ts'
import type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from './tracker.ts'

/**
 * Estimates distinct visitors. 0 and 1 are given as exact: a 1 hides a second visitor with a probability below 1 in 16,384 (both must fall on the
 * same register). Every other value carries the standard error at that value, from 0.55 % for small ones to 0.81 %.
 *
 * The sketches that `sketch()` makes lie in one pool per tracker, and keep their place in it until they are released. Those that `load()` makes are
 * on their own: one that is dropped without a release costs nothing.
 */
export class HyperLogLogTracker implements VisitorTracker {
	readonly kind = 'hyperloglog'
	readonly #pool = new CounterPool()

	delta(): HyperLogLogDelta {
		return new HyperLogLogDelta()
	}

	sketch(): VisitorSketch {
		return new PooledSketch(this.#pool)
	}

	/** Takes what `save()` gave and every other value of PFADD, dense or sparse. */
	load(bytes: Uint8Array): VisitorSketch {
		const sketch = new LooseSketch()
		readImage(bytes, (index, rank) => sketch.registers.add((index << 6) | rank))
		return sketch
	}

	union(sketches: readonly VisitorSketch[]): VisitorSketch {
		const union = new LooseSketch()
		for (const each of sketches) union.merge(each)
		return union
	}

	/** Bytes of all sketches in the pool, room kept for more included. */
	get bytes(): number {
		return this.#pool.bytes
	}
}

/** Who came between two cuts, as the registers they raise. */
export class HyperLogLogDelta implements VisitorDelta {
	/** @internal */
	readonly registers = new CouponSet()
	/** A delta is applied to four sketches or more (the key's and all keys', for all time and the day): it is listed once. */
	#listed: Uint32Array | undefined

	add(visitor: string): boolean {
		hashText(visitor)
		const grew = this.registers.add(couponOf(hashed[0]!, hashed[1]!))
		if (grew && this.#listed !== undefined) this.#listed = undefined
		return grew
	}

	/** The registers that are raised, `index << 6 | rank`, in no order; made once, not to be changed. */
	list(): Uint32Array {
		this.#listed ??= this.registers.list()
		return this.#listed
	}
}

/** What is stored: 24 bytes and a place in the pool. A million of them is ordinary. */
class PooledSketch implements VisitorSketch {
	readonly #pool: CounterPool
	/** -1 once released. */
	#handle: number

	constructor(pool: CounterPool) {
		this.#pool = pool
		this.#handle = pool.create()
	}

	coupons(): Uint32Array {
		return this.#pool.coupons(this.#handle)
	}

	apply(delta: VisitorDelta): void {
		this.#pool.merge(this.#handle, deltaOf(delta).list())
	}

	merge(other: VisitorSketch): void {
		this.#pool.merge(this.#handle, sketchOf(other).coupons())
	}

	estimate(): Estimate {
		return estimateOf(this.#pool.count(this.#handle))
	}

	save(): Uint8Array {
		if (this.#pool.registers(this.#handle) <= DENSE_ABOVE) return imageOf(this.coupons().sort())
		return this.#pool.toHyperLogLog(this.#handle).toRedis({ encoding: 'auto' })
	}

	release(): void {
		if (this.#handle === -1) return
		this.#pool.release(this.#handle)
		this.#handle = -1
	}
}

/** What was loaded: in no pool, so that whoever drops it need not say so. */
class LooseSketch implements VisitorSketch {
	readonly registers = new CouponSet()

	get bytes(): number {
		return this.registers.bytes
	}

	coupons(): Uint32Array {
		return this.registers.coupons()
	}

	apply(delta: VisitorDelta): void {
		this.registers.merge(deltaOf(delta).registers)
	}

	merge(other: VisitorSketch): void {
		if (other instanceof LooseSketch) this.registers.merge(other.registers)
		else for (const coupon of sketchOf(other).coupons()) this.registers.add(coupon)
	}

	estimate(): Estimate {
		return estimateOf(this.registers.count())
	}

	save(): Uint8Array {
		return this.registers.toRedis()
	}

	release(): void {}
}

function deltaOf(delta: VisitorDelta): HyperLogLogDelta {
	if (delta instanceof HyperLogLogDelta) return delta
	throw expected('ERR_TALLYMARK_SKETCH', 'delta', "a delta of the 'hyperloglog' tracker", delta)
}

function sketchOf(sketch: VisitorSketch): PooledSketch | LooseSketch {
	if (sketch instanceof PooledSketch || sketch instanceof LooseSketch) return sketch
	throw expected('ERR_TALLYMARK_SKETCH', 'other', "a sketch of the 'hyperloglog' tracker", sketch)
}

function estimateOf(value: number): Estimate {
	return value <= 1 ? { value, exact: true, error: 0 } : { value, exact: false, error: relativeStandardError(value) }
}
