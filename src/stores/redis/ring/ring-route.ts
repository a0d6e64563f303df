/**
 * The way over a ring: who owns a partition is what the nodes have on record (own.ts), and the placement is where to look first. Whatever is sent is
 * carried out only if the node is the owner still, by the record and its epoch; what comes to another is sent to the owner, as it was.
 *
 * A question is answered by a node whose partition is sealed too: it has everything until the new owner takes hits, which this process sends there only
 * when it has gone over, and with it its questions.
 */
import type { Command } from '../client.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Keys } from '../keys.ts'
import { fenced, type Link, type Reply } from '../link.ts'
import type { Route, RouteListener } from '../route.ts'
import { isWrite } from '../wire.ts'
import { ensurePlacement } from './ensure-placement.ts'
import { formatOwn, type Own, parseOwn } from './own.ts'
import type { Node, Owner, Placement } from './placement.ts'
import type { RingNodes } from './ring-nodes.ts'

export interface RingRouteOptions {
	/** For `servedBy` of what several nodes answer. */
	readonly name: string
	readonly nodes: RingNodes
	readonly keys: Keys
	readonly partitions: number
	readonly timeoutMs: number
}

/** How often a question follows a partition. */
const FOLLOWED = 4
/** Looks at all nodes, one after the other, while some keep reconnecting. */
const LOOKS = 3
/** How long after a look at all nodes the next one is made at the earliest, when one does not answer or has lost its record. */
const LOOK_AGAIN_MS = 500

export class RingRoute implements Route {
	readonly name: string
	readonly #options: RingRouteOptions
	#owners: Owner[] | undefined
	/** Nobody has reconnected since the nodes were asked. */
	#known = false
	#reconnections = 0
	#looking: Promise<void> | undefined
	#lookedAt = Number.NEGATIVE_INFINITY
	#listener: RouteListener | undefined
	readonly #stopListening: (() => void)[] = []

	constructor(options: RingRouteOptions) {
		this.name = options.name
		this.#options = options
	}

	get links(): readonly Link[] {
		return this.#options.nodes.all.map(({ link }) => link)
	}

	ready(): Promise<void> | undefined {
		return this.#known ? undefined : this.#untilKnown()
	}

	/** Before anything is known, any. */
	linkOf(partition: number): Link {
		const { nodes } = this.#options
		return (nodes.find(this.#owners?.[partition]?.node ?? '') ?? nodes.all[0]!).link
	}

	async send(partition: number, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
		if (commands.length === 0) return []
		try {
			if (this.#owners === undefined) await this.#look()
		} catch (error) {
			return commands.map(() => new Failure(error))
		}
		const asks = !commands.some(isWrite)
		const key = this.#options.keys.own(partition)
		for (let attempt = 1; ; attempt++) {
			const owner = this.#owners![partition]!
			const record = formatOwn({ state: 'active', epoch: owner.epoch })
			const guarded = commands.map((each) => fenced(each, key, record))
			const replies = await this.linkOf(partition).send([...guarded, command('get', key)], timeoutMs)
			// Last of all: if the node is the owner now, it was when the commands came.
			const found = replies.at(-1)
			const answers = replies.slice(0, -1)
			if (found === record) return answers
			if (found instanceof Failure) {
				// Should the partition have moved before the node went away, the others know.
				this.#lookAround().catch(() => {})
				return answers
			}
			const own = parseOwn(found)
			if (asks && own?.state === 'sealed' && own.epoch > owner.epoch) return answers
			await this.#follow(partition, own, timeoutMs).catch(() => {})
			if (!asks || attempt === FOLLOWED || this.#owners![partition] === owner) {
				const moved = new Failure(new Error(`NOTOWNER the record there is ${found ?? 'lost'}`))
				return answers.map(() => moved)
			}
		}
	}

	listen(listener: RouteListener): () => void {
		this.#listener = listener
		this.#watch(this.#options.nodes.all)
		return () => {
			this.#listener = undefined
			for (const stop of this.#stopListening) stop()
		}
	}

	/** A node that comes back may have lost its records, or been away while partitions moved. */
	#watch(nodes: readonly Node[]): void {
		for (const { link } of nodes) {
			const stop = link.onReady((concerns) => {
				this.#known = false
				this.#reconnections++
				this.#listener?.reconnected(link, concerns)
			})
			this.#stopListening.push(stop)
		}
	}

	/** Nodes that connect while they are asked may have been asked too early. */
	async #untilKnown(): Promise<void> {
		for (let look = 0; !this.#known && look < LOOKS; look++) await this.#look()
	}

	/** Asks all nodes, once for all who want to know. */
	#look(): Promise<void> {
		this.#looking ??= this.#readPlacement().finally(() => {
			this.#looking = undefined
		})
		return this.#looking
	}

