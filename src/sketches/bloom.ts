/**
 * Who was seen, in about 10 bits per visitor: a Bloom filter that tells "new" from "seen" in one call, and counts the new ones well.
 *
 * `has` is never false for a visitor that was added, and true for one that was not with at most `errorRate`, as long as no more than `capacity` were
 * added (Bloom 1970; the share of bits set is then one half). Some new visitors are therefore taken for seen ones, and a plain count of the new ones
 * falls short: at 1 % by 0.17 % when full, by 23 % at four times the capacity. {@link Bloom.count} makes up for it: a visitor that is found new when a
 * share f of the bits is set stands for 1 / (1 - f^k) of its kind, the inverse of its chance. RMS error measured on
 * filters for 100,000: 0.013 % when full, 0.11 % at four times the capacity (on filters for 10,000 three to four times that). After a union, of which
 * the weights cannot be known, it starts from the estimate by the share of bits set: 0.07 % and 0.14 %.
 *
 * The bits lie as SETBIT puts them (the first is the highest of the first byte), so that the bytes are a Redis bitmap, and BITOP OR is the union.
 * The k places of a visitor come from the two halves of one 64-bit hash (Dillinger and Manolios's enhanced double hashing, 2004). The hash is public:
 * whoever chooses ids can choose places, so ids of a client go through a keyed hash first (see `HyperLogLog`).
 */

import { expected } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'

export interface BloomOptions {
	/** Visitors for which `errorRate` holds; a whole number from 1. More can be added, at a worse rate. */
	readonly capacity: number
	/** The chance that a visitor that was never added is taken for one that was, when `capacity` were added: 1e-9 to 0.5. @default 0.01 */
	readonly errorRate?: number
}

/** A filter by its measures instead of its purpose. */
export interface BloomShape {
	/** Bits, m: a multiple of 8 from 8 to 2^32 - 8. */
	readonly bits: number
	/** Places per visitor, k: 1 to 32. */
	readonly hashes: number
}

const MAGIC = 0x464d5442 // little-endian: the bytes are "BTMF"
const VERSION = 1
const HEADER_BYTES = 24
/** 512 MB less a byte: what a Redis bitmap can hold and a 32-bit place can reach. */
const MAX_BITS = 2 ** 32 - 8
const MAX_HASHES = 32

export class Bloom {
	/** Bits of the filter, m; a multiple of 8. */
	readonly bits: number
	/** Places per visitor, k. */
	readonly hashes: number
	readonly #bytes: Uint8Array
	readonly #scale: number
	#bitsSet = 0
	#weighted = 0

	constructor(options: BloomOptions | BloomShape) {
		const { bits, hashes } = shapeOf(options)
		this.bits = bits
		this.hashes = hashes
		this.#scale = bits / 2 ** 32
		this.#bytes = new Uint8Array(bits / 8)
	}

	/** How many bits are set. */
	get bitsSet(): number {
		return this.#bitsSet
	}

	/** Adds a visitor. True when it is certainly new, false when it was seen, or (rarely) only looks so. */
	add(visitor: string): boolean {
		hashText(visitor)
		return this.addHash(hashed[0]!, hashed[1]!)
	}

	/** {@link add} by 64-bit hash, given as two int32. */
	addHash(lo: number, hi: number): boolean {
		const bytes = this.#bytes
		const scale = this.#scale
		const hashes = this.hashes
		let place = lo
		let step = hi
		let fresh = 0
		for (let i = 1; i <= hashes; i++) {
			const bit = ((place >>> 0) * scale) >>> 0
			const at = bit >>> 3
			const shift = ~bit & 7
			const byte = bytes[at]!
			// No branch: in a filter half full it would be guessed wrong every other time.
			fresh += (~byte >>> shift) & 1
			bytes[at] = byte | (1 << shift)
			place = (place + step) | 0
			step = (step + i) | 0
		}
		if (fresh === 0) return false
		const share = this.#bitsSet / this.bits
		let seen = share
		for (let i = 1; i < hashes; i++) seen *= share
		this.#weighted += 1 / (1 - seen)
		this.#bitsSet += fresh
		return true
	}

	/** Whether the visitor was added: false is certain, true is wrong for a few of those that were not. */
	has(visitor: string): boolean {
		hashText(visitor)
		return this.hasHash(hashed[0]!, hashed[1]!)
	}

