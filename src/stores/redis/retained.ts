/**
 * Batches that were acknowledged, kept for a while in case the server loses them: by rising sequence, within a time and a number of bytes. What a hit costs
 * here does not depend on how many are kept.
 */
import type { Frozen } from './frozen.ts'

/** Places of batches that were let go of, above which the list is made anew, if that is half of it. */
const GAPS = 256

export class Retained {
	readonly #retentionMs: number
	/** Half of it for the visitors. */
	readonly #maxBytes: number
	/** undefined: let go of. */
	#list: (Frozen | undefined)[] = []
	/** Where the first one is that is kept, and the first that has its visitors. */
	#first = 0
	#firstWithVisitors = 0
	#bytes = 0
	#visitorBytes = 0

	constructor(retentionMs: number, maxBytes: number) {
		this.#retentionMs = retentionMs
		this.#maxBytes = maxBytes
	}

	/** The oldest; undefined when there is none. */
	get oldest(): Frozen | undefined {
		return this.#list[this.#first]
	}

	*[Symbol.iterator](): Generator<Frozen> {
		for (let i = this.#first; i < this.#list.length; i++) yield this.#list[i]!
	}

	/** Keeps one more, the newest. */
	add(frozen: Frozen): void {
		this.#list.push(frozen)
		this.#bytes += frozen.bytes
		this.#visitorBytes += visitorBytes(frozen)
	}

	/** Lets go of those past their time, and of the oldest while there are too many; of visitors, of whom nobody can say how many are lost, before hits. */
	prune(now: number): void {
		const list = this.#list
		for (; this.#first < list.length; this.#first++) {
			const oldest = list[this.#first]!
			// A clock that was set back must not keep a batch for ever.
			if (Math.abs(now - oldest.at) <= this.#retentionMs && this.#bytes <= this.#maxBytes / 2) break
			this.#bytes -= oldest.bytes
			if (this.#firstWithVisitors <= this.#first) this.#letGoOfVisitors(oldest)
			for (const { set, position } of oldest.parts) if (set.tail === position) set.rest()
			// The list is made anew much later.
			list[this.#first] = undefined
		}
		this.#firstWithVisitors = Math.max(this.#firstWithVisitors, this.#first)
		while (this.#visitorBytes > this.#maxBytes / 2) this.#letGoOfVisitors(list[this.#firstWithVisitors++]!)
		if (this.#first > GAPS && this.#first > list.length / 2) {
			this.#list = list.slice(this.#first)
			this.#firstWithVisitors -= this.#first
			this.#first = 0
		}
	}

	clear(): void {
		this.#list = []
		this.#first = this.#firstWithVisitors = this.#bytes = this.#visitorBytes = 0
	}

	#letGoOfVisitors(frozen: Frozen): void {
		this.#visitorBytes -= visitorBytes(frozen)
		frozen.visitors = undefined
	}
}

function visitorBytes({ visitors }: Frozen): number {
	return visitors?.bytes ?? 0
}
