/**
 * Many small HyperLogLogs in one arena: 34 bytes for a counter of five visitors instead of 12 KB, with the answers of the full form.
 *
 * A counter of n coupons (see coupon.ts) takes one of these shapes, and moves to the next when it is full:
 *
 *     n <= 1          in the counter's own entry, no memory besides
 *     n <= 32         a list of 2, 4, 8, 16 or 32 words, scanned from its start
 *     n <= 768        a hash table of 64 to 1,024 words, by the low bits of the register's index, at most three quarters full
 *     above           a HyperLogLog of 12 KB, for a table of 2,048 words would be no smaller by much, and slower
 *
 * The words of all counters lie in one Uint32Array, so that neither the garbage collector nor an object header is paid per counter. Memory that a
 * counter leaves is used again for any other: a released block joins its free other half (a buddy allocator), and a larger one is cut when smaller
 * ones are wanted.
 */

import { expected } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'
import { checkCoupon, couponOf, REGISTERS } from './coupon.ts'
import { estimate } from './estimate.ts'
import { HyperLogLog } from './hyperloglog.ts'

// The shape of a counter. A shape from LIST_FROM to TABLE_TO has a block of 2^shape words.
const INLINE = 0
const LIST_TO = 5
const TABLE_TO = 10
const DENSE = 11

// An entry's state: shape in the low 4 bits, then whether the counter exists, then the number of its coupons (not kept for dense ones).
const LIVE = 16
const ONE = 32
const SHAPE_MASK = 15
const COUNT_SHIFT = 5

const NONE = 0xffffffff
const FIRST_ENTRIES = 64

// A free block is linked both ways, so that it can be taken out when its other half becomes free: its first word is FREE | half the offset of the
// next, its second is shape << SHAPE_SHIFT | half the offset of the one before. Blocks lie at multiples of their size, so that half an offset is whole.
const FREE = 0x80000000
const SHAPE_SHIFT = 28
const NO_BLOCK = 0x07ffffff
/** The arena grows by whole blocks of the largest size. */
const CHUNK = 1 << TABLE_TO
/** A gigabyte: as far as half an offset reaches. */
const MAX_ARENA = 2 ** 28 - CHUNK

const ranks = new Uint16Array(64)

export class CounterPool {
	/** By handle: where the coupons are. Inline the coupon itself (0 for none); in a block its offset; dense the place in {@link #dense}; free the next free handle. */
	#places = new Uint32Array(FIRST_ENTRIES)
	/** By handle: shape, LIVE, number of coupons. 0 for a free one. */
	#states = new Uint32Array(FIRST_ENTRIES)
	/** Handles below this were given out at some time. */
	#handles = 0
	#freeHandle = NONE
	#live = 0

	#arena = new Uint32Array(CHUNK)
	/** Words of the arena below this were given out at some time. */
	#used = 0
	/** By shape: half the offset of the first free block of that size. */
	readonly #freeBlocks = new Uint32Array(TABLE_TO + 1).fill(NO_BLOCK)

	#dense: (HyperLogLog | undefined)[] = []
	#freeDense: number[] = []

	/** How many counters there are. */
	get size(): number {
		return this.#live
	}

	/** Bytes of all counters together, room kept for more included. */
	get bytes(): number {
		const dense = this.#dense.length - this.#freeDense.length
		return this.#arena.byteLength + this.#places.byteLength + this.#states.byteLength + dense * HLL_BYTES
	}

	/** A new empty counter. Its handle is a number that may have belonged to a released counter before. */
	create(): number {
		let handle = this.#freeHandle
		if (handle !== NONE) {
			this.#freeHandle = this.#places[handle]!
		} else {
			handle = this.#handles
			if (handle === this.#states.length) {
				this.#places = grown(this.#places, handle + 1)
				this.#states = grown(this.#states, handle + 1)
			}
			this.#handles++
		}
		this.#places[handle] = 0
		this.#states[handle] = LIVE
		this.#live++
		return handle
	}