	/** The same, unless it was done just now. */
	async #lookAround(): Promise<void> {
		if (this.#looking === undefined && performance.now() - this.#lookedAt < LOOK_AGAIN_MS) return
		await this.#look()
	}

	async #readPlacement(): Promise<void> {
		const { nodes, keys, partitions, timeoutMs } = this.#options
		const reconnections = this.#reconnections
		try {
			const { placement } = await ensurePlacement(nodes.all, keys, partitions, nodes.members, timeoutMs)
			const first = this.#owners === undefined
			this.#learn(placement)
			if (first) this.#compare(placement)
			this.#known = reconnections === this.#reconnections
		} finally {
			this.#lookedAt = performance.now()
		}
	}

	#learn({ nodes, owners }: Placement): void {
		this.#watch(this.#options.nodes.learn(nodes))
		if (this.#owners === undefined) {
			this.#owners = [...owners]
			return
		}
		const moved = [...owners.keys()].filter((partition) => owners[partition]!.epoch > this.#owners![partition]!.epoch)
		for (const partition of moved) this.#owners[partition] = owners[partition]!
		this.#tell(moved)
	}

	/** Says when the ring is another one than was configured. */
	#compare({ nodes }: Placement): void {
		const listed = (names: readonly { readonly name: string }[]) =>
			names
				.map(({ name }) => name)
				.sort()
				.join(', ')
		const stored = listed(nodes)
		const configured = listed(this.#options.nodes.members)
		if (stored === configured) return
		const message = `The ring has the nodes ${stored}; this counter was given ${configured}, and goes on with the ring: rebalance() makes it the other`
		this.#listener?.moved([], message)
	}

	/** Looks for the owner, from what the record at the last one says. */
	async #follow(partition: number, own: Own | undefined, timeoutMs: number): Promise<void> {
		const { epoch } = this.#owners![partition]!
		if (own === undefined || own.epoch <= epoch || own.state === 'importing') return this.#lookAround()
		if (!('target' in own)) return this.#assign(partition, { node: this.#owners![partition]!.node, epoch: own.epoch })
		const { target } = own
		const node = this.#options.nodes.find(target)
		if (node === undefined) return this.#lookAround()
		if (own.state === 'gone') return this.#assign(partition, { node: target, epoch: own.epoch })
		// Sealed: the target may have it already.
		const [reply] = await node.link.send([command('get', this.#options.keys.own(partition))], timeoutMs)
		const there = parseOwn(reply)
		if (there?.state === 'active' && there.epoch >= own.epoch) this.#assign(partition, { node: target, epoch: there.epoch })
	}

	#assign(partition: number, owner: Owner): void {
		this.#owners![partition] = owner
		this.#tell([partition])
	}

	#tell(moved: readonly number[]): void {
		if (moved.length === 0) return
		const byNode = new Map<string, number[]>()
		for (const partition of moved) {
			const { node } = this.#owners![partition]!
			byNode.set(node, [...(byNode.get(node) ?? []), partition])
		}
		for (const [node, partitions] of byNode) {
			const [what, has] = partitions.length === 1 ? ['Partition', 'has'] : ['Partitions', 'have']
			this.#listener?.moved(
				partitions,
				`${what} ${partitions.join(', ')} ${has} moved: redis:${node} owns ${what === 'Partition' ? 'it' : 'them'} now`,
			)
		}
	}
}
