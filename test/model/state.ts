/**
 * One state of the whole world: an array of bytes, one field each, at the places that {@link Layout} names. Bytes, because the explorer keeps millions
 * of states and compares them by content.
 *
 * Besides the writers there is one that has departed: its one batch is durable at node 0 from the start, and nobody can send it again.
 *
 * Two nodes hold one partition: node 0 owns it at first, with epoch 1. One partition is enough: a step reads and changes fields of one, and what several
 * have in common (nodes that crash, coordinators that are killed) does to each what it can do to one that is alone. That is looked at, not only argued:
 * two-partitions.ts has two of them, and finds neither in a state that it could not get into without the other.
 */

import type { Bounds } from './bounds.ts'

export type State = Uint8Array

/** What a node's ownership record says, beside an epoch. The other node is always the one meant by "for" and "to". */
export const Own = {
	absent: 0,
	/** `A:e`: this node owns the partition. */
	active: 1,
	/** `S:e`: this node refuses writes, so that the partition can be copied to the other node. */
	sealed: 2,
	/** `I:e`: a copy is arriving. */
	importing: 3,
	/** `G:e`: the partition is gone to the other node. */
	gone: 4,
} as const

/** What a node holds exists twice: as it answers, and as it would be after a crash. */
export const Image = { volatile: 0, durable: 1 } as const

/** What a node answers a writer. */
export const Answer = {
	/** No answer is on its way: a request is, if the writer has anything to say. */
	none: 0,
	/** The batch was applied. */
	applied: 1,
	/** The batch was there already. */
	duplicate: 2,
	/** Older batches are missing in the set. Argument 0: its last sequence. */
	gap: 3,
	/** To the question what is there. Arguments: the last sequence, by set. */
	lasts: 4,
	/** The node does not take the request. Arguments: its ownership record, {@link Own} and epoch. */
	notMine: 5,
} as const

/** How often batch `sequence` is counted, of a field of counts. */
export function timesCounted(counts: number, sequence: number): number {
	return (counts >> (2 * (sequence - 1))) & 3
}

/** A field of counts with batch `sequence` counted once more. */
export function countedOnceMore(counts: number, sequence: number): number {
	return timesCounted(counts, sequence) >= 2 ? counts : counts + (1 << (2 * (sequence - 1)))
}

/** Where the fields are. */
export class Layout {
	readonly size: number
	/** Faults that may still come. */
	readonly crashes: number
	readonly timeouts: number
	readonly kills: number
	readonly aborts: number
	/** What writers read that lost their way. */
	readonly placementNode: number
	readonly placementEpoch: number
	readonly #fields: { readonly writers: number[][]; readonly coordinators: number[][] }
	readonly #node: number
	readonly #writer: number
	readonly #writerSize: number
	readonly #answer: number
	readonly #counts: number
	readonly #setsSize: number
	readonly #coordinator: number
	readonly #dumps: number
	readonly bounds: Bounds

	constructor(bounds: Bounds) {
		if (bounds.batches > MAX_BATCHES) throw new Error(`the model counts at most ${MAX_BATCHES} batches of a writer, two bits each`)
		this.bounds = bounds
		let size = 0
		const field = (count = 1): number => {
			size += count
			return size - count
		}
		this.crashes = field()
		this.timeouts = field()
		this.kills = field()
		this.aborts = field()
		this.placementNode = field()
		this.placementEpoch = field()
		this.#node = field(2 * 2 * 2)
		this.#coordinator = field(bounds.coordinators * 2)
		this.#answer = 4 + bounds.sets + STRAY_SIZE
		this.#writerSize = this.#answer + 1 + Math.max(2, bounds.sets)
		this.#writer = field(bounds.writers * this.#writerSize)
		this.#setsSize = (bounds.writers + 1) * bounds.sets * 2
		this.#counts = field(2 * 2 * this.#setsSize)
		this.#dumps = field(bounds.coordinators * this.#setsSize)
		this.size = size
		this.#fields = { writers: this.#fieldsOfWriters(), coordinators: this.#fieldsOfCoordinators() }
	}

