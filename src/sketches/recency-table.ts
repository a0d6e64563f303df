/**
 * "Was this visitor here within the last ttl?", answered exactly in milliseconds, without a timer or an object per visitor.
 *
 * An open-addressed table of 64-bit hashes, each with the time at which its mark ends. Marks that ended are dropped when the table is rebuilt, or
 * overwritten on the way. A slot is 16 bytes; a mark takes 21 to 64 of them, against 93 of a Map of strings. Two visitors of the same hash would be
 * taken for one: among n of them the odds are n^2 / 2^65, one in 37 million for a million.
 *
 * Never more than `maxEntries` marks are promised, and memory is bounded by them: when an eighth more than that is alive, the marks that would end
 * first are given up until `maxEntries` are left. A visitor whose mark was given up is new again too early; none is ever refused too long.
 */

import { expected } from '../errors.ts'

export interface RecencyTableOptions {
	/** The number of marks that are kept for certain, those that end last; 1 to 100 million. The table grows to 24 to 48 bytes for each. @default 1_000_000 */
	readonly maxEntries?: number
}

const FIRST_SLOTS = 64
const MAX_LOAD = 0.75
/** The end of a mark in a slot that never held one; and in one whose mark was released, which must not stop a search. Every real end is later. */
const EMPTY = 0
const RELEASED = -1

export class RecencyTable {
	readonly #maxEntries: number
	/** More marks than this are never in the table, dead ones included. */
	readonly #most: number
	/** Two words per slot, low and high half of the hash. */
	#hashes = new Int32Array(FIRST_SLOTS * 2)
	/** By slot: when the mark ends, in ms; the mark is alive before it. */
	#ends = new Float64Array(FIRST_SLOTS)
	/** Slots that are not EMPTY. */
	#filled = 0
	/** Dead marks overwritten since the last rebuild. */
	#overwritten = 0
	#evicted = 0

	constructor({ maxEntries = 1_000_000 }: RecencyTableOptions = {}) {
		if (!Number.isInteger(maxEntries) || maxEntries < 1 || maxEntries > 1e8) {
			throw expected('ERR_TALLYMARK_SKETCH', 'maxEntries', 'a whole number from 1 to 100000000', maxEntries)
		}
		this.#maxEntries = maxEntries
		this.#most = maxEntries + Math.max(1, maxEntries >>> 3)
	}

	/** Marks in the table, those that ended but were not dropped yet included. */
	get size(): number {
		return this.#filled
	}

	/** Marks given up before their end since the table was made, because more than `maxEntries` were alive. */
	get evicted(): number {
		return this.#evicted
	}

	/** Bytes of the table. */
	get bytes(): number {
		return this.#hashes.byteLength + this.#ends.byteLength
	}