	/** Gives up a counter and its memory. The handle must not be used again. */
	release(handle: number): void {
		const state = this.#state(handle)
		this.#leave(handle, state)
		this.#states[handle] = 0
		this.#places[handle] = this.#freeHandle
		this.#freeHandle = handle
		if (--this.#live === 0) this.#restart()
	}

	/** Releases every counter, and the memory they grew to. */
	clear(): void {
		this.#live = 0
		this.#states = new Uint32Array(FIRST_ENTRIES)
		this.#places = new Uint32Array(FIRST_ENTRIES)
		this.#arena = new Uint32Array(CHUNK)
		this.#restart()
	}

	/** Adds one visitor by id. True when this changed the counter. */
	addText(handle: number, visitor: string): boolean {
		hashText(visitor)
		return this.addHash(handle, hashed[0]!, hashed[1]!)
	}

	/** Adds one visitor by its hash, as {@link HyperLogLog.addHash} takes it. True when this changed the counter. */
	addHash(handle: number, lo: number, hi: number): boolean {
		return this.#add(handle, couponOf(lo, hi))
	}

	/** Adds one coupon. True when this changed the counter. */
	add(handle: number, coupon: number): boolean {
		checkCoupon(coupon)
		return this.#add(handle, coupon)
	}

	/** Adds coupons, all of them or (when one is no coupon) none. Returns how many of them changed the counter. */
	merge(handle: number, coupons: ArrayLike<number>): number {
		for (let i = 0; i < coupons.length; i++) checkCoupon(coupons[i]!)
		this.#state(handle)
		let changed = 0
		let at = 0
		// Until the counter is dense, which is looked up once and not for every coupon.
		while (at < coupons.length && (this.#states[handle]! & SHAPE_MASK) !== DENSE) if (this.#add(handle, coupons[at++]!)) changed++
		if (at === coupons.length) return changed
		const dense = this.#denseOf(handle)
		while (at < coupons.length) if (dense.addCoupon(coupons[at++]!)) changed++
		return changed
	}

	/** The number of distinct visitors, the same as {@link HyperLogLog.count} of the same visitors. About a microsecond. */
	count(handle: number): number {
		const state = this.#state(handle)
		if ((state & SHAPE_MASK) === DENSE) return this.#denseOf(handle).count()
		ranks.fill(0)
		ranks[0] = REGISTERS - (state >>> COUNT_SHIFT)
		this.#each(handle, state, countRank)
		return estimate(ranks)
	}

	/** How many registers are in use; the length of {@link coupons}. */
	registers(handle: number): number {
		const state = this.#state(handle)
		return (state & SHAPE_MASK) === DENSE ? this.#denseOf(handle).size : state >>> COUNT_SHIFT
	}

	/** The registers in use as coupons, in no particular order. */
	coupons(handle: number): Uint32Array {
		const state = this.#state(handle)
		if ((state & SHAPE_MASK) === DENSE) return this.#denseOf(handle).coupons()
		const out = new Uint32Array(state >>> COUNT_SHIFT)
		let length = 0
		this.#each(handle, state, (coupon) => {
			out[length++] = coupon
		})
		return out
	}

	/** A copy of the counter in the full form. */
	toHyperLogLog(handle: number): HyperLogLog {
		const state = this.#state(handle)
		return (state & SHAPE_MASK) === DENSE ? this.#denseOf(handle).clone() : HyperLogLog.fromCoupons(this.coupons(handle))
	}

	/**
	 * The arena begins anew, for no counter is left. It keeps its length, so that a pool which is filled and emptied over and over does not grow over
	 * and over, unless this time a quarter of it was enough: then the next one has half.
	 */
	#restart(): void {
		if (this.#used < this.#arena.length >>> 2) this.#arena = new Uint32Array(Math.max(CHUNK, this.#arena.length >>> 1))
		if (this.#handles < this.#states.length >>> 2) {
			const length = Math.max(FIRST_ENTRIES, this.#states.length >>> 1)
			this.#states = new Uint32Array(length)
			this.#places = new Uint32Array(length)
		}
		this.#freeBlocks.fill(NO_BLOCK)
		this.#used = 0
		this.#handles = 0
		this.#freeHandle = NONE
		this.#dense = []
		this.#freeDense = []
	}

	#state(handle: number): number {
		const state = this.#states[handle]
		if (state === undefined || state === 0)
			throw expected('ERR_TALLYMARK_SKETCH', 'handle', 'a counter of this pool that was not released', handle)
		return state
	}

	#denseOf(handle: number): HyperLogLog {
		return this.#dense[this.#places[handle]!]!
	}

