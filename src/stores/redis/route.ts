/** Which server owns a partition. The store over one Redis, a ring and a cluster is the same; this is where they differ. */
import type { Command } from './client.ts'
import type { Failure } from './failure.ts'
import type { Link, Reply } from './link.ts'
import type { Concerns } from './wire.ts'

/** What a session wants to know of its route. */
export interface RouteListener {
	/** A server, or some keys of it, may have lost something. */
	reconnected(link: Link, concerns: Concerns): void
	/** Partitions have another owner. */
	moved(partitions: readonly number[], message: string): void
}

/** The way to the owner of one partition, whoever that is. */
export interface Way {
	/** Of the server. */
	readonly name: string
	/** See {@link Route.send}. */
	send(commands: readonly Command[]): Promise<readonly Reply[]>
	/** Makes sure that the server knows the scripts. */
	load(): Promise<Failure | undefined>
}

/** `timeOf`: how long to wait for an answer of a server. */
export function wayTo(partition: number, route: Route, timeOf: (link: Link) => number): Way {
	return {
		get name() {
			return route.linkOf(partition).name
		},
		send: (commands) => route.send(partition, commands, timeOf(route.linkOf(partition))),
		load: () => {
			const link = route.linkOf(partition)
			return link.load(timeOf(link))
		},
	}
}

export interface Route {
	/** For `servedBy`. */
	readonly name: string
	/** Every server that is known: each has the settings of the namespace, and its writers. */
	readonly links: readonly Link[]
	/** Resolves when it is known who owns what; undefined when it is. */
	ready(): Promise<void> | undefined
	linkOf(partition: number): Link
	/**
	 * Sends commands about one partition to its owner, in order. Answers each of them, after `timeoutMs` at the latest; with a failure of kind 'moved' when
	 * the server was not the owner, and then nothing of it counts. Never rejects.
	 */
	send(partition: number, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]>
	/** Answers how to stop listening. */
	listen(listener: RouteListener): () => void
}

/** One server owns everything, or one cluster. */
export class SingleRoute implements Route {
	readonly name: string
	readonly links: readonly Link[]
	readonly #link: Link

	constructor(link: Link) {
		this.name = link.name
		this.links = [link]
		this.#link = link
	}

	ready(): undefined {}

	linkOf(): Link {
		return this.#link
	}

	send(_partition: number, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
		return this.#link.send(commands, timeoutMs)
	}

	listen({ reconnected }: RouteListener): () => void {
		return this.#link.onReady((concerns) => reconnected(this.#link, concerns))
	}
}
