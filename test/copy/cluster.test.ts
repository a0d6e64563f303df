/** Copies from and to a real Redis Cluster: the numbers are those of the source, whatever is on the other side. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyCommand } from '../../src/cli/copy.ts'
import { numbersOf, opened } from '../../src/copy/opened.ts'
import { type CopyProgress, compare, copy } from '../../src/copy.ts'
import { Counter, MemoryStore } from '../../src/index.ts'
import { RedisClusterStore, RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import { slotOf } from '../../src/stores/redis/cluster/slot.ts'
import { Keys } from '../../src/stores/redis/keys.ts'
import { lanes, type Store } from '../../src/stores/store.ts'
import { lengthMs, total } from '../../src/time/granularity.ts'
import { createTracker, type TrackerName, trackerNames } from '../../src/visitors/trackers.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { keys, Place, settings } from './readings.ts'

let cluster: RedisCluster
let client: Cluster
let server: RedisServer
const databases: Redis[] = []

beforeAll(async () => {
	;[cluster, server] = await Promise.all([RedisCluster.start(), startRedis()])
	client = new Cluster(cluster.addresses)
	client.setMaxListeners(0)
	databases.push(...[0, 1, 2].map((db) => new Redis({ port: server.port, db })))
	for (const database of databases) database.setMaxListeners(0)
})

afterAll(async () => {
	for (const each of [client, ...databases]) each.disconnect()
	await Promise.all([cluster.stop(), server.stop()])
})

const inCluster = (partitions: number) => new RedisClusterStore(client, { partitions, readTimeoutMs: 20_000, writeTimeoutMs: 20_000 })
/** Of two databases. */
const ring = (partitions: number) =>
	new ShardedRedisStore({ partitions, nodes: ['a', 'b'].map((name, i) => ({ name, client: databases[i + 1]! })) })

/** Some of everything: all lanes, hostile keys, minutes of now and of long ago, one key with many visitors. */
async function filled(store: Store, tracker: TrackerName) {
	const place = new Place(store, tracker)
	const { desk, writer } = place
	const minutes = [0, lengthMs.hour, 20 * lengthMs.day].map((ago) => desk.minute(ago))
	for (const [i, key] of keys.entries())
		await writer.hit(
			...minutes.map((minute, j) => ({
				key,
				minute,
				hits: 1 + ((i + j) % 5),
				lane: lanes[(i + j) % lanes.length]!,
				visitors: ['ada', `v${i % 4}`, '\ufeffx'],
			})),
			{ key, hits: 2 },
		)
	// What a Bloom filter counts of many depends on how they came about.
	const many = tracker === 'bloom' ? 3 : 1_500
	await writer.hit({ key: keys[0]!, visitors: Array.from({ length: many }, (_, i) => `many ${i}`) })
	await writer.set(keys[1]!, 77)
	await writer.delete(keys[5]!)
	return { place, minutes, namespace: desk.namespace, now: desk.clock.now() }
}

it.each(trackerNames)('nothing changes on the way through a ring, the cluster and one Redis back into memory (%s)', async (tracker) => {
	const origin = new MemoryStore({ partitions: 2 })
	const { place, minutes, namespace, now } = await filled(origin, tracker)
	const options = { ...settings, uniques: createTracker(tracker), namespace }
	const last = new MemoryStore({ partitions: 5 })
	let from: Store = origin
	for (const to of [ring(7), inCluster(16), new RedisStore(databases[0]!, { partitions: 3 }), last]) {
		const { keys, numbers, sketches } = await copy({ ...options, from, to })
		expect([keys, numbers, sketches].every((count) => count > 0)).toBe(true)
		from = to
	}
	for (const to of [inCluster(16), last]) {
		expect(await compare({ ...options, from: origin, to })).toMatchObject({ different: 0, examples: [] })
	}
	const copied = new Place(last, tracker, namespace)
	expect(await copied.read(minutes, now)).toEqual(await place.read(minutes, now))
	await Promise.all([place.desk.close(), copied.desk.close()])
})

