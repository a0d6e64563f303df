/** A list of whole numbers of 32 bits that grows. */
export class IntList {
	#numbers = new Int32Array(1 << 12)
	#length = 0

	get length(): number {
		return this.#length
	}

	push(number: number): void {
		if (this.#length === this.#numbers.length) {
			const longer = new Int32Array(this.#length * 2)
			longer.set(this.#numbers)
			this.#numbers = longer
		}
		this.#numbers[this.#length++] = number
	}

	get(i: number): number {
		return this.#numbers[i]!
	}
}
