/**
 * What a process knows of a ring: which nodes there are, and who owns which partition. That is where to look first, and no more: a node takes only what
 * comes for the record it has (own.ts). So the map may be wrong without harm; whoever is refused looks for the owner, from the record of the node that
 * refused.
 *
 * A later epoch is believed. An earlier one is too, of a node that has it active: what was followed may have been rolled back (the rule `followsBack` of
 * test/model), and numbers begin anew when all nodes have lost everything. Nothing else makes the map go back, or a copy of the placement that is behind
 * would send its readers to and fro.
 */
import { systemClock } from '../../../clock.ts'
import { MismatchError } from '../../../errors.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Keys } from '../keys.ts'
import type { RouteListener } from '../route.ts'
import { ensurePlacement, readOwns } from './ensure-placement.ts'
import { type Own, parseOwn } from './own.ts'
import { type Node, type Owner, type Placement, readPlacement } from './placement.ts'
import type { RingNodes } from './ring-nodes.ts'

export interface RingMapOptions {
	readonly nodes: RingNodes
	readonly keys: Keys
	readonly partitions: number
	readonly timeoutMs: number
}

/** How long after a look at all nodes the next one is made at the earliest, when one does not answer or has lost its record. */
const LOOK_AGAIN_MS = 500
/** What is known of the nodes is looked up again after this when somebody asks for them. */
const NODES_MS = 5_000
/** Of the time that an answer may take, what one node that hangs may take from the others. */
const PATIENCE = 1 / 4
/** Between two looks at a partition that is on its way: longer each time. */
const PAUSE_MS = 50
const LONGEST_PAUSE_MS = 400

export class RingMap {
	readonly #options: RingMapOptions
	readonly #patienceMs: number
	#owners: Owner[] | undefined
	/** Of the ring. */
	#id: string | undefined
	/** Of the nodes that the placement lists. */
	#version = 0
	#names: ReadonlySet<string> = new Set()
	/** Nodes that have connected since they were last asked: each may be another one, or have been away while partitions moved. */
	readonly #strangers = new Set<string>()
	readonly #meetings = new Map<string, Promise<Failure | undefined>>()
	#looking: Promise<void> | undefined
	#lookedAt = Number.NEGATIVE_INFINITY
	#listener: RouteListener | undefined
	/** By the nodes that are watched, how to stop that. */
	readonly #watched = new Map<Node, () => void>()

	constructor(options: RingMapOptions) {
		this.#options = options
		this.#patienceMs = options.timeoutMs * PATIENCE
	}

	/** undefined before anything is known. */
	ownerOf(partition: number): Owner | undefined {
		return this.#owners?.[partition]
	}

	/** Of the ring; undefined before anything is known. */
	get id(): string | undefined {
		return this.#id
	}

