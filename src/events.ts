/** Calls what is not ours, which may throw at once or reject later; `failed` must not throw. */
export function attempt(call: () => unknown, failed: (error: unknown) => void): void {
	try {
		const answer = call()
		if (answer instanceof Promise) answer.catch(failed)
	} catch (error) {
		failed(error)
	}
}

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

	/** Tells every listener. One that throws, or answers with a promise that rejects, does not keep the others or the counting from going on; `failed` hears of it. */
	emit<Name extends keyof Events>(name: Name, event: Events[Name], failed: (error: unknown) => void): void {
		for (const listener of this.#listeners.get(name) ?? []) attempt(() => (listener as (event: Events[Name]) => unknown)(event), failed)
	}
}
