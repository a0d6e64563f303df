/** MurmurHash64A as its author wrote it, on BigInt: slow, and as plain as it gets, to compare with. */

const M = 0xc6a4a7935bd1e995n
const MASK = (1n << 64n) - 1n

export function murmur64Reference(bytes: Uint8Array, seed = 0xadc83b19n): bigint {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
	let h = seed ^ ((BigInt(bytes.length) * M) & MASK)
	let at = 0
	for (; at + 8 <= bytes.length; at += 8) {
		let k = (view.getBigUint64(at, true) * M) & MASK
		k ^= k >> 47n
		h = ((h ^ ((k * M) & MASK)) * M) & MASK
	}
	if (at < bytes.length) {
		for (let i = at; i < bytes.length; i++) h ^= BigInt(bytes[i]!) << BigInt(8 * (i - at))
		h = (h * M) & MASK
	}
	h = ((h ^ (h >> 47n)) * M) & MASK
	return h ^ (h >> 47n)
}
