/** Questions to Redis, for those who read: every reply, or an error that says why there is none. */
import type { Command } from './client.ts'
import { Failure } from './failure.ts'
import { type Link, type Reply, renewed } from './link.ts'
import { type Route, wayTo } from './route.ts'

/** How often scripts that a server has forgotten are loaded for one question. */
const ATTEMPTS = 3

export class Reader {
	readonly partitions: number
	readonly #route: Route
	readonly #timeoutMs: number
	/** See Session. */
	readonly #ready: (partition: number) => Promise<void> | undefined

	constructor(route: Route, partitions: number, timeoutMs: number, ready: (partition: number) => Promise<void> | undefined) {
		this.partitions = partitions
		this.#route = route
		this.#timeoutMs = timeoutMs
		this.#ready = ready
	}

	/** Asks the server that owns a partition; perhaps twice, when it knows no scripts. Questions of the same turn travel together. */
	async ask(partition: number, commands: readonly Command[]): Promise<readonly Reply[]> {
		return this.answered(partition, await this.attempt(partition, commands))
	}

	/** The same; a reply may be a {@link Failure}. */
	async attempt(partition: number, commands: readonly Command[]): Promise<readonly Reply[]> {
		const waiting = this.#ready(partition)
		if (waiting !== undefined) await waiting
		const way = wayTo(partition, this.#route, () => this.#timeoutMs)
		for (let attempt = 0; ; attempt++) {
			const { name } = way
			// Made before their scripts were known here, they have no name for them.
			const replies = await way.send(attempt === 0 ? commands : commands.map(renewed))
			const unknown = replies.some((reply) => reply instanceof Failure && reply.kind === 'noscript')
			if (!unknown || attempt === ATTEMPTS) return replies
			const failure = await way.load()
			if (failure !== undefined) throw failure.toError(name)
		}
	}

	/** The same replies; throws when one of them is a {@link Failure}. */
	answered(partition: number, replies: readonly Reply[]): readonly Reply[] {
		return answered(replies, this.#route.linkOf(partition).name)
	}

	async askLink(link: Link, commands: readonly Command[]): Promise<readonly Reply[]> {
		return answered(await link.send(commands, this.#timeoutMs), link.name)
	}

	/** Who has these partitions: one server, or the store as a whole. */
	servedBy(partitions: Iterable<number>): string {
		const names = new Set(Array.from(partitions, (partition) => this.#route.linkOf(partition).name))
		return names.size === 1 ? [...names][0]! : this.#route.name
	}

	/** Who has everything. */
	get servedByAll(): string {
		return this.servedBy(Array(this.partitions).keys())
	}

	/** Does the same for every partition at the same time. */
	each<Result>(act: (partition: number) => Promise<Result>): Promise<Result[]> {
		return Promise.all(Array.from({ length: this.partitions }, (_, partition) => act(partition)))
	}
}

function answered(replies: readonly Reply[], name: string): readonly Reply[] {
	for (const reply of replies) if (reply instanceof Failure) throw reply.toError(name)
	return replies
}

/** Members and their numbers, however the client gives them: in turns, or in pairs. */
export function pairs(reply: Reply): [string, number][] {
	const list = reply as readonly unknown[]
	if (Array.isArray(list[0])) return (list as [string, string | number][]).map(([member, score]) => [member, Number(score)])
	return Array.from({ length: list.length / 2 }, (_, i) => [String(list[2 * i]), Number(list[2 * i + 1])])
}
