import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashBytes, hashed, hashText, preimageInto } from '../../src/hash/murmur64.ts'
import { murmur64Reference } from './murmur64-reference.ts'

const last = () => (BigInt(hashed[1]! >>> 0) << 32n) | BigInt(hashed[0]! >>> 0)
const hashOf = (text: string) => {
	hashText(text)
	return last()
}

/** String to hash, each confirmed by PFADD and GET on Redis 7.0.15. */
const vectors: ReadonlyArray<readonly [string, bigint]> = [
	['', 0xd8dfea6585bc9732n],
	['a', 0x53d2470a9b43b1a7n],
	['abcd', 0xb079ee3d44202b3en],
	['abcdefg', 0x22fe613bb08c9602n],
	['abcdefgh', 0xf3a65df559914567n],
	['abcdefghi', 0x834fba4d9152daf7n],
	['foo', 0xe64609b8b0141cb4n],
	['hello world', 0xa919bc3051f624b7n],
	['127.0.0.1', 0x0c2d010537af0c60n],
	['2001:db8::1', 0x33eefc2c569f8595n],
	['123e4567-e89b-42d3-a456-426614174000', 0x7487efa4e6078c6an],
	['é', 0xc04c1ab091cd7429n],
	['日本語', 0x6bc739e1cf7990a9n],
	['😀', 0x03a330d2efcb514dn],
	['a\ud800b', 0xd8b1d270b0808a7cn],
	['x'.repeat(1000), 0xeb7beb1a0289ebfan],
]

test.each(vectors)('hashes %j as Redis does', (text, hash) => {
	expect(hashOf(text)).toBe(hash)
})

const anyText = fc.oneof(
	fc.string({ maxLength: 80 }),
	fc.string({ unit: 'binary', maxLength: 80 }),
	fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 }).map((units) => String.fromCharCode(...units)),
	// Mostly surrogates, whole and lone ones mixed.
	fc.array(fc.integer({ min: 0xd7f0, max: 0xe00f }), { maxLength: 20 }).map((units) => `ab${String.fromCharCode(...units)}`),
)

test('equals the reference for any string, lone surrogates as U+FFFD', () => {
	const encoder = new TextEncoder()
	fc.assert(
		fc.property(anyText, (text) => {
			expect(hashOf(text)).toBe(murmur64Reference(encoder.encode(text)))
		}),
		{ numRuns: 5_000 },
	)
})

test('equals the reference for any bytes, and for a part of a longer array', () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(80), (bytes, cut) => {
			hashBytes(bytes)
			expect(last()).toBe(murmur64Reference(bytes))
			const length = Math.min(cut, bytes.length)
			hashBytes(bytes, length)
			expect(last()).toBe(murmur64Reference(bytes.slice(0, length)))
		}),
		{ numRuns: 5_000 },
	)
})

test('a long text with foreign characters hashes as its bytes do, and so does the next text', () => {
	for (const long of [`${'y'.repeat(200_000)}é`, '語'.repeat(5_000), '😀'.repeat(40_000)]) {
		expect(hashOf(long)).toBe(murmur64Reference(new TextEncoder().encode(long)))
	}
	expect(hashOf('é')).toBe(0xc04c1ab091cd7429n)
})

test('the preimage of any hash is 8 bytes that have this hash', () => {
	const bytes = new Uint8Array(12)
	fc.assert(
		fc.property(fc.integer(), fc.integer(), (lo, hi) => {
			preimageInto(lo, hi, bytes, 3)
			expect(murmur64Reference(bytes.slice(3, 11))).toBe((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0))
		}),
		{ numRuns: 5_000 },
	)
})