	/** {@link has} by 64-bit hash, given as two int32. */
	hasHash(lo: number, hi: number): boolean {
		let place = lo
		let step = hi
		for (let i = 1; i <= this.hashes; i++) {
			const bit = ((place >>> 0) * this.#scale) >>> 0
			if ((this.#bytes[bit >>> 3]! & (0x80 >>> (bit & 7))) === 0) return false
			place = (place + step) | 0
			step = (step + i) | 0
		}
		return true
	}

	/** The places of a hash, 0 to `bits - 1`: what to SETBIT in a Redis bitmap of the same shape. */
	placesOf(lo: number, hi: number): number[] {
		const places: number[] = []
		let place = lo
		let step = hi
		for (let i = 1; i <= this.hashes; i++) {
			places.push(((place >>> 0) * this.#scale) >>> 0)
			place = (place + step) | 0
			step = (step + i) | 0
		}
		return places
	}

	/** The number of distinct visitors added, rounded. */
	count(): number {
		return Math.round(this.#weighted)
	}

	/**
	 * The number of distinct visitors by the share of bits set alone, -m/k ln(1 - x/m): all that can be said of bits that came from elsewhere
	 * (Swamidass and Baldi 2007). A filter with every bit set answers as if one were not: a lower bound.
	 */
	countByFill(): number {
		return Math.round(fillEstimate(this.#bitsSet, this.bits, this.hashes))
	}

	/** Adds all of the other's visitors; both must have the same shape. True when this changed. */
	union(other: Bloom): boolean {
		if (!(other instanceof Bloom) || other.bits !== this.bits || other.hashes !== this.hashes) {
			throw expected(
				'ERR_TALLYMARK_SKETCH',
				'other',
				`a Bloom filter of ${this.bits} bits and ${this.hashes} hashes, like this one`,
				describe(other),
			)
		}
		const bytes = this.#bytes
		let fresh = 0
		for (let i = 0; i < bytes.length; i++) {
			const added = other.#bytes[i]! & ~bytes[i]!
			if (added === 0) continue
			bytes[i]! |= added
			fresh += onesOf(added)
		}
		if (fresh === 0) return false
		this.#bitsSet += fresh
		// A union is no smaller than either side.
		this.#weighted = Math.max(this.#weighted, other.#weighted, fillEstimate(this.#bitsSet, this.bits, this.hashes))
		return true
	}

	/** A copy of the bits, to SET in Redis or to BITOP with others of the same shape. */
	toBitmap(): Uint8Array {
		return this.#bytes.slice()
	}

	/** The filter of a Redis bitmap (GET of a key that SETBIT wrote), counted by its share of bits set. Redis cuts what is 0 at the end; it is put back. */
	static fromBitmap(bitmap: Uint8Array, options: BloomOptions | BloomShape): Bloom {
		const filter = new Bloom(options)
		if (!(bitmap instanceof Uint8Array) || bitmap.length > filter.#bytes.length) {
			throw expected('ERR_TALLYMARK_SKETCH', 'bitmap', `at most ${filter.#bytes.length} bytes`, bitmap?.length ?? bitmap)
		}
		filter.#bytes.set(bitmap)
		for (const byte of bitmap) filter.#bitsSet += onesOf(byte)
		filter.#weighted = fillEstimate(filter.#bitsSet, filter.bits, filter.hashes)
		return filter
	}

	/**
	 * Everything, to keep in a file: 24 bytes, then the bitmap. Little-endian.
	 *
	 *     "BTMF" | version 1, 1 byte | k, 1 byte | two zero bytes | m, 4 bytes | bits set, 4 bytes | weighted count, 8 bytes (IEEE double) | bitmap
	 */
	toBytes(): Uint8Array {
		const out = new Uint8Array(HEADER_BYTES + this.#bytes.length)
		const view = new DataView(out.buffer)
		view.setUint32(0, MAGIC, true)
		view.setUint8(4, VERSION)
		view.setUint8(5, this.hashes)
		view.setUint32(8, this.bits, true)
		view.setUint32(12, this.#bitsSet, true)
		view.setFloat64(16, this.#weighted, true)
		out.set(this.#bytes, HEADER_BYTES)
		return out
	}

	/** The filter of {@link toBytes}. Throws ERR_TALLYMARK_SKETCH for bytes that are cut, of another kind, or contradict themselves. */
	static fromBytes(bytes: Uint8Array): Bloom {
		const refuse = (what: string, value: unknown) => expected('ERR_TALLYMARK_SKETCH', 'bytes', what, value)
		if (!(bytes instanceof Uint8Array) || bytes.length < HEADER_BYTES)
			throw refuse(`a Bloom filter of at least ${HEADER_BYTES} bytes`, bytes)
		const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
		if (view.getUint32(0, true) !== MAGIC || view.getUint8(4) !== VERSION || view.getUint16(6) !== 0) {
			throw refuse(`a Bloom filter of version ${VERSION}, which begins with "BTMF"`, bytes)
		}
		const hashes = view.getUint8(5)
		const bits = view.getUint32(8, true)
		const bitsSet = view.getUint32(12, true)
		const weighted = view.getFloat64(16, true)
		if (hashes < 1 || hashes > MAX_HASHES || bits < 8 || bits % 8 !== 0)
			throw refuse('a Bloom filter of 1 to 32 hashes and a multiple of 8 bits', bytes)
		if (bytes.length !== HEADER_BYTES + bits / 8)
			throw refuse(`a Bloom filter of ${HEADER_BYTES + bits / 8} bytes`, `${bytes.length} bytes`)
		let ones = 0
		for (let i = HEADER_BYTES; i < bytes.length; i++) ones += onesOf(bytes[i]!)
		if (ones !== bitsSet) throw refuse(`a Bloom filter with ${bitsSet} bits set`, `${ones} bits`)
		// Each visitor set at most k bits; a hair less may come of rounding.
		if (!(weighted * hashes >= bitsSet * (1 - 1e-9) && weighted < Number.POSITIVE_INFINITY) || (bitsSet === 0 && weighted !== 0)) {
			throw refuse('a Bloom filter whose count can belong to its bits', weighted)
		}
		const filter = new Bloom({ bits, hashes })
		filter.#bytes.set(bytes.subarray(HEADER_BYTES))
		filter.#bitsSet = bitsSet
		filter.#weighted = weighted
		return filter
	}
}

function shapeOf(options: BloomOptions | BloomShape): BloomShape {
	if (typeof options !== 'object' || options === null) {
		throw expected('ERR_TALLYMARK_SKETCH', 'options', '{capacity, errorRate} or {bits, hashes}', options)
	}
	if ('bits' in options) {
		const { bits, hashes } = options
		if (!Number.isInteger(bits) || bits < 8 || bits > MAX_BITS || bits % 8 !== 0) {
			throw expected('ERR_TALLYMARK_SKETCH', 'bits', `a multiple of 8 from 8 to ${MAX_BITS}`, bits)
		}
		if (!Number.isInteger(hashes) || hashes < 1 || hashes > MAX_HASHES) {
			throw expected('ERR_TALLYMARK_SKETCH', 'hashes', `a whole number from 1 to ${MAX_HASHES}`, hashes)
		}
		return { bits, hashes }
	}
	const { capacity, errorRate = 0.01 } = options
	if (!Number.isInteger(capacity) || capacity < 1) throw expected('ERR_TALLYMARK_SKETCH', 'capacity', 'a whole number from 1', capacity)
	if (!(errorRate >= 1e-9 && errorRate <= 0.5)) throw expected('ERR_TALLYMARK_SKETCH', 'errorRate', 'from 1e-9 to 0.5', errorRate)
	// m = -n ln p / (ln 2)^2 and k = m/n ln 2.
	const bits = Math.ceil((-capacity * Math.log(errorRate)) / Math.LN2 ** 2 / 8) * 8
	if (bits > MAX_BITS) throw expected('ERR_TALLYMARK_SKETCH', 'capacity', `small enough for ${MAX_BITS} bits at this error rate`, capacity)
	return { bits, hashes: Math.max(1, Math.round(-Math.log2(errorRate))) }
}

function fillEstimate(bitsSet: number, bits: number, hashes: number): number {
	return (-bits / hashes) * Math.log1p(-Math.min(bitsSet, bits - 1) / bits)
}

function onesOf(byte: number): number {
	const pairs = byte - ((byte >>> 1) & 0x55)
	const fours = (pairs & 0x33) + ((pairs >>> 2) & 0x33)
	return (fours + (fours >>> 4)) & 0x0f
}

function describe(other: unknown): unknown {
	return other instanceof Bloom ? `${other.bits} bits and ${other.hashes} hashes` : other
}
