/**
 * The consistent hash ring: which node should own which partition. It proposes, and no more: what holds is the placement that is stored with the data,
 * and placement-plan.ts leads from that one to the next.
 *
 * Every node stands on a circle of 2^32 places at `virtualNodes * weight` points (rounded, at least one), each the hash of "name#number". A partition
 * stands on it too, and prefers the nodes in the order in which one meets them going up from there. So a node that joins takes partitions from the
 * others in proportion, and what it does not take stays where it was.
 *
 * Alone, a ring is off by some 10 % with 160 points a node, and by far more where a node has but a few partitions. So {@link Ring.place} bounds the
 * loads. With `fair = partitions * points of the node / points of all`, a node holds
 *
 *     at most   `most`  = the larger of 1.1 * fair rounded down and fair rounded up,
 *     at least  `least` = the smaller of 0.9 * fair rounded up and fair rounded down.
 *
 * (A bound from above alone would let a node that joins twenty others stand empty.) Both are computed in whole numbers, for a weight counts as its points.
 *
 * The placement follows from the names, the weights, the number of points and the number of partitions, in whatever order and process they are given.
 * Two points at one place count in the order of their nodes' names, by UTF-16 code units.
 *
 * Sources: Karger and others, "Consistent hashing and random trees" (STOC 1997); the bound: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with
 * bounded loads" (SODA 2018). Unlike there, all first choices go before any second one: with few partitions a join moves fewer of them (64 on 32
 * nodes: 6.5 % instead of 8.8). Letting the nodes choose too, until both sides are content, moved twice as many.
 */

import { expected } from '../errors.ts'
import { hashed, hashText } from './murmur64.ts'

/** A node as it is configured. */
export interface RingNode {
	/** What the placement records: it must stay the same for as long as the node holds data. */
	readonly name: string
	/** Its share relative to the others', above 0 and up to 100; counted in points, so in steps of 1 / `virtualNodes`. @default 1 */
	readonly weight?: number | undefined
}

export interface RingOptions {
	/** Points on the circle for a node of weight 1, from 1 to 1,000: more spread the load more evenly, and cost memory. @default 160 */
	readonly virtualNodes?: number | undefined
}

/** How many of the partitions a node should hold. */
export interface Share {
	readonly name: string
	/** Its points on the circle: what its weight counts as. */
	readonly points: number
	/** Its exact share, seldom a whole number. */
	readonly fair: number
	readonly least: number
	readonly most: number
}

const MAX_NODES = 1_000
const MAX_WEIGHT = 100
const MAX_VIRTUAL_NODES = 1_000
const MAX_PARTITIONS = 2 ** 20

/** A point is sorted as place * NODE_SPAN + node: by place, then by name, exact in a double. */
const NODE_SPAN = 2 ** 16

export class Ring {
	/** The names in order: a node is its index in here. */
	readonly #names: readonly string[]
	/** The points of each node. */
	readonly #counts: readonly number[]
	readonly #total: number
	/** Ascending; the node of `#places[i]` is `#nodes[i]`. */
	readonly #places: Uint32Array
	readonly #nodes: Uint16Array

	constructor(nodes: readonly RingNode[], { virtualNodes = 160 }: RingOptions = {}) {
		if (!Number.isInteger(virtualNodes) || virtualNodes < 1 || virtualNodes > MAX_VIRTUAL_NODES)
			throw expected('ERR_TALLYMARK_OPTION', 'virtualNodes', `a whole number from 1 to ${MAX_VIRTUAL_NODES}`, virtualNodes)
		const weights = weightsByName(nodes)
		this.#names = [...weights.keys()].sort()
		this.#counts = this.#names.map((name) => Math.max(1, Math.round(virtualNodes * weights.get(name)!)))
		this.#total = this.#counts.reduce((sum, count) => sum + count, 0)

		const points = new Float64Array(this.#total)
		let next = 0
		this.#names.forEach((name, node) => {
			for (let i = 0; i < this.#counts[node]!; i++) points[next++] = placeOf(`${name}#${i}`) * NODE_SPAN + node
		})
		points.sort()
		this.#places = Uint32Array.from(points, (point) => Math.floor(point / NODE_SPAN))
		this.#nodes = Uint16Array.from(points, (point) => point % NODE_SPAN)
	}

	/** The nodes' names, sorted. */
	get names(): readonly string[] {
		return this.#names
	}

	/** The node that `partition` prefers, whatever else that node holds. */
	owner(partition: number): string {
		return this.#names[this.#nodes[this.#firstPoint(partition)]!]!
	}

