/**
 * MurmurHash64A with the seed that Redis uses for its HyperLogLogs, over the UTF-8 bytes of a string, in plain numbers.
 *
 * No BigInt (ten times slower, and able to abort the optimising compiler of Node 20) and no allocation: a 64-bit product is put together from
 * 32-bit halves. The low half of `k * m` is `Math.imul`; its high half is `(k * m - low) / 2^32`, computed in doubles: the product is below 2^63,
 * so it is rounded by less than 2^10, the quotient by less than 2^-22, and rounding to an integer gives the exact value.
 *
 * The seed is public, so whoever chooses the input can choose the hash: see the note on forgery at `HyperLogLog`.
 *
 * Source: Austin Appleby, MurmurHash2 (public domain); https://github.com/aappleby/smhasher.
 */

/*
 * The multiplier m is 0xc6a4a7935bd1e995. Its low half is below 2^31, which the high-half trick relies on. It is written out in `timesLow` and `timesHigh`
 * and has no name: a bundler makes variables of a module's constants, and to load and check those at each use is an eighth of the time of a hash.
 */
const SEED = 0xadc83b19

/** The inverse of the multiplier modulo 2^64, 0x5f7a0ea7e59b19bd. */
const INVERSE_HI = 0x5f7a0ea7
const INVERSE_LO = 0xe59b19bd | 0

/** 8 * m modulo 2^64: what the length of a one-block input adds to the seed. */
const EIGHT_M_HI = 0x35253c9a | 0
const EIGHT_M_LO = 0xde8f4ca8 | 0

/**
 * `text.charCodeAt(at)`, without looking the method up on `text`: V8 keeps flat, joined, cut and shared strings as several types, and a look-up that has met
 * more than four of them is a call for each character from then on, which made hashing three times slower.
 */
const unitAt: (text: string, at: number) => number = Function.prototype.call.bind(String.prototype.charCodeAt)

/**
 * The last hash: its low 32 bits at 0, its high 32 bits at 1, as int32. Read both before the next call.
 * A shared pair instead of a returned one, so that hashing allocates nothing; an array instead of two exported variables, for those are
 * properties with a setter once the package is built as CommonJS in several chunks (and no faster in a bundle: within 5 % of each other).
 */
export const hashed = new Int32Array(2)

/** Hashes the UTF-8 form of `text` (a lone surrogate counts as U+FFFD, as every encoder writes it); the result is in {@link hashed}. */
export function hashText(text: string): void {
	const length = text.length
	let hLo = timesLow(length)
	let hHi = timesHigh(length, 0, hLo)
	hLo ^= SEED
	const blocks = length & ~7
	for (let i = 0; i < blocks; i += 8) {
		const a = unitAt(text, i)
		const b = unitAt(text, i + 1)
		const c = unitAt(text, i + 2)
		const d = unitAt(text, i + 3)
		const e = unitAt(text, i + 4)
		const f = unitAt(text, i + 5)
		const g = unitAt(text, i + 6)
		const h = unitAt(text, i + 7)
		if ((a | b | c | d | e | f | g | h) > 0x7f) {
			hashUtf8(text)
			return
		}
		const kLo = a | (b << 8) | (c << 16) | (d << 24)
		const kHi = e | (f << 8) | (g << 16) | (h << 24)
		const low1 = timesLow(kLo)
		const high1 = timesHigh(kLo, kHi, low1)
		const mixed = low1 ^ (high1 >>> 15)
		const low2 = timesLow(mixed)
		hHi ^= timesHigh(mixed, high1, low2)
		hLo ^= low2
		const product = timesLow(hLo)
		hHi = timesHigh(hLo, hHi, product)
		hLo = product
	}
	let tailLo = 0
	let tailHi = 0
	let seen = 0
	for (let i = blocks; i < length; i++) {
		const unit = unitAt(text, i)
		seen |= unit
		const place = i - blocks // a shift counts modulo 32, so that places 4 to 6 fall into the high half as they should
		if (place < 4) tailLo |= unit << (place * 8)
		else tailHi |= unit << (place * 8)
	}
	if (seen > 0x7f) {
		hashUtf8(text)
		return
	}
	finish(hLo, hHi, tailLo, tailHi, length > blocks)
}

/** Hashes the first `length` bytes; the result is in {@link hashed}. */
export function hashBytes(bytes: Uint8Array, length: number = bytes.length): void {
	let hLo = timesLow(length)
	let hHi = timesHigh(length, 0, hLo)
	hLo ^= SEED
	const blocks = length - (length % 8)
	for (let i = 0; i < blocks; i += 8) {
		const kLo = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
		const kHi = bytes[i + 4]! | (bytes[i + 5]! << 8) | (bytes[i + 6]! << 16) | (bytes[i + 7]! << 24)
		const low1 = timesLow(kLo)
		const high1 = timesHigh(kLo, kHi, low1)
		const mixed = low1 ^ (high1 >>> 15)
		const low2 = timesLow(mixed)
		hHi ^= timesHigh(mixed, high1, low2)
		hLo ^= low2
		const product = timesLow(hLo)
		hHi = timesHigh(hLo, hHi, product)
		hLo = product
	}
	let tailLo = 0
	let tailHi = 0
	for (let i = blocks; i < length; i++) {
		const place = i - blocks // a shift counts modulo 32, so that places 4 to 6 fall into the high half as they should
		if (place < 4) tailLo |= bytes[i]! << (place * 8)
		else tailHi |= bytes[i]! << (place * 8)
	}
	finish(hLo, hHi, tailLo, tailHi, length > blocks)
}