	/** {@link Own} of a node in an image. */
	own(node: number, image: number): number {
		return this.#node + (node * 2 + image) * 2
	}
	ownEpoch(node: number, image: number): number {
		return this.own(node, image) + 1
	}
	/** All that an image of a node holds: for each writer, the departed one last, and for each set, a sequence and a count. */
	sets(node: number, image: number): number {
		return this.#counts + (node * 2 + image) * this.#setsSize
	}
	/** How many fields that are. */
	get setsSize(): number {
		return this.#setsSize
	}
	/** The last sequence of a writer in a set. */
	sequence(node: number, image: number, writer: number, set: number): number {
		return this.sets(node, image) + (writer * this.bounds.sets + set) * 2
	}
	/** How often each batch of a writer is counted in a set: two bits a batch, and two is the most that is told apart. */
	count(node: number, image: number, writer: number, set: number): number {
		return this.sequence(node, image, writer, set) + 1
	}
	/** The step of a coordinator, see coordinator.ts. */
	step(coordinator: number): number {
		return this.#coordinator + coordinator * 2
	}
	/** Which of the moves it works at; their number when it is done. */
	move(coordinator: number): number {
		return this.step(coordinator) + 1
	}
	/** What a coordinator read from the source, as it is held at a node. */
	dump(coordinator: number): number {
		return this.#dumps + coordinator * this.#setsSize
	}
	/** How many batches a writer has cut: the last one's sequence. */
	cut(writer: number): number {
		return this.#writer + writer * this.#writerSize
	}
	/** Whether a writer must ask if everything is still there: its connection broke. */
	doubt(writer: number): number {
		return this.cut(writer) + 1
	}
	/** The node that a writer takes for the owner, and with which epoch. */
	viewNode(writer: number): number {
		return this.cut(writer) + 2
	}
	viewEpoch(writer: number): number {
		return this.cut(writer) + 3
	}
	/** The last sequence that the owner acknowledged to a writer, by set. */
	last(writer: number, set: number): number {
		return this.cut(writer) + 4 + set
	}
	/** The request that a writer no longer waits for: 1 + the node it goes to (0: there is none), epoch, set, the sequence before it, its sequence. */
	stray(writer: number): number {
		return this.cut(writer) + 4 + this.bounds.sets
	}
	/** The answer that is on its way to a writer. */
	answer(writer: number): number {
		return this.cut(writer) + this.#answer
	}
	argument(writer: number, i: number): number {
		return this.answer(writer) + 1 + i
	}
	/** No answer is on its way any more. */
	clearAnswer(state: State, writer: number): void {
		state.fill(0, this.answer(writer), this.cut(writer) + this.#writerSize)
	}

	/** The same state for all that are equal but for the numbering of writers and of coordinators, which are all alike. Changes `state`. */
	canonical(state: State): State {
		sortBlocks(state, this.#fields.writers)
		sortBlocks(state, this.#fields.coordinators)
		return state
	}

	#fieldsOfWriters(): number[][] {
		const { writers, sets, coordinators } = this.bounds
		return range(writers).map((writer) => [
			...range(this.#writerSize).map((i) => this.cut(writer) + i),
			...range(2 * 2 * sets).flatMap((i) => {
				const sequence = this.sequence((i >> 1) & 1, i & 1, writer, i >> 2)
				return [sequence, sequence + 1]
			}),
			...range(coordinators).flatMap((coordinator) => range(2 * sets).map((i) => this.dump(coordinator) + writer * 2 * sets + i)),
		])
	}

	#fieldsOfCoordinators(): number[][] {
		return range(this.bounds.coordinators).map((coordinator) => [
			this.step(coordinator),
			this.move(coordinator),
			...range(this.#setsSize).map((i) => this.dump(coordinator) + i),
		])
	}
}

const STRAY_SIZE = 5
const MAX_BATCHES = 4

export function range(count: number): number[] {
	return Array.from({ length: count }, (_, i) => i)
}

/** Sorts blocks of equal shape by their content: neighbours change places until all are in order. */
function sortBlocks(state: State, blocks: readonly (readonly number[])[]): void {
	for (let end = blocks.length - 1; end > 0; end--)
		for (let i = 0; i < end; i++) if (isAbove(state, blocks[i]!, blocks[i + 1]!)) exchange(state, blocks[i]!, blocks[i + 1]!)
}

function isAbove(state: State, a: readonly number[], b: readonly number[]): boolean {
	for (let i = 0; i < a.length; i++) {
		const difference = state[a[i]!]! - state[b[i]!]!
		if (difference !== 0) return difference > 0
	}
	return false
}

function exchange(state: State, a: readonly number[], b: readonly number[]): void {
	for (let i = 0; i < a.length; i++) {
		const kept = state[a[i]!]!
		state[a[i]!] = state[b[i]!]!
		state[b[i]!] = kept
	}
}