	/** All nodes, in the order in which `partition` prefers them. */
	preference(partition: number): string[] {
		const met = new Set<number>()
		const points = this.#nodes.length
		for (let i = 0, at = this.#firstPoint(partition); i < points && met.size < this.#names.length; i++) {
			met.add(this.#nodes[at]!)
			at = at + 1 === points ? 0 : at + 1
		}
		return [...met].map((node) => this.#names[node]!)
	}

	/** What each node should hold of that many partitions, by name in order. */
	shares(partitions: number): Share[] {
		if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS)
			throw expected('ERR_TALLYMARK_OPTION', 'partitions', `a whole number from 1 to ${MAX_PARTITIONS}`, partitions)
		return this.#names.map((name, node) => {
			const points = this.#counts[node]!
			const product = partitions * points
			return {
				name,
				points,
				fair: product / this.#total,
				most: Math.max(Math.ceil(product / this.#total), Math.floor((11 * product) / (10 * this.#total))),
				least: Math.min(Math.floor(product / this.#total), Math.ceil((9 * product) / (10 * this.#total))),
			}
		})
	}

	/** The owner of each partition, 0 .. `partitions` - 1, when nothing is placed yet: every load within its {@link Share}. */
	place(partitions: number): string[] {
		const seats = new Seats(this.shares(partitions), partitions)
		const owners = new Array<string>(partitions)
		this.offer(owners.keys(), (partition, name) => {
			if (!seats.takes(name)) return false
			seats.take(name)
			owners[partition] = name
			return true
		})
		return owners
	}

	/**
	 * Offers each of `partitions` to nodes until `accept` says true: first every partition to the node that it likes best, then those left over to
	 * their second choice, and so on.
	 */
	offer(partitions: Iterable<number>, accept: (partition: number, name: string) => boolean): void {
		let waiting = Array.from(partitions, (partition) => ({ partition, choices: this.preference(partition) }))
		for (let rank = 0; rank < this.#names.length; rank++)
			waiting = waiting.filter(({ partition, choices }) => !accept(partition, choices[rank]!))
	}

	/** The first point at or above the partition's place, the lowest of all when there is none. */
	#firstPoint(partition: number): number {
		const place = placeOf(`partition ${partition}`)
		let low = 0
		let high = this.#places.length
		while (low < high) {
			const middle = (low + high) >>> 1
			if (this.#places[middle]! < place) low = middle + 1
			else high = middle
		}
		return low === this.#places.length ? 0 : low
	}
}

/**
 * The loads while partitions are being handed out. A node has room up to its `most`; but once only as many partitions are `waiting` as nodes lack to
 * their `least`, only those nodes have room. So in the end every load is within its share.
 */
export class Seats {
	readonly #shares: ReadonlyMap<string, Share>
	readonly #loads: Map<string, number>
	#waiting: number
	#lacking = 0

	/** `loads` are those that nodes hold already, none above its `most`; with `waiting` they make up all the partitions. */
	constructor(shares: readonly Share[], waiting: number, loads: ReadonlyMap<string, number> = new Map()) {
		this.#shares = new Map(shares.map((share) => [share.name, share]))
		this.#loads = new Map(shares.map(({ name }) => [name, loads.get(name) ?? 0]))
		this.#waiting = waiting
		for (const { name, least } of shares) this.#lacking += Math.max(0, least - this.#loads.get(name)!)
	}

	/** Whether the node has room for one of those waiting. */
	takes(name: string): boolean {
		const { least, most } = this.#shares.get(name)!
		return this.#loads.get(name)! < (this.#waiting > this.#lacking ? most : least)
	}

	/** Whether the node holds less than its exact share. */
	isShort(name: string): boolean {
		return this.#loads.get(name)! < this.#shares.get(name)!.fair
	}

	/** Seats one of those waiting at a node that {@link takes} it. */
	take(name: string): void {
		const load = this.#loads.get(name)!
		if (load < this.#shares.get(name)!.least) this.#lacking--
		this.#loads.set(name, load + 1)
		this.#waiting--
	}
}

function weightsByName(nodes: readonly RingNode[]): Map<string, number> {
	if (!Array.isArray(nodes) || nodes.length === 0 || nodes.length > MAX_NODES)
		throw expected('ERR_TALLYMARK_OPTION', 'nodes', `an array of 1 to ${MAX_NODES} nodes`, Array.isArray(nodes) ? nodes.length : nodes)
	const weights = new Map<string, number>()
	nodes.forEach((node: RingNode, i) => {
		const { name, weight = 1 } = node ?? {}
		if (typeof name !== 'string' || name === '')
			throw expected('ERR_TALLYMARK_OPTION', `nodes[${i}].name`, 'a string that is not empty', name)
		if (weights.has(name)) throw expected('ERR_TALLYMARK_OPTION', `nodes[${i}].name`, 'a name that no other node has', name)
		if (typeof weight !== 'number' || !(weight > 0 && weight <= MAX_WEIGHT))
			throw expected('ERR_TALLYMARK_OPTION', `nodes[${i}].weight`, `a number above 0 and up to ${MAX_WEIGHT}`, weight)
		weights.set(name, weight)
	})
	return weights
}

/** Where `text` stands on the circle: the high half of its hash. */
function placeOf(text: string): number {
	hashText(text)
	return hashed[1]! >>> 0
}
