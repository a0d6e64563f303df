/**
 * Writers of all kinds on one ring, and what they have counted: two that see all nodes, one whose way to each node can be cut, one that falls asleep with
 * something on its way, and one that was told of the first two nodes only and must find the third.
 */
import { expect } from 'vitest'
import { partitionOf } from '../../../../src/hash/partition.ts'
import { ensurePlacement } from '../../../../src/stores/redis/ring/ensure-placement.ts'
import type { RebalanceNode } from '../../../../src/stores/redis/ring/rebalance.ts'
import { type ShardedNode, ShardedRedisStore } from '../../../../src/stores/redis/ring/sharded-store.ts'
import type { StoreEvent } from '../../../../src/stores/store.ts'
import { Desk, type Writer } from '../../../../src/testing/contract/desk.ts'
import { TcpProxy } from '../../../chaos/tcp-proxy.ts'
import { sleep, until } from '../support.ts'
import { RingBench } from './support.ts'

const NODES = 3
const PARTITIONS = 4
const TIMEOUT_MS = 1_000

export class Company {
	readonly bench: RingBench
	/** With the addresses by which clients find those that they were not told of. */
	readonly nodes: readonly RebalanceNode[]
	readonly namespace: string
	readonly #truth = new Map<string, number>()
	readonly #visitors = new Set<string>()
	readonly #events: StoreEvent[] = []
	readonly #desks: Desk[] = []
	readonly #writing: Promise<void>[] = []
	/** From one writer alone to each node. */
	readonly #cut: readonly TcpProxy[]
	readonly #drowsy: readonly TcpProxy[]
	readonly #crashing: Promise<unknown>[] = []
	#asleep = false
	#stopped = false

	private constructor(bench: RingBench, cut: readonly TcpProxy[], drowsy: readonly TcpProxy[]) {
		this.bench = bench
		this.#cut = cut
		this.#drowsy = drowsy
		this.nodes = bench.nodes.map((node, i) => ({ ...node, address: urlOf(bench.servers[i]!) }))
		this.namespace = bench.desk.namespace
	}

	/** Resolves when everybody has counted. The ring has two nodes at first. */
	static async start(fsync: 'everysec' | 'always'): Promise<Company> {
		const bench = await RingBench.start(NODES, { partitions: PARTITIONS, fsync })
		const proxies = () => Promise.all(bench.servers.map(({ port }) => TcpProxy.start(port)))
		const company = new Company(bench, await proxies(), await proxies())
		const { nodes } = company
		const members = nodes.slice(0, 2).map(({ name, address }) => ({ name, weight: 1, address }))
		await until(() => ensurePlacement(nodes.slice(0, 2), bench.keys, PARTITIONS, members, TIMEOUT_MS))
		const through = (servers: readonly { readonly port: number }[]) => nodes.map(({ name }, i) => ({ name, url: urlOf(servers[i]!) }))
		const all = nodes.map(({ name }, i) => ({ name, client: bench.clients[i]! }))
		const started = [
			company.#count('ada', all),
			company.#count('bob', all),
			company.#count('carl', through(company.#cut)),
			company.#count('dora', through(company.#drowsy), () => company.#asleep),
			company.#count('eve', through(bench.servers).slice(0, 2)),
		]
		await Promise.all(started)
		return company
	}

	/** Once at a time: see {@link RingBench.crash}. */
	async crash(node: number, backMs: number): Promise<void> {
		const crashing = (this.#crashing[node] ?? Promise.resolve()).then(() => this.bench.crash(node, backMs))
		this.#crashing[node] = crashing.catch(() => {})
		await crashing
	}

	/** Carl does not get through to a node for a while. */
	async cutOff(node: number, how: 'refuse' | 'swallow' | 'stall', forMs: number): Promise<void> {
		const proxy = this.#cut[node]!
		proxy[how]()
		await sleep(forMs)
		await proxy.heal()
	}

	/** Dora sleeps: what she has sent arrives when she wakes, at whoever it was for. */
	fallAsleep(): void {
		this.#asleep = true
		for (const proxy of this.#drowsy) proxy.stall()
	}

	wake(): void {
		this.#asleep = false
		for (const proxy of this.#drowsy) proxy.resume()
	}

	/** Everybody stops when what they have begun is stored. */
	async stop(): Promise<void> {
		this.wake()
		this.#stopped = true
		await Promise.all(this.#writing)
	}

	/** Throws unless every hit is there once, every visitor, and every partition at one node, and nobody was told of a loss. */
	async check(): Promise<void> {
		const reader = this.#desk(this.nodes.map(({ name }, i) => ({ name, client: this.bench.clients[i]! }))).open(this.#settings())
		const keys = [...this.#truth.keys()]
		const seen = await Promise.all(keys.map(async (key) => [key, await reader.count(key)] as const))
		expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(this.#truth))
		expect(await reader.all()).toBe([...this.#truth.values()].reduce((sum, hits) => sum + hits, 0))
		expect(await reader.uniques('all')).toBe(reader.estimate(this.#visitors))
		expect(this.#events.filter(({ type }) => type === 'rollback')).toEqual([])
		for (const partition of new Set(keys.map((key) => partitionOf(key, PARTITIONS)))) {
			const records = await this.bench.own(partition)
			expect(records.filter((record) => record?.startsWith('A:')).length, String(records)).toBe(1)
			expect(records.filter((record) => record?.startsWith('S:')).length, String(records)).toBe(0)
		}
	}

	async end(): Promise<void> {
		this.#stopped = true
		await Promise.all([...this.#cut, ...this.#drowsy].map((proxy) => proxy.heal()))
		await Promise.all(this.#desks.map((desk) => desk.close()))
		await Promise.all([...this.#cut, ...this.#drowsy].map((proxy) => proxy.close()))
		await this.bench.stop()
	}

	/** Begins to count, each hit once, whatever comes; resolves when the first hits are stored. */
	async #count(name: string, nodes: readonly ShardedNode[], pauses = () => false): Promise<void> {
		const writer = this.#desk(nodes).open(this.#settings())
		await this.#round(writer, name, 0)
		const goOn = async () => {
			for (let i = 1; !this.#stopped; i++) {
				await sleep(5)
				if (!pauses()) await this.#round(writer, name, i)
			}
		}
		this.#writing.push(goOn())
	}

	async #round(writer: Writer, name: string, i: number): Promise<void> {
		const visitor = `${name} ${i % 7}`
		const hits = Array.from({ length: 5 }, (_, j) => ({ key: `/${(i * 5 + j) % 40}`, hits: 1 + ((i + j) % 3), visitors: [visitor] }))
		await Promise.all(writer.batches(hits).map((batch) => until(async () => writer.session.apply(batch), 60_000)))
		for (const { key, hits: by } of hits) this.#truth.set(key, (this.#truth.get(key) ?? 0) + by)
		this.#visitors.add(visitor)
	}

	#desk(nodes: readonly ShardedNode[]): Desk {
		const store = new ShardedRedisStore({ nodes, partitions: PARTITIONS, readTimeoutMs: TIMEOUT_MS, writeTimeoutMs: TIMEOUT_MS })
		const desk = new Desk(store, 'hyperloglog', false)
		this.#desks.push(desk)
		return desk
	}

	#settings() {
		return { namespace: this.namespace, report: (event: StoreEvent) => void this.#events.push(event) }
	}
}

function urlOf({ port }: { readonly port: number }): string {
	return `redis://127.0.0.1:${port}`
}
