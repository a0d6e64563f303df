/** The best few of many: a heap of at most `limit` entries with the worst of them on top, so that n offers cost O(n log limit). */
import { compareCodePoints } from './code-points.ts'

export interface Ranked {
	readonly key: string
	readonly score: number
}

export class Ranking {
	readonly #limit: number
	/** Every entry is no better than its children, which are at 2i + 1 and 2i + 2. */
	readonly #heap: Ranked[] = []

	constructor(limit: number) {
		this.#limit = limit
	}

	/** Takes a key, which must not have been offered before, with its score: kept while it is among the highest, among equals the first by key. */
	offer(key: string, score: number): void {
		const heap = this.#heap
		if (heap.length < this.#limit) {
			this.#rise({ key, score })
			return
		}
		const worst = heap[0]
		// Almost every offer ends here.
		if (worst === undefined || score < worst.score || (score === worst.score && compareCodePoints(key, worst.key) > 0)) return
		this.#sink({ key, score })
	}

	/** What was kept, highest first, ties by key in code point order. */
	entries(): Ranked[] {
		return this.#heap.slice().sort(bestFirst)
	}

	#rise(entry: Ranked): void {
		const heap = this.#heap
		let at = heap.length
		while (at > 0) {
			const parent = (at - 1) >> 1
			if (bestFirst(entry, heap[parent]!) <= 0) break
			heap[at] = heap[parent]!
			at = parent
		}
		heap[at] = entry
	}

	/** Puts `entry` in the place of the worst. */
	#sink(entry: Ranked): void {
		const heap = this.#heap
		let at = 0
		for (;;) {
			let child = 2 * at + 1
			if (child >= heap.length) break
			if (child + 1 < heap.length && bestFirst(heap[child + 1]!, heap[child]!) > 0) child++
			if (bestFirst(entry, heap[child]!) >= 0) break
			heap[at] = heap[child]!
			at = child
		}
		heap[at] = entry
	}
}

function bestFirst(a: Ranked, b: Ranked): number {
	return b.score - a.score || compareCodePoints(a.key, b.key)
}
