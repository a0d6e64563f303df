/**
 * The way over a ring: who owns a partition is what the nodes have on record (own.ts), and the map is where to look first. Whatever is sent is carried out
 * only if the node is the owner still, by the record and its epoch; what comes to another is sent to the owner, as it was. While a partition is on its way
 * that waits, as long as an answer may take: a move is no failure. Some of it may have been carried out before the partition was sealed, and has moved with
 * it: what comes twice is found to be there.
 *
 * A question is answered by a node whose partition is sealed too: it has everything until the new owner takes hits, which this process sends there only
 * when it has gone over, and with it its questions.
 */
import type { Command } from '../client.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import { fenced, type Link, type Reply } from '../link.ts'
import type { Route, RouteListener } from '../route.ts'
import { isWrite } from '../wire.ts'
import { formatOwn, parseOwn } from './own.ts'
import { RingMap, type RingMapOptions } from './ring-map.ts'

export interface RingRouteOptions extends RingMapOptions {
	/** For `servedBy` of what several nodes answer. */
	readonly name: string
}

/** How often one call follows a partition. */
const FOLLOWED = 4

export class RingRoute implements Route {
	readonly name: string
	readonly #options: RingRouteOptions
	readonly #map: RingMap

	constructor(options: RingRouteOptions) {
		this.name = options.name
		this.#options = options
		this.#map = new RingMap(options)
	}

	/** Of the ring; what was configured and is not of it, or no more, has nothing to say. */
	get links(): readonly Link[] {
		return this.#map.nodes().map(({ link }) => link)
	}

	ready(): Promise<void> | undefined {
		return this.#map.ownerOf(0) === undefined ? this.#map.look() : undefined
	}

	/** Before anything is known, any. */
	linkOf(partition: number): Link {
		const { nodes } = this.#options
		return (nodes.find(this.#map.ownerOf(partition)?.node ?? '') ?? nodes.all[0]!).link
	}

	async send(partition: number, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
		if (commands.length === 0) return []
		const end = performance.now() + timeoutMs
		const failed = (failure: Failure) => commands.map(() => failure)
		try {
			for (let attempt = 1; ; attempt++) {
				if (this.#map.ownerOf(partition) === undefined) await this.#map.look()
				const meeting = this.#map.meet(this.#map.ownerOf(partition)!.node)
				const missed = meeting === undefined ? undefined : await meeting
				const owner = this.#map.ownerOf(partition)!
				const record = formatOwn({ state: 'active', epoch: owner.epoch, ring: this.#map.id! })
				const left = Math.max(1, Math.ceil(end - performance.now()))
				const replies = missed === undefined ? await this.#sendFor(partition, record, commands, left) : [...failed(missed), missed]
				const found = replies.at(-1)
				const answers = replies.slice(0, -1)
				if (found === record) return answers
				if (found instanceof Failure) {
					// Should the partition have moved before the node went away, the others know.
					const looking = this.#map.lookAround().catch(() => {})
					if (performance.now() >= end) return answers
					await looking
					if (this.#map.ownerOf(partition) === owner || attempt === FOLLOWED) return answers
					continue
				}
				const own = parseOwn(found)
				if (own?.state === 'sealed' && own.epoch > owner.epoch && !commands.some(isWrite)) return answers
				const isFound = await this.#map.find(partition, owner, own, end)
				if (!isFound || attempt === FOLLOWED || performance.now() >= end)
					return failed(new Failure(new Error(`NOTOWNER the record there is ${found ?? 'lost'}`)))
			}
		} catch (error) {
			return failed(new Failure(error))
		}
	}

	listen(listener: RouteListener): () => void {
		return this.#map.listen(listener)
	}

	/** Commands for the owner, and last of all the question for its record: if the node is the owner then, it was when the commands came. */
	#sendFor(partition: number, record: string, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
		const key = this.#options.keys.own(partition)
		const guarded = commands.map((each) => fenced(each, key, record))
		return this.linkOf(partition).send([...guarded, command('get', key)], timeoutMs)
	}
}
