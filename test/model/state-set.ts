/** States in the order in which they were found, each once: a hash table over one long array, for a `Set` of strings holds a tenth as many. */

import type { State } from './state.ts'

export class StateSet {
	readonly #stateSize: number
	#bytes: Uint8Array
	/** 1 + the number of the state that hashes here or shortly before; 0 is free. */
	#slots = new Int32Array(1 << 16)
	#size = 0

	constructor(stateSize: number) {
		this.#stateSize = stateSize
		this.#bytes = new Uint8Array(stateSize << 12)
	}

	get size(): number {
		return this.#size
	}

	/** A copy of the state with that number. */
	get(number: number): State {
		return this.#bytes.slice(number * this.#stateSize, (number + 1) * this.#stateSize)
	}

	has(state: State): boolean {
		for (let slot = this.#home(state, 0); this.#slots[slot] !== 0; slot = (slot + 1) & (this.#slots.length - 1))
			if (this.#holds(this.#slots[slot]! - 1, state)) return true
		return false
	}

	/** The number of `state`, which is the size before when the state is new. */
	add(state: State): number {
		if (this.#size * 2 >= this.#slots.length) this.#grow()
		let slot = this.#home(state, 0)
		for (; this.#slots[slot] !== 0; slot = (slot + 1) & (this.#slots.length - 1))
			if (this.#holds(this.#slots[slot]! - 1, state)) return this.#slots[slot]! - 1
		const number = this.#size++
		this.#slots[slot] = this.#size
		if (this.#size * this.#stateSize > this.#bytes.length) {
			const longer = new Uint8Array(this.#bytes.length * 2)
			longer.set(this.#bytes)
			this.#bytes = longer
		}
		this.#bytes.set(state, number * this.#stateSize)
		return number
	}

	#holds(number: number, state: State): boolean {
		const start = number * this.#stateSize
		for (let i = 0; i < this.#stateSize; i++) if (this.#bytes[start + i] !== state[i]) return false
		return true
	}

	/** FNV-1a, and a last mix for the low bits that are used. */
	#home(bytes: Uint8Array, start: number): number {
		let hash = 0x811c9dc5
		for (let i = start; i < start + this.#stateSize; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
		return (hash ^ (hash >>> 15)) & (this.#slots.length - 1)
	}

	#grow(): void {
		this.#slots = new Int32Array(this.#slots.length * 2)
		for (let number = 0; number < this.#size; number++) {
			let slot = this.#home(this.#bytes, number * this.#stateSize)
			while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1)
			this.#slots[slot] = number + 1
		}
	}
}