it.each<[string, () => [Store, Store]]>([
	['into the cluster', () => [ring(7), inCluster(5)]],
	['out of the cluster', () => [inCluster(7), ring(5)]],
	['from the cluster to itself', () => [inCluster(7), inCluster(3)]],
])('a copy %s that was interrupted is gone on with, by other stores of the same', async (_, sides) => {
	const origin = new MemoryStore()
	const { place, namespace } = await filled(origin, 'hyperloglog')
	const options = { ...settings, namespace }
	const [from, to] = sides()
	await copy({ ...options, from: origin, to: from })
	const stopping = new AbortController()
	const onProgress = ({ partitionsDone }: CopyProgress) => {
		if (partitionsDone === 4) stopping.abort(new Error('enough'))
	}
	const toNamespace = `${namespace}-copy`
	await expect(copy({ ...options, from, to, toNamespace, onProgress, signal: stopping.signal })).rejects.toThrow('enough')
	const seen: number[] = []
	const [again, target] = sides()
	const report = await copy({
		...options,
		from: again,
		to: target,
		toNamespace,
		onProgress: ({ partitionsDone }) => void seen.push(partitionsDone),
	})
	expect([report.resumed, seen[0]]).toEqual([true, 4])
	expect(await compare({ ...options, from: origin, to: target, toNamespace })).toMatchObject({ different: 0, examples: [] })
	await expect(copy({ ...options, from: origin, to: target, toNamespace })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_NOT_EMPTY' })
	await place.desk.close()
})

describe('while the cluster changes', () => {
	const uniques = false
	/** More than come in a page. */
	const KEYS = 1_300

	async function large(namespace: string): Promise<MemoryStore> {
		const memory = new MemoryStore()
		const counter = new Counter({ store: memory, namespace, uniques })
		for (let i = 0; i < KEYS; i++) await counter.hit(`/page/${i}`, { by: 1 + (i % 7) })
		await counter.close()
		await copy({ from: memory, to: inCluster(1), namespace, uniques })
		return memory
	}

	/** Copies into memory; `change` is awaited after the first page of these. */
	async function copyWhile(namespace: string, at: readonly string[], change: () => Promise<unknown>): Promise<MemoryStore> {
		const to = new MemoryStore()
		const numbers = numbersOf(namespace, { uniques })
		const changed: string[] = []
		await opened(inCluster(1), namespace, numbers, ({ transfer: source }) =>
			opened(to, namespace, numbers, async ({ transfer: target }) => {
				for await (const record of source.snapshot(0, Date.now())) {
					await target.restore([record])
					const what = record.kind === 'hits' ? record.bucket.level : record.kind
					if (!at.includes(what) || changed.includes(what)) continue
					changed.push(what)
					await change()
				}
			}),
		)
		expect(changed).toEqual(at)
		return to
	}

	it('nothing is missed of a slot that moves', async () => {
		const namespace = 'slot-moves'
		const memory = await large(namespace)
		const key = new Keys(namespace).hits(0, 'human', total)
		const to = await copyWhile(namespace, ['minute', 'day', 'trend'], async () => {
			const [source, masters] = [await cluster.masterOfKey(key), await cluster.masters()]
			await cluster.moveSlot(slotOf(key), masters.find((master) => master !== source)!, undefined, 100)
		})
		expect(await compare({ from: memory, to, namespace, uniques })).toMatchObject({ different: 0, examples: [], keys: KEYS })
	})

	it('nothing is missed when a replica takes over', async () => {
		const namespace = 'failover'
		const memory = await large(namespace)
		const key = new Keys(namespace).hits(0, 'human', total)
		const to = await copyWhile(namespace, ['minute'], async () => {
			const [replica] = await cluster.replicasOf(await cluster.masterOfKey(key))
			await cluster.failOver(replica!)
		})
		expect(await compare({ from: memory, to, namespace, uniques })).toMatchObject({ different: 0, examples: [], keys: KEYS })
	})
})

it('by hand: out of the cluster into a file, and into another namespace of it', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'tallymark-cluster-copy-'))
	const { place, namespace } = await filled(inCluster(8), 'hyperloglog')
	const out: string[] = []
	const run = (line: string) =>
		copyCommand(line.split(' '), {
			print: (text) => void out.push(text),
			complain: (text) => void out.push(text),
			progress: () => {},
			onInterrupt: () => () => {},
		})
	const nodes = `redis-cluster:${cluster.addresses
		.slice(0, 2)
		.map(({ host, port }) => `${host}:${port}`)
		.join(',')}`
	expect(await run(`--from ${nodes} --to file:${folder}/cluster.tmk.gz --namespace ${namespace}`)).toBe(0)
	expect(await run(`--from file:${folder}/cluster.tmk.gz --to ${nodes} --to-namespace ${namespace}-back --partitions 3`)).toBe(0)
	expect(out[1]).toMatch(/ to redis-cluster:.*: \d+ keys/)
	const options = { ...settings, from: inCluster(8), namespace }
	expect(await compare({ ...options, to: inCluster(3), toNamespace: `${namespace}-back` })).toMatchObject({ different: 0, examples: [] })
	await place.desk.close()
	rmSync(folder, { recursive: true, force: true })
})
