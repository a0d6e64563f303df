/** The servers of a ring, by the names that the placement calls them: those that were configured, and those that the placement has besides. */
import { ClosedError, StoreUnavailableError } from '../../../errors.ts'
import type { RedisClient } from '../client.ts'
import { connect, type OwnClient } from '../connect.ts'
import { Link } from '../link.ts'
import { type Replicas, singleWire } from '../wire.ts'
import type { Node, PlacedNode } from './placement.ts'

/** A server as it was configured, checked. */
export interface NodeSource extends PlacedNode {
	readonly target: RedisClient | string
}

/** What an ioredis client has besides, to make another one of its kind. */
interface Duplicable {
	duplicate(options: { host: string; port: number; db: number }): OwnClient
}

export class RingNodes {
	readonly #sources: readonly NodeSource[]
	readonly #timeoutMs: number
	readonly #replicas: Replicas
	readonly #nodes = new Map<string, Node>()
	readonly #own: Promise<OwnClient>[] = []
	#released = false

	constructor(sources: readonly NodeSource[], timeoutMs: number, replicas: Replicas) {
		this.#sources = sources
		this.#timeoutMs = timeoutMs
		this.#replicas = replicas
		for (const { name, target } of sources) this.#nodes.set(name, this.#node(name, target))
	}

	/** As they were configured. */
	get members(): readonly PlacedNode[] {
		return this.#sources.map(({ name, weight, address }) => ({ name, weight, address }))
	}

	/** Those that can be talked to. */
	get all(): readonly Node[] {
		return [...this.#nodes.values()]
	}

	find(name: string): Node | undefined {
		return this.#nodes.get(name)
	}

	/** Takes in what the placement knows. */
	learn(placed: readonly PlacedNode[]): void {
		for (const { name, address } of placed) {
			if (this.#nodes.has(name)) continue
			this.#nodes.set(name, address === undefined ? this.#lost(name) : this.#node(name, this.#reach(address)))
		}
	}

	/** Closes the clients that were made here; those that were passed in stay the caller's. */
	release(): void {
		this.#released = true
		for (const { link } of this.#nodes.values()) link.detach()
		for (const client of this.#own) {
			void client.then(
				(client) => client.disconnect(),
				() => {},
			)
		}
	}

	#node(name: string, target: RedisClient | string | (() => OwnClient)): Node {
		const wire = singleWire(this.#replicas)
		if (typeof target === 'object') return { name, link: new Link(`redis:${name}`, () => target, wire) }
		const open = () => {
			// Somebody was still looking around.
			if (this.#released) throw new ClosedError('The store')
			const own =
				typeof target === 'string' ? connect(target, this.#timeoutMs, (error) => link.noteError(error)) : Promise.resolve(target())
			this.#own.push(own)
			return own
		}
		const link: Link = new Link(`redis:${name}`, open, wire)
		return { name, link }
	}

	/** A node that is known by its address only is reached as another one is: with the same user, password and options. */
	#reach(address: string): string | (() => OwnClient) {
		const [like] = this.#sources
		if (typeof like!.target === 'string') {
			const url = new URL(address)
			const { username, password } = new URL(like!.target)
			url.username = username
			url.password = password
			return url.href
		}
		const client = like!.target as unknown as Duplicable
		const { hostname, port, pathname } = new URL(address)
		return () => {
			const own = client.duplicate({ host: hostname, port: Number(port || 6379), db: Number(pathname.slice(1)) })
			own.on('error', () => {})
			return own
		}
	}

	#lost(name: string): Node {
		const open = () => {
			throw new StoreUnavailableError(`The ring has a node ${JSON.stringify(name)}, and nobody has said where: add it to \`nodes\``)
		}
		return { name, link: new Link(`redis:${name}`, open) }
	}
}