/**
 * Writes the 8 bytes whose hash is (`lo`, `hi`) into `out` at `offset`: every step of the hash can be undone for an input of exactly one block.
 * So a HyperLogLog register can be sent to Redis as one short element that sets exactly this register.
 */
export function preimageInto(lo: number, hi: number, out: Uint8Array, offset: number): void {
	// The last steps: x ^= x >> 47 undoes itself, for 47 is more than half of 64; a product is undone by the inverse.
	let x = lo ^ (hi >>> 15)
	let xHi = overMultiplierHigh(x, hi)
	x = Math.imul(x, INVERSE_LO)
	x ^= xHi >>> 15
	// The block was mixed in by h = (h ^ k) * m, and h before it was seed ^ 8m.
	xHi = overMultiplierHigh(x, xHi)
	x = Math.imul(x, INVERSE_LO)
	x ^= SEED ^ EIGHT_M_LO
	xHi ^= EIGHT_M_HI
	xHi = overMultiplierHigh(x, xHi)
	x = Math.imul(x, INVERSE_LO)
	x ^= xHi >>> 15
	xHi = overMultiplierHigh(x, xHi)
	x = Math.imul(x, INVERSE_LO)
	for (let i = 0; i < 4; i++) {
		out[offset + i] = x >>> (8 * i)
		out[offset + 4 + i] = xHi >>> (8 * i)
	}
}

/** The low half of (lo, any) * m. */
function timesLow(lo: number): number {
	return Math.imul(lo, 0x5bd1e995)
}

/** The high half of (lo, hi) * m, where `low` is the low half of the product. The second factor is 2^-32. */
function timesHigh(lo: number, hi: number, low: number): number {
	return (
		((((lo >>> 0) * 0x5bd1e995 - (low >>> 0)) * 2.3283064365386963e-10 + 0.5) | 0) + Math.imul(hi, 0x5bd1e995) + Math.imul(lo, 0xc6a4a793)
	)
}

/** The high half of (lo, hi) / m. The low half of the inverse is above 2^31, so its product is made of 16-bit parts. */
function overMultiplierHigh(lo: number, hi: number): number {
	const a = lo >>> 16
	const b = lo & 0xffff
	const c = INVERSE_LO >>> 16
	const d = INVERSE_LO & 0xffff
	const middle = a * d + ((b * d) >>> 16)
	const cross = (middle % 0x10000) + b * c
	const high = a * c + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)
	return (high + Math.imul(lo, INVERSE_HI) + Math.imul(hi, INVERSE_LO)) | 0
}

/** The tail block, when there is one, and the last avalanche. */
function finish(lo: number, hi: number, tailLo: number, tailHi: number, hasTail: boolean): void {
	let hLo = lo
	let hHi = hi
	if (hasTail) {
		hLo ^= tailLo
		hHi ^= tailHi
		const product = timesLow(hLo)
		hHi = timesHigh(hLo, hHi, product)
		hLo = product
	}
	hLo ^= hHi >>> 15
	const product = timesLow(hLo)
	hHi = timesHigh(hLo, hHi, product)
	hashed[1] = hHi
	hashed[0] = product ^ (hHi >>> 15)
}

/** UTF-8 bytes of the text being hashed; grown for a long one, and let go again when it was very long. */
let scratch = new Uint8Array(1024)
const SCRATCH_KEPT = 65_536

/** {@link hashText} for a text that is not all ASCII. */
function hashUtf8(text: string): void {
	const length = text.length
	if (scratch.length < length * 3) scratch = new Uint8Array(length * 3)
	const bytes = scratch
	let at = 0
	for (let i = 0; i < length; i++) {
		let point = unitAt(text, i)
		if (point >= 0xd800 && point <= 0xdfff) {
			const next = point <= 0xdbff && i + 1 < length ? unitAt(text, i + 1) : 0
			if (next >= 0xdc00 && next <= 0xdfff) {
				point = ((point - 0xd800) << 10) + (next - 0xdc00) + 0x10000
				i++
			} else {
				point = 0xfffd
			}
		}
		if (point < 0x80) {
			bytes[at++] = point
		} else if (point < 0x800) {
			bytes[at++] = 0xc0 | (point >> 6)
			bytes[at++] = 0x80 | (point & 0x3f)
		} else if (point < 0x10000) {
			bytes[at++] = 0xe0 | (point >> 12)
			bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
			bytes[at++] = 0x80 | (point & 0x3f)
		} else {
			bytes[at++] = 0xf0 | (point >> 18)
			bytes[at++] = 0x80 | ((point >> 12) & 0x3f)
			bytes[at++] = 0x80 | ((point >> 6) & 0x3f)
			bytes[at++] = 0x80 | (point & 0x3f)
		}
	}
	hashBytes(bytes, at)
	if (scratch.length > SCRATCH_KEPT) scratch = new Uint8Array(1024)
}
