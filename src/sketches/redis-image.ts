/**
 * The bytes of a Redis HyperLogLog, of which there are two kinds behind one header of 16 bytes:
 *
 *     "HYLL" | encoding: 0 dense, 1 sparse | three zero bytes | count, 8 bytes little-endian, highest bit set when stale | registers
 *
 * Dense: 16,384 registers of 6 bits, the first in the low bits of the first byte: 12,304 bytes with the header.
 * Sparse: runs of registers, of which the lengths sum to 16,384:
 *
 *     00xxxxxx            x+1 empty registers (1..64)
 *     01xxxxxx yyyyyyyy   xy+1 empty registers (1..16384)
 *     1vvvvvxx            x+1 registers (1..4) of rank v+1 (1..32)
 *
 * Source: the format is described in the opening comment of hyperloglog.c, Redis 7.0.15 (BSD); checked against that server byte for byte.
 */

import { expected } from '../errors.ts'
import { MAX_RANK, REGISTERS } from './coupon.ts'

export const HEADER_BYTES = 16
/** Bytes of a dense image, header included. */
export const DENSE_BYTES = HEADER_BYTES + (REGISTERS * 6) / 8
/** The highest rank that the sparse kind can express. */
export const MAX_SPARSE_RANK = 32

const DENSE = 0
const SPARSE = 1
const MAGIC = [0x48, 0x59, 0x4c, 0x4c] // "HYLL"

/** Writes the header; a `count` of undefined marks the count as stale, so that Redis computes it at the next PFCOUNT. */
export function writeHeader(image: Uint8Array, encoding: 'dense' | 'sparse', count?: number): void {
	image.set(MAGIC)
	image[4] = encoding === 'dense' ? DENSE : SPARSE
	image.fill(0, 5, HEADER_BYTES)
	// A count of 2^63 or more (all registers saturated) does not fit beside the stale mark.
	if (count === undefined || !(count < 2 ** 63)) {
		image[15] = 0x80
		return
	}
	let rest = count
	for (let i = 8; i < HEADER_BYTES; i++) {
		image[i] = rest % 256
		rest = Math.floor(rest / 256)
	}
}

/**
 * Calls `visit(index, rank)` for every register that is not empty, in rising order of index, after the whole image was found well-formed.
 * Throws ERR_TALLYMARK_SKETCH for anything that Redis would refuse, and for ranks above 51, which no hash can have.
 */
export function readImage(image: Uint8Array, visit: (index: number, rank: number) => void): void {
	if (!(image instanceof Uint8Array)) throw malformed('the bytes of a Redis HyperLogLog', image)
	if (image.length < HEADER_BYTES || MAGIC.some((byte, i) => image[i] !== byte)) {
		throw malformed('a Redis HyperLogLog, which begins with "HYLL" and a header of 16 bytes', image)
	}
	if (image[5] !== 0 || image[6] !== 0 || image[7] !== 0)
		throw malformed('a Redis HyperLogLog with zeros in the reserved bytes 5 to 7', image)
	if (image[4] === DENSE) {
		if (image.length !== DENSE_BYTES) throw malformed(`a dense Redis HyperLogLog of ${DENSE_BYTES} bytes`, `${image.length} bytes`)
		walkDense(image, checkRank)
		walkDense(image, visit)
	} else if (image[4] === SPARSE) {
		// Run for its checks: the sum of the runs is known at the end only.
		walkSparse(image, () => {})
		walkSparse(image, visit)
	} else {
		throw malformed('a Redis HyperLogLog of encoding 0 (dense) or 1 (sparse)', image[4])
	}
}

function checkRank(_index: number, rank: number): void {
	if (rank > MAX_RANK) throw malformed(`a Redis HyperLogLog with ranks up to ${MAX_RANK}`, rank)
}

function walkDense(image: Uint8Array, visit: (index: number, rank: number) => void): void {
	// Four registers are three bytes.
	for (let index = 0, at = HEADER_BYTES; index < REGISTERS; index += 4, at += 3) {
		const bits = image[at]! | (image[at + 1]! << 8) | (image[at + 2]! << 16)
		if (bits === 0) continue
		for (let lane = 0; lane < 4; lane++) {
			const rank = (bits >>> (6 * lane)) & 63
			if (rank !== 0) visit(index + lane, rank)
		}
	}
}

function walkSparse(image: Uint8Array, visit: (index: number, rank: number) => void): void {
	let index = 0
	for (let at = HEADER_BYTES; at < image.length; at++) {
		const opcode = image[at]!
		let run: number
		let rank = 0
		if (opcode >= 0x80) {
			run = (opcode & 3) + 1
			rank = ((opcode >>> 2) & 31) + 1
		} else if (opcode < 0x40) {
			run = opcode + 1
		} else {
			at++
			if (at === image.length) throw malformed('a sparse Redis HyperLogLog that ends with a whole opcode', 'one that is cut')
			run = ((opcode & 63) << 8) + image[at]! + 1
		}
		if (rank !== 0) for (let i = 0; i < run; i++) visit(index + i, rank)
		index += run
	}
	if (index !== REGISTERS) throw malformed(`a sparse Redis HyperLogLog of ${REGISTERS} registers`, `${index} registers`)
}

/** The sparse image of coupons in rising order, each index once, as Redis would write it; undefined when a rank is above 32. */
export function sparseImage(coupons: ArrayLike<number>, count?: number): Uint8Array | undefined {
	// The dearest register costs three bytes: one of its own and a two-byte gap before it; two more for the gap at the end.
	const out = new Uint8Array(HEADER_BYTES + 3 * coupons.length + 2)
	writeHeader(out, 'sparse', count)
	let at = HEADER_BYTES
	let next = 0
	const gap = (run: number) => {
		if (run > 64) out[at++] = 0x40 | ((run - 1) >>> 8)
		if (run > 0) out[at++] = run - 1
	}
	for (let i = 0; i < coupons.length; ) {
		const coupon = coupons[i]!
		const rank = coupon & 63
		if (rank > MAX_SPARSE_RANK) return undefined
		let run = 1
		while (run < 4 && i + run < coupons.length && coupons[i + run] === coupon + (run << 6)) run++
		gap((coupon >>> 6) - next)
		out[at++] = 0x80 | ((rank - 1) << 2) | (run - 1)
		next = (coupon >>> 6) + run
		i += run
	}
	gap(REGISTERS - next)
	return out.slice(0, at)
}

function malformed(what: string, value: unknown) {
	return expected('ERR_TALLYMARK_SKETCH', 'image', what, value)
}