	/** Those of the ring, by the placement; before it is known, those that were configured. What moves out of the ring is noticed a while later. */
	nodes(): readonly Node[] {
		const { nodes } = this.#options
		const owners = this.#owners
		if (owners === undefined) return nodes.all
		if (performance.now() - this.#lookedAt > NODES_MS) this.look().catch(() => {})
		return nodes.all.filter(({ name }) => this.#names.has(name) || owners.some(({ node }) => node === name))
	}

	listen(listener: RouteListener): () => void {
		this.#listener = listener
		this.#watch()
		return () => {
			this.#listener = undefined
			for (const stop of this.#watched.values()) stop()
		}
	}

	/** Asks all nodes, once for all who want to know. One that hangs is not waited for, when another one knows the placement. */
	look(): Promise<void> {
		this.#looking ??= this.#look().finally(() => {
			this.#looking = undefined
		})
		return this.#looking
	}

	/** The same, unless it was done just now. */
	async lookAround(): Promise<void> {
		if (this.#looking === undefined && performance.now() - this.#lookedAt < LOOK_AGAIN_MS) return
		await this.look()
	}

	/**
	 * Makes sure that a node that has connected is of this ring; undefined when that is known. Resolves with a failure when it does not answer, rejects when
	 * it is of another one.
	 */
	meet(name: string): Promise<Failure | undefined> | undefined {
		const node = this.#strangers.has(name) ? this.#options.nodes.find(name) : undefined
		if (node === undefined) return undefined
		let meeting = this.#meetings.get(name)
		if (meeting === undefined) {
			meeting = this.#meet(node).finally(() => this.#meetings.delete(name))
			this.#meetings.set(name, meeting)
		}
		return meeting
	}

	/**
	 * Looks for the owner, from the record that was found at the last one; while the partition is on its way it waits, until `end` at the latest. Answers
	 * whether there is an owner to ask.
	 */
	async find(partition: number, asked: Owner, found: Own | undefined, end: number): Promise<boolean> {
		const { keys, nodes, timeoutMs } = this.#options
		for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
			if (await this.#follow(partition, asked, found)) return true
			const isOnItsWay = found?.state === 'sealed' || found?.state === 'importing'
			if (!isOnItsWay || performance.now() + pauseMs >= end) return false
			await new Promise<void>((resolve) => systemClock.setTimer(resolve, pauseMs))
			const node = nodes.find(asked.node)
			if (node === undefined) return false
			const [reply] = await node.link.send([command('get', keys.own(partition))], timeoutMs)
			if (reply instanceof Failure) return false
			found = parseOwn(reply)
		}
	}

	async #look(): Promise<void> {
		const { nodes, keys, partitions, timeoutMs } = this.#options
		const onAnswer = ({ name }: Node) => this.#strangers.delete(name)
		try {
			const reading = await ensurePlacement(nodes.all, keys, partitions, nodes.members, timeoutMs, {
				patienceMs: this.#patienceMs,
				onAnswer,
			})
			const { placement, failed } = reading
			if (this.#id !== undefined && placement.id !== this.#id && failed.length > 0)
				throw new MismatchError(
					`The nodes that answer are of the ring ${placement.id}, this counter is of the ring ${this.#id}, and ${failed[0]!.node.name} does not answer`,
				)
			const first = this.#owners === undefined
			this.#learn(placement, failed.length === 0)
			if (first) this.#compare(placement)
		} catch (error) {
			// One of them is of another ring: each is asked again which it is of.
			if (error instanceof MismatchError) for (const { name } of nodes.all) this.#strangers.add(name)
			throw error
		} finally {
			this.#lookedAt = performance.now()
		}
	}

	async #meet(node: Node): Promise<Failure | undefined> {
		const { keys, timeoutMs } = this.#options
		const { placement, failed } = await readPlacement([node], keys, timeoutMs)
		if (failed.length > 0) return failed[0]!.failure
		if (placement?.id === this.#id && placement !== undefined) {
			this.#strangers.delete(node.name)
			this.#learn(placement, false)
			return undefined
		}
		// It has lost everything, or is of another ring. A look that was under way may have asked it before.
		for (let looks = 0; looks < 2 && this.#strangers.has(node.name); looks++) await this.look()
		return undefined
	}

	/** `isComplete`: every node has answered, and there is no later one. */
	#learn({ id, version, nodes, owners }: Placement, isComplete: boolean): void {
		this.#options.nodes.learn(nodes)
		this.#watch()
		this.#id = id
		if (version >= this.#version || isComplete) {
			this.#version = version
			this.#names = new Set(nodes.map(({ name }) => name))
		}
		if (this.#owners === undefined) {
			this.#owners = [...owners]
			return
		}
		const known = this.#owners
		this.#take(new Map([...owners.entries()].filter(([partition, { epoch }]) => epoch > known[partition]!.epoch)))
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

	/** Each node once: another counter of the store may have been told of it first. */
	#watch(): void {
		if (this.#listener === undefined) return
		for (const node of this.#options.nodes.all) {
			if (this.#watched.has(node)) continue
			const stop = node.link.onReady((concerns) => {
				this.#strangers.add(node.name)
				this.#listener?.reconnected(node.link, concerns)
			})
			this.#watched.set(node, stop)
		}
	}

	/** Answers whether the owner is known, from what the record at `asked` says. */
	async #follow(partition: number, asked: Owner, own: Own | undefined): Promise<boolean> {
		// Somebody else has found it meanwhile.
		if (this.#owners![partition] !== asked) return true
		if (this.#isOurs(own)) return this.#assign(partition, { node: asked.node, epoch: own.epoch })
		if (own !== undefined && 'target' in own) {
			const isNews = own.epoch > asked.epoch
			const target = this.#options.nodes.find(own.target)
			if (target !== undefined && own.state === 'gone' && isNews) return this.#assign(partition, { node: own.target, epoch: own.epoch })
			// Sealed: the target may have it already. Gone, and no news: what was followed instead was rolled back.
			const there = target === undefined ? undefined : await this.#recordAt(target, partition)
			if (this.#isOurs(there) && there.epoch >= own.epoch) return this.#assign(partition, { node: own.target, epoch: there.epoch })
			if (target !== undefined && own.state === 'sealed' && isNews) return false
		}
		try {
			await this.lookAround()
			return this.#owners![partition] !== asked || (await this.#seek(partition))
		} catch (error) {
			if (error instanceof MismatchError) throw error
			return false
		}
	}

	/** Who has it active, when every node of the ring says whether it has, and one does. */
	async #seek(partition: number): Promise<boolean> {
		const { keys } = this.#options
		const nodes = this.nodes()
		const records = await Promise.all(nodes.map((node) => readOwns(node, keys, [partition], this.#patienceMs)))
		if (records.includes(undefined)) return false
		const owners = nodes.flatMap(({ name }, i): Owner[] => {
			const own = records[i]![0]
			return this.#isOurs(own) ? [{ node: name, epoch: own.epoch }] : []
		})
		return owners.length === 1 && this.#assign(partition, owners[0]!)
	}

	/** Whether a node has the partition as a node of this ring. */
	#isOurs(own: Own | undefined): own is Own & { readonly state: 'active' } {
		return own?.state === 'active' && own.ring === this.#id
	}

	async #recordAt({ link }: Node, partition: number): Promise<Own | undefined> {
		const [reply] = await link.send([command('get', this.#options.keys.own(partition))], this.#options.timeoutMs)
		return parseOwn(reply)
	}

	#assign(partition: number, owner: Owner): true {
		const known = this.#owners![partition]!
		if (known.node === owner.node && known.epoch === owner.epoch) return true
		this.#watch()
		this.#take(new Map([[partition, owner]]))
		return true
	}

	/** Takes in who owns partitions now, and tells it. */
	#take(news: ReadonlyMap<number, Owner>): void {
		/** By the node that they have moved to; '' for those that are where they were. */
		const moved = new Map<string, number[]>()
		for (const [partition, owner] of news) {
			const to = owner.node === this.#owners![partition]!.node ? '' : owner.node
			this.#owners![partition] = owner
			moved.set(to, [...(moved.get(to) ?? []), partition])
		}
		for (const [node, partitions] of moved) {
			const [what, has, it] = partitions.length === 1 ? ['Partition', 'has', 'it'] : ['Partitions', 'have', 'them']
			const message = node === '' ? '' : `${what} ${partitions.join(', ')} ${has} moved: redis:${node} owns ${it} now`
			this.#listener?.moved(partitions, message)
		}
	}
}
