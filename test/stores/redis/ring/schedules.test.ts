/**
 * Whole schedules on real servers with append-only files: writers count all the time, while coordinators move partitions to and fro, are killed before a
 * step, and nodes lose their power. TALLYMARK_RING_RUNS has it try more of them.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { partitionOf } from '../../../../src/hash/partition.ts'
import type { MoveStep } from '../../../../src/stores/redis/ring/move.ts'
import { ShardedRedisStore } from '../../../../src/stores/redis/ring/sharded-store.ts'
import type { StoreEvent } from '../../../../src/stores/store.ts'
import { Desk } from '../../../../src/testing/contract/desk.ts'
import { sleep, until } from '../support.ts'
import { RingBench } from './support.ts'

const RUNS = Number(process.env['TALLYMARK_RING_RUNS'] ?? 2)
const NODES = 3
const PARTITIONS = 4

const killed: readonly MoveStep[] = [
	'prepare',
	'seal',
	'awaitSeal',
	'copy',
	'activate',
	'awaitActivation',
	'publish',
	'tombstone',
	'remove',
]

const event = fc.oneof(
	{
		weight: 3,
		arbitrary: fc.record({
			kind: fc.constant('move' as const),
			/** Nodes that shall own partitions, as bits. */
			to: fc.integer({ min: 1, max: 2 ** NODES - 1 }),
			killedBefore: fc.option(fc.constantFrom(...killed), { nil: undefined }),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant('crash' as const),
			node: fc.nat(NODES - 1),
			backMs: fc.constantFrom(0, 400, 950),
		}),
	},
	{ weight: 2, arbitrary: fc.record({ kind: fc.constant('pause' as const), ms: fc.integer({ min: 100, max: 2_000 }) }) },
)

/** Counts until told to stop, each hit once, whatever comes. */
async function count(desk: Desk, name: string, truth: Map<string, number>, events: StoreEvent[], stopped: () => boolean): Promise<void> {
	const writer = desk.open({ report: (event) => void events.push(event) })
	for (let i = 0; !stopped(); i++) {
		const hits = Array.from({ length: 5 }, (_, j) => ({
			key: `/${(i * 5 + j) % 40}`,
			hits: 1 + ((i + j) % 3),
			visitors: [`${name} ${i % 7}`],
		}))
		for (const batch of writer.batches(hits)) await until(async () => writer.session.apply(batch), 60_000)
		for (const { key, hits: by } of hits) truth.set(key, (truth.get(key) ?? 0) + by)
		await sleep(5)
	}
}

it(
	'no hit is lost or counted twice, and every partition has one owner',
	async () => {
		await fc.assert(
			fc.asyncProperty(fc.array(event, { minLength: 4, maxLength: 8 }), async (schedule) => {
				const bench = await RingBench.start(NODES, { partitions: PARTITIONS, fsync: 'everysec' })
				const nodes = bench.nodes.map(({ name }, i) => ({ name, client: bench.clients[i]! }))
				const desk = new Desk(
					new ShardedRedisStore({ nodes, partitions: PARTITIONS, readTimeoutMs: 1_000, writeTimeoutMs: 1_000 }),
					'hyperloglog',
					false,
				)
				const truth = new Map<string, number>()
				const events: StoreEvent[] = []
				let stopped = false
				try {
					const writers = Promise.all(['ada', 'bob'].map((name) => count(desk, name, truth, events, () => stopped)))
					await until(async () => expect(truth.size).toBeGreaterThan(0))
					const rebalance = (to: number, killedBefore: MoveStep | undefined) =>
						bench
							.rebalance(
								bench.nodes.filter((_, i) => (to & (1 << i)) !== 0),
								{
									namespace: desk.namespace,
									timeoutMs: 1_000,
									onStep: (step) => {
										if (step === killedBefore) throw new Error('killed')
									},
								},
							)
							.catch(() => {})
					const coordinators: Promise<unknown>[] = []
					for (const each of schedule) {
						if (each.kind === 'move') coordinators.push(rebalance(each.to, each.killedBefore))
						else if (each.kind === 'crash') await bench.crash(each.node, each.backMs)
						else await sleep(each.ms)
					}
					await Promise.all(coordinators)
					await until(async () => {
						const report = await bench.rebalance(bench.nodes, { namespace: desk.namespace })
						expect(report.failed).toEqual([])
					}, 60_000)
					stopped = true
					await writers

					const reader = desk.open()
					const seen = new Map(await Promise.all([...truth.keys()].map(async (key) => [key, await reader.count(key)] as const)))
					expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(truth))
					expect(await reader.all()).toBe([...truth.values()].reduce((sum, hits) => sum + hits, 0))
					expect(await reader.uniques('all')).toBe(14)
					expect(events.filter(({ type }) => type === 'rollback')).toEqual([])
					for (const partition of new Set([...truth.keys()].map((key) => partitionOf(key, PARTITIONS)))) {
						const records = await Promise.all(bench.clients.map((client) => client.get(`{${desk.namespace}:${partition}}:own`)))
						expect(records.filter((record) => record?.startsWith('A:')).length, String(records)).toBe(1)
						expect(records.filter((record) => record?.startsWith('S:')).length, String(records)).toBe(0)
					}
				} finally {
					stopped = true
					await desk.close()
					await bench.stop()
				}
			}),
			{ numRuns: RUNS, interruptAfterTimeLimit: RUNS * 60_000 },
		)
	},
	60_000 + RUNS * 90_000,
)