	#each(handle: number, state: number, visit: (coupon: number) => void): void {
		const shape = state & SHAPE_MASK
		const place = this.#places[handle]!
		if (shape === INLINE) {
			if (place !== 0) visit(place)
			return
		}
		const end = place + (shape <= LIST_TO ? state >>> COUNT_SHIFT : 1 << shape)
		for (let i = place; i < end; i++) {
			const coupon = this.#arena[i]!
			if (coupon !== 0) visit(coupon)
		}
	}

	#add(handle: number, coupon: number): boolean {
		const state = this.#state(handle)
		const shape = state & SHAPE_MASK
		const place = this.#places[handle]!
		if (shape === INLINE) {
			if (place === 0) {
				this.#states[handle] = state + ONE
			} else if ((place ^ coupon) >>> 6 !== 0) {
				return this.#addToNext(handle, state, coupon)
			} else if (coupon <= place) {
				return false
			}
			this.#places[handle] = coupon
			return true
		}
		if (shape === DENSE) return this.#dense[place]!.addCoupon(coupon)
		const arena = this.#arena
		const count = state >>> COUNT_SHIFT
		if (shape <= LIST_TO) {
			const end = place + count
			for (let i = place; i < end; i++) {
				if ((arena[i]! ^ coupon) >>> 6 !== 0) continue
				if (coupon <= arena[i]!) return false
				arena[i] = coupon
				return true
			}
			if (count === 1 << shape) return this.#addToNext(handle, state, coupon)
			arena[end] = coupon
		} else {
			const mask = (1 << shape) - 1
			let slot = (coupon >>> 6) & mask
			for (; arena[place + slot] !== 0; slot = (slot + 1) & mask) {
				const held = arena[place + slot]!
				if ((held ^ coupon) >>> 6 !== 0) continue
				if (coupon <= held) return false
				arena[place + slot] = coupon
				return true
			}
			if (count === 3 << (shape - 2)) return this.#addToNext(handle, state, coupon)
			arena[place + slot] = coupon
		}
		this.#states[handle] = state + ONE
		return true
	}

	/** Moves a full counter to the next shape, and adds there a coupon whose register it does not hold yet. */
	#addToNext(handle: number, state: number, coupon: number): true {
		const shape = state & SHAPE_MASK
		if (shape === TABLE_TO) {
			const sketch = HyperLogLog.fromCoupons(this.coupons(handle))
			sketch.addCoupon(coupon)
			const place = this.#freeDense.pop() ?? this.#dense.length
			this.#leave(handle, state)
			this.#dense[place] = sketch
			this.#places[handle] = place
			this.#states[handle] = LIVE | DENSE
			return true
		}
		// Everything that can fail comes first.
		const block = this.#take(shape + 1)
		const arena = this.#arena
		const count = state >>> COUNT_SHIFT
		const place = this.#places[handle]!
		if (shape === INLINE) {
			arena[block] = place
			arena[block + 1] = coupon
		} else if (shape < LIST_TO) {
			arena.copyWithin(block, place, place + count)
			arena[block + count] = coupon
		} else {
			const mask = (2 << shape) - 1
			arena.fill(0, block, block + mask + 1)
			const end = place + (1 << shape)
			for (let i = place; i <= end; i++) {
				const moved = i === end ? coupon : arena[i]!
				if (moved === 0) continue
				let slot = (moved >>> 6) & mask
				while (arena[block + slot] !== 0) slot = (slot + 1) & mask
				arena[block + slot] = moved
			}
		}
		this.#leave(handle, state)
		this.#places[handle] = block
		this.#states[handle] = ((count + 1) << COUNT_SHIFT) | LIVE | (shape + 1)
		return true
	}

	/** Gives up the memory that a counter has besides its entry. */
	#leave(handle: number, state: number): void {
		const shape = state & SHAPE_MASK
		const place = this.#places[handle]!
		if (shape === DENSE) {
			this.#dense[place] = undefined
			this.#freeDense.push(place)
		} else if (shape !== INLINE) {
			this.#give(place, shape)
		}
	}

	/** Puts a block on the free list of its size, joined with its other half when that is free too, and so on upwards. */
	#give(block: number, shape: number): void {
		const arena = this.#arena
		for (; shape < TABLE_TO; shape++) {
			const other = block ^ (1 << shape)
			// The first word of a block in use is a coupon or 0, so that the mark tells.
			if (arena[other]! >>> 31 === 0 || arena[other + 1]! >>> SHAPE_SHIFT !== shape) break
			this.#unlink(other, shape)
			block &= other
		}
		const head = this.#freeBlocks[shape]!
		arena[block] = FREE | head
		arena[block + 1] = (shape << SHAPE_SHIFT) | NO_BLOCK
		if (head !== NO_BLOCK) arena[head * 2 + 1] = (shape << SHAPE_SHIFT) | (block >>> 1)
		this.#freeBlocks[shape] = block >>> 1
	}

	#unlink(block: number, shape: number): void {
		const arena = this.#arena
		const next = arena[block]! & NO_BLOCK
		const previous = arena[block + 1]! & NO_BLOCK
		if (previous === NO_BLOCK) this.#freeBlocks[shape] = next
		else arena[previous * 2] = FREE | next
		if (next !== NO_BLOCK) arena[next * 2 + 1] = (shape << SHAPE_SHIFT) | previous
	}

	/** A block of 2^shape words, with whatever is in them: the caller must write the first, or it goes on looking free. */
	#take(shape: number): number {
		let found = shape
		while (found <= TABLE_TO && this.#freeBlocks[found] === NO_BLOCK) found++
		let block: number
		if (found <= TABLE_TO) {
			block = this.#freeBlocks[found]! * 2
			this.#unlink(block, found)
		} else {
			found = TABLE_TO
			block = this.#used
			const end = block + CHUNK
			if (end > this.#arena.length) this.#arena = grown(this.#arena, end)
			this.#used = end
		}
		// The first part is used, the halves behind it go back. They do not join it: its old mark, if any, is of a larger size.
		while (found > shape) this.#give(block + (1 << --found), found)
		return block
	}
}

/** Bytes of a {@link HyperLogLog}: its registers, its histogram, and the objects around them. */
const HLL_BYTES = 12_305 + 128 + 400

function countRank(coupon: number): void {
	ranks[coupon & 63]!++
}

/** A copy with room for half as much again, and at least for `length`. */
function grown(words: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
	if (length > MAX_ARENA) throw expected('ERR_TALLYMARK_SKETCH', 'pool', `at most ${MAX_ARENA} words long`, length)
	const larger = new Uint32Array(Math.min(Math.max(length, words.length + (words.length >>> 1)), MAX_ARENA))
	larger.set(words)
	return larger
}
