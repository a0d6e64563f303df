/** A typed emitter of our own: the core imports no `node:` module, and an 'error' that nobody listens to must not end the process. */
export class Emitter<Events extends object> {
	readonly #listeners = new Map<keyof Events, ((event: never) => void)[]>()

	on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void {
		// A new array: whoever is being told now is told by the old one.
		this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener])
	}

	off<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): void {
		const left = this.#listeners.get(name)?.filter((each) => each !== listener)
		if (left?.length) this.#listeners.set(name, left)
		else this.#listeners.delete(name)
	}

	/** Whether anybody listens: events that cost something to make ask first. */
	hears(name: keyof Events): boolean {
		return this.#listeners.has(name)
	}

	/** Tells every listener. One that throws does not keep the others, or the counting, from going on; its error is returned. */
	emit<Name extends keyof Events>(name: Name, event: Events[Name]): unknown {
		let thrown: unknown
		for (const listener of this.#listeners.get(name) ?? []) {
			try {
				;(listener as (event: Events[Name]) => void)(event)
			} catch (error) {
				thrown ??= error
			}
		}
		return thrown
	}
}
