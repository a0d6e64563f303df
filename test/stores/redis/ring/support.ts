/** A ring of real servers whose first node has everything, and what is on them. */
import { Redis } from 'ioredis'
import { RedisStore } from '../../../../src/redis.ts'
import { Keys } from '../../../../src/stores/redis/keys.ts'
import { Link } from '../../../../src/stores/redis/link.ts'
import { ensurePlacement, firstPlacement } from '../../../../src/stores/redis/ring/ensure-placement.ts'
import { readPlacement } from '../../../../src/stores/redis/ring/placement.ts'
import type { RebalanceReport } from '../../../../src/stores/redis/ring/progress.ts'
import { type RebalanceNode, type RebalanceOptions, rebalance } from '../../../../src/stores/redis/ring/rebalance.ts'
import { Desk, type Writer } from '../../../../src/testing/contract/desk.ts'
import { type Fsync, ServerControl } from '../../../chaos/server-control.ts'

export const minute = 60_000
const first = [{ name: 'a', weight: 1 }]

export class RingBench {
	readonly servers: readonly ServerControl[]
	readonly clients: readonly Redis[]
	readonly nodes: readonly RebalanceNode[]
	readonly partitions: number
	readonly desk: Desk
	readonly keys: Keys

	private constructor(servers: readonly ServerControl[], partitions: number) {
		this.servers = servers
		this.partitions = partitions
		this.clients = servers.map(({ port }) => new Redis({ port, retryStrategy: () => 20, maxRetriesPerRequest: 0 }))
		for (const client of this.clients) client.on('error', () => {})
		this.nodes = this.clients.map((client, i) => ({ name: 'abcd'[i]!, link: new Link('abcd'[i]!, () => client) }))
		this.desk = new Desk(new RedisStore(this.clients[0]!, { partitions }), 'hyperloglog', false)
		this.keys = new Keys(this.desk.namespace)
	}

	static async start(nodes: number, { partitions = 4, fsync = 'always' as Fsync, replica = false } = {}): Promise<RingBench> {
		const servers = await Promise.all(Array.from({ length: nodes }, () => ServerControl.start({ fsync, replica })))
		const bench = new RingBench(servers, partitions)
		await Promise.all(bench.clients.map((client) => client.ping()))
		return bench
	}

	/** Lets the first node own everything. */
	async place(): Promise<void> {
		await ensurePlacement(this.nodes.slice(0, 1), this.keys, this.partitions, first, 2_000)
	}

	/** The same, with hits of every kind in every partition. */
	async fill(): Promise<Writer> {
		const writer = this.desk.open({ uniquesPer: ['total', 'day', 'minute'] })
		const now = Math.floor(Date.now() / minute) * minute
		for (let i = 0; i < 6 * this.partitions; i++) {
			const key = ['/page', '__proto__', '{a}b', 'a:b*', 'é\n'][i % 5] + String(i)
			for (const lane of ['human', 'bot'] as const) {
				await writer.hit(
					{ key, hits: i + 1, lane, visitors: ['ada', `bob ${i}`] },
					{ key, hits: 2, lane, minute: now - 3 * 24 * 60 * minute },
				)
			}
		}
		await writer.hit({ key: '/many', visitors: Array.from({ length: 3_000 }, (_, i) => `visitor ${i}`) })
		await writer.delete('/page0')
		for (let i = 0; i < 2 * this.partitions; i++) {
			await writer.session.claim({ kind: 'id', partition: i % this.partitions, name: String(i).padStart(16, '0'), ttlMs: 3_600_000 })
		}
		await this.place()
		return writer
	}

	rebalance(to: readonly RebalanceNode[], options: Partial<RebalanceOptions> = {}): Promise<RebalanceReport> {
		return rebalance({ namespace: this.desk.namespace, from: this.nodes, to, timeoutMs: 10_000, ...options })
	}

	/** Until nothing fails. */
	async finish(to: readonly RebalanceNode[]): Promise<RebalanceReport> {
		for (let attempt = 0; ; attempt++) {
			const report = await this.rebalance(to)
			if (report.failed.length === 0) return report
			if (attempt === 5) throw report.failed[0]!.error
		}
	}

	/** The record of a partition at each node; of an active one without the ring. */
	async own(partition: number): Promise<(string | null)[]> {
		const records = await Promise.all(this.clients.map((client) => client.get(this.keys.own(partition))))
		return records.map((record) => record?.replace(/^(A:\d+):.*/s, '$1') ?? null)
	}

	/** What the owner of a partition has on record. */
	active(epoch: number): string {
		return `A:${epoch}:${firstPlacement(this.partitions, first).id}`
	}

	/** By partition, from the nodes that answer. */
	async owners(): Promise<string[]> {
		const { placement } = await readPlacement(this.nodes, this.keys, 2_000)
		return placement!.owners.map(({ node }) => node)
	}

	/** Everything that a node has of partitions but the records: what it is, its content, and when it expires. */
	async contents(node: number): Promise<Map<string, string>> {
		const client = this.clients[node]!
		const contents = new Map<string, string>()
		for (const key of (await client.keys('{*')).sort()) {
			if (key.endsWith(':own') || key.includes(':tmp:')) continue
			contents.set(key, JSON.stringify([await contentOf(client, key), await client.pexpiretime(key)]))
		}
		return contents
	}

	/** Of all nodes together; throws when two of them have the same key. */
	async everything(): Promise<Map<string, string>> {
		const all = new Map<string, string>()
		for (const node of this.nodes.keys()) {
			for (const [key, content] of await this.contents(node)) {
				if (all.has(key)) throw new Error(`${key} is on two nodes`)
				all.set(key, content)
			}
		}
		return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)))
	}

	/** kill -9, and back with a file that is torn `bytes` before where it was `backMs` ago. Resolves when the client is connected again. */
	async crash(node: number, backMs = 0, bytes = 0): Promise<number> {
		const server = this.servers[node]!
		const client = this.clients[node]!
		await server.kill()
		const lost = backMs + bytes > 0 ? await server.tear(backMs, bytes) : 0
		const back = new Promise((resolve) => client.once('ready', resolve))
		await server.restart()
		await back
		return lost
	}

	async stop(): Promise<void> {
		await this.desk.close()
		for (const client of this.clients) client.disconnect()
		await Promise.all(this.servers.map((server) => server.stop()))
	}
}

async function contentOf(client: Redis, key: string): Promise<unknown> {
	switch (await client.type(key)) {
		case 'zset':
			return client.zrange(key, '0', '-1', 'WITHSCORES')
		case 'hash':
			return Object.entries(await client.hgetall(key)).sort(([a], [b]) => (a < b ? -1 : 1))
		default:
			return (await client.getBuffer(key))?.toString('base64')
	}
}
