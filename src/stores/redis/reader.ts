/** Questions to Redis, for those who read: every reply, or an error that says why there is none. */
import type { Command } from './client.ts'
import { Failure } from './failure.ts'
import type { Link, Reply } from './link.ts'
import type { Route } from './route.ts'

export class Reader {
	readonly servedBy: string
	readonly partitions: number
	readonly #route: Route
	readonly #timeoutMs: number
	/** See Session. */
	readonly #ready: () => Promise<void> | undefined

	constructor(route: Route, partitions: number, timeoutMs: number, ready: () => Promise<void> | undefined) {
		this.servedBy = route.name
		this.partitions = partitions
		this.#route = route
		this.#timeoutMs = timeoutMs
		this.#ready = ready
	}

	/** Asks the server that owns a partition. Questions of the same turn travel together. */
	async ask(partition: number, commands: readonly Command[]): Promise<readonly Reply[]> {
		const waiting = this.#ready()
		if (waiting !== undefined) await waiting
		return this.askLink(this.#route.linkOf(partition), commands)
	}

	async askLink(link: Link, commands: readonly Command[]): Promise<readonly Reply[]> {
		const replies = await link.send(commands, this.#timeoutMs)
		for (const reply of replies) if (reply instanceof Failure) throw reply.toError(link.name)
		return replies
	}

	/** Does the same for every partition at the same time. */
	each<Result>(act: (partition: number) => Promise<Result>): Promise<Result[]> {
		return Promise.all(Array.from({ length: this.partitions }, (_, partition) => act(partition)))
	}
}

/** Members and their numbers, however the client gives them: in turns, or in pairs. */
export function pairs(reply: Reply): [string, number][] {
	const list = reply as readonly unknown[]
	if (Array.isArray(list[0])) return (list as [string, string | number][]).map(([member, score]) => [member, Number(score)])
	return Array.from({ length: list.length / 2 }, (_, i) => [String(list[2 * i]), Number(list[2 * i + 1])])
}
