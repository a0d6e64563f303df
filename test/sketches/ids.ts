/** The ids of the published test vectors, and a seeded source of numbers, so that every run sees the same data. */

/** 'visitor:1' to 'visitor:n', or the same under another word. */
export function* ids(n: number, word = 'visitor'): Generator<string> {
	for (let i = 1; i <= n; i++) yield `${word}:${i}`
}

/** Numbers from 0 up to 1 (mulberry32). */
export function randomFrom(seed: number): () => number {
	let state = seed | 0
	return () => {
		state = (state + 0x6d2b79f5) | 0
		let t = Math.imul(state ^ (state >>> 15), 1 | state)
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296
	}
}

/** A random coupon: the rank as a hash would have it. */
export function randomCoupon(random: () => number): number {
	let rank = 1
	while (rank < 51 && random() < 0.5) rank++
	return (Math.floor(random() * 16_384) << 6) | rank
}