	/**
	 * True when the visitor of this hash (two int32) has no living mark: then it is marked until `now + ttlMs`, this millisecond excluded. False when it
	 * has one, which stays as it is, unless it would end later than `now + ttlMs`: that is of a clock that was put back, or of a longer time, and it ends
	 * then. `now` is in ms and not negative. With a `ttlMs` of 0 or less nothing is marked or changed, and the answer is that of a living mark, or true.
	 */
	claim(lo: number, hi: number, now: number, ttlMs: number): boolean {
		if (!(now >= 0 && now < Number.POSITIVE_INFINITY)) throw expected('ERR_TALLYMARK_SKETCH', 'now', 'milliseconds, 0 or more', now)
		if (Number.isNaN(ttlMs)) throw expected('ERR_TALLYMARK_SKETCH', 'ttlMs', 'milliseconds', ttlMs)
		const ends = this.#ends
		const hashes = this.#hashes
		const mask = ends.length - 1
		let slot = slotOf(lo, hi) & mask
		let reusable = -1
		for (let end = ends[slot]!; end !== EMPTY; end = ends[slot]!) {
			if (end <= now) {
				// A dead mark of another may be overwritten, but the search must go on: the visitor's own may be behind it.
				if (reusable < 0) reusable = slot
			} else if (hashes[2 * slot] === (lo | 0) && hashes[2 * slot + 1] === (hi | 0)) {
				if (ttlMs > 0 && end - now > ttlMs) ends[slot] = now + ttlMs
				return false
			}
			slot = (slot + 1) & mask
		}
		if (!(ttlMs > 0)) return true
		if (reusable >= 0) {
			this.#write(reusable, lo, hi, now + ttlMs)
			// A table that became too large for its living marks fills no more empty slots: look from time to time.
			if (++this.#overwritten > (mask + 1) >>> 1) this.#rebuild(now)
			return true
		}
		this.#write(slot, lo, hi, now + ttlMs)
		this.#filled++
		if (this.#filled > this.#most || this.#filled > (mask + 1) * MAX_LOAD) this.#rebuild(now)
		return true
	}

	/** Whether the visitor of this hash has a living mark. */
	has(lo: number, hi: number, now: number): boolean {
		return this.#find(lo, hi, now) >= 0
	}

	/** Takes the visitor's mark away, so that the next claim is true. True when there was a living one. */
	release(lo: number, hi: number, now: number): boolean {
		const slot = this.#find(lo, hi, now)
		if (slot < 0) return false
		this.#ends[slot] = RELEASED
		return true
	}

	/** Forgets every visitor. */
	clear(): void {
		this.#hashes = new Int32Array(FIRST_SLOTS * 2)
		this.#ends = new Float64Array(FIRST_SLOTS)
		this.#filled = 0
		this.#overwritten = 0
	}

	#find(lo: number, hi: number, now: number): number {
		const mask = this.#ends.length - 1
		for (let slot = slotOf(lo, hi) & mask; this.#ends[slot] !== EMPTY; slot = (slot + 1) & mask) {
			if (this.#ends[slot]! > now && this.#hashes[2 * slot] === (lo | 0) && this.#hashes[2 * slot + 1] === (hi | 0)) return slot
		}
		return -1
	}

	#write(slot: number, lo: number, hi: number, end: number): void {
		this.#hashes[2 * slot] = lo
		this.#hashes[2 * slot + 1] = hi
		this.#ends[slot] = end
	}

	/** A new table with the living marks only, and with as many slots as they want. */
	#rebuild(now: number): void {
		const hashes = this.#hashes
		const ends = this.#ends
		let living = 0
		for (let slot = 0; slot < ends.length; slot++) if (ends[slot]! > now) living++
		// Where the marks are too many: all that end before `limit` go, and of those that end at it as many as must.
		let limit = Number.NEGATIVE_INFINITY
		let atLimit = 0
		const excess = this.#filled > this.#most ? Math.max(0, living - this.#maxEntries) : 0
		if (excess > 0) {
			const alive = ends.filter((end) => end > now)
			limit = smallest(alive, excess)
			atLimit = excess
			for (const end of alive) if (end < limit) atLimit--
			this.#evicted += excess
			living -= excess
		}
		// At most half full, so that many claims go by until the next rebuild; but no larger than the most that can ever be in it.
		let slots = FIRST_SLOTS
		while (living > slots * 0.5 && this.#most > slots * MAX_LOAD) slots *= 2
		this.#hashes = new Int32Array(slots * 2)
		this.#ends = new Float64Array(slots)
		this.#filled = living
		this.#overwritten = 0
		for (let from = 0; from < ends.length; from++) {
			const end = ends[from]!
			if (end <= now || end < limit || (end === limit && atLimit-- > 0)) continue
			const lo = hashes[2 * from]!
			const hi = hashes[2 * from + 1]!
			let slot = slotOf(lo, hi) & (slots - 1)
			while (this.#ends[slot] !== EMPTY) slot = (slot + 1) & (slots - 1)
			this.#write(slot, lo, hi, end)
		}
	}
}

/** Mixes both halves, so that hashes of which one half is constant do not all meet in one place. */
function slotOf(lo: number, hi: number): number {
	return lo ^ Math.imul(hi, 0x9e3779b1)
}

/** The value that would stand at `rank` if `values` were sorted, in linear time (Hoare's selection); reorders them. */
function smallest(values: Float64Array, rank: number): number {
	let left = 0
	let right = values.length - 1
	while (left < right) {
		const pivot = values[(left + right) >>> 1]!
		let i = left
		let j = right
		while (i <= j) {
			while (values[i]! < pivot) i++
			while (values[j]! > pivot) j--
			if (i > j) break
			const held = values[i]!
			values[i++] = values[j]!
			values[j--] = held
		}
		if (rank <= j) right = j
		else if (rank >= i) left = i
		else break
	}
	return values[rank]!
}
