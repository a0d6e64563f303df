/** What a writer knows of one set in Redis (the hits of a partition in one bucket, a trend): what it sent there, and how far it was acknowledged. */
import type { Shape } from './keys.ts'
import { CHUNKS, isWhole, sequenceOf } from './position.ts'

/** What a part does to its set: adds to many members, sets one, or deletes one. */
export type Act = 'add' | 'set' | 'remove'

/**
 * What one batch does to one set (or one chunk of it): one script. Fixed for ever once it is made, but for how it ended; `chain` is corrected when what
 * came before it is lost for good.
 */
export interface Part {
	readonly set: CountedSet
	readonly position: number
	/** The position before it: the set's highest when this was made. */
	chain: number
	readonly act: Act
	readonly members: readonly string[]
	/** As many as members, for 'add'; one for 'set'; none for 'remove'. */
	readonly values: readonly number[]
	/** What is lost if it is lost. */
	readonly hits: number
	/** Acknowledged (it may have to be sent again), refused for good, or not yet known. */
	state: 'open' | 'stored' | 'dropped'
}

/** Entries of the log that are kept at most; beyond, every second of the older half is forgotten. */
const LOG = 4_096
/** Of a set that gets nothing more. Should it go back to a point between two of them, up to a 64th of its batches too many are reported. */
const LOG_AT_REST = 64

export class CountedSet {
	readonly key: string
	readonly shape: Shape
	/** Epoch seconds; 0: never. */
	readonly deadline: number
	/** For people: 'total', 'minute 2026-01-01T12:34Z', 'bot total', 'trend'. */
	readonly what: string
	/** The highest position the server has acknowledged. */
	last = 0
	/** The highest position ever given to a part. */
	tail = 0
	/** To be sent, by rising position. */
	queue: Part[] = []
	/** Whether the server is known to have the deadline. */
	expires: boolean
	/** The chunks of the last batch that was cut into some: it alone can be there in part. */
	chunks: readonly Part[] = []
	/**
	 * Position and the sum of hits up to it, in turns, by rising position: to say how much is lost when the server goes back to one of them. At rest as
	 * text: a writer keeps tens of thousands of them, and hardly ever reads one.
	 */
	#log: number[] | string = []

	constructor(key: string, shape: Shape, deadline: number, what: string) {
		this.key = key
		this.shape = shape
		this.deadline = deadline
		this.what = what
		this.expires = deadline === 0
	}

	/** Takes a new part, the highest so far. */
	push(part: Part): void {
		this.queue.push(part)
		this.tail = part.position
		const log = this.#entries
		log.push(part.position, (log.at(-1) ?? 0) + part.hits)
		if (log.length > 2 * LOG) this.#thin()
	}

	/** Nothing of it can be sent again, so that little is to be told of it: a set of the past costs next to nothing. */
	rest(): void {
		this.chunks = []
		// Made anew: a list keeps room for what it once held.
		if (this.queue.length === 0) this.queue = []
		const log = this.#entries
		const entries = Math.min(log.length / 2, LOG_AT_REST)
		const step = log.length / 2 / entries
		this.#log = packed(Array.from({ length: 2 * entries }, (_, i) => log[2 * (Math.ceil(((i >> 1) + 1) * step) - 1) + (i & 1)]!))
	}

	/** Takes a part out for good: what comes next follows the one before it. */
	drop(part: Part): void {
		part.state = 'dropped'
		this.queue = this.queue.filter((other) => other !== part)
		const next = this.queue[0]
		if (next === undefined) this.tail = this.last
		else if (next.chain > this.last) next.chain = this.last
		this.#forget(part.position, part.hits)
	}

	/**
	 * The server has nothing above `position` any more: sends again what is still known (`parts` of this set, by rising position). Answers the positions that
	 * nobody can send again and the hits in them, if there are any.
	 */
	rewind(position: number, parts: readonly Part[]): { from: number; to: number; hits: number } | undefined {
		this.queue = parts.filter((part) => part.position > position && part.state !== 'dropped')
		const from = position
		const first = this.queue[0]
		const to = first === undefined ? Math.max(this.last, from) : first.chain
		this.last = position
		if (first === undefined) this.tail = position
		if (to <= from) return undefined
		if (first !== undefined) first.chain = position
		const hits = this.#upTo(to) - this.#upTo(from)
		this.#forget(to, hits)
		return { from, to, hits }
	}

	/** The last sequence of which `member` has all hits, when the server's last position is `position`. */
	sequenceIn(position: number, member: string): number {
		const sequence = sequenceOf(position)
		if (isWhole(position)) return sequence
		const isIn = ({ position: at, members }: Part) => at <= position && sequenceOf(at) === sequence && members.includes(member)
		return this.chunks.some(isIn) ? sequence : sequence - 1
	}

	get #entries(): number[] {
		if (typeof this.#log === 'string') this.#log = unpacked(this.#log)
		return this.#log
	}

	/** The sum of hits up to a position: exact where it is in the log, otherwise that of the next one below. */
	#upTo(position: number): number {
		const log = this.#entries
		let low = 0
		let high = log.length / 2
		while (low < high) {
			const middle = (low + high) >>> 1
			if (log[2 * middle]! <= position) low = middle + 1
			else high = middle
		}
		return low === 0 ? 0 : log[2 * low - 1]!
	}

	/** From `position` on there are `hits` less: they are not there and must not be reported another time. */
	#forget(position: number, hits: number): void {
		const log = this.#entries
		const floor = this.#upTo(position) - hits
		for (let i = 0; i < log.length; i += 2) {
			log[i + 1] = log[i]! >= position ? log[i + 1]! - hits : Math.min(log[i + 1]!, floor)
		}
	}

	#thin(): void {
		const log = this.#entries
		const half = log.length / 2
		this.#log = log.filter((_, i) => i >= half || (i >> 1) % 2 === 1)
	}
}

/** A log as a short text: by how much each number is above the one before it. */
function packed(log: readonly number[]): string {
	return log.map((number, i) => (number - (log[i - 2] ?? 0)) / (i % 2 === 0 ? CHUNKS : 1)).join(' ')
}

function unpacked(text: string): number[] {
	const log = text === '' ? [] : text.split(' ').map(Number)
	for (let i = 0; i < log.length; i++) log[i] = log[i]! * (i % 2 === 0 ? CHUNKS : 1) + (log[i - 2] ?? 0)
	return log
}
