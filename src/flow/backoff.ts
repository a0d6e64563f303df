/** How long to wait before sending again. */

const firstMs = 50
const longestMs = 5_000

/** Doubles from 50 ms to 5 s, and takes between half and all of it at random, so that processes that failed together do not come back together. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
	const full = Math.min(longestMs, firstMs * 2 ** Math.min(attempt - 1, 20))
	return full * (0.5 + random() / 2)
}
