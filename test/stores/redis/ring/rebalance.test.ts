import { afterEach, expect, it } from 'vitest'
import { planMoves } from '../../../../src/hash/placement-plan.ts'
import { Ring } from '../../../../src/hash/ring.ts'
import { readPlacement } from '../../../../src/stores/redis/ring/placement.ts'
import type { RebalanceProgress } from '../../../../src/stores/redis/ring/progress.ts'
import { RingBench } from './support.ts'

let bench: RingBench
afterEach(() => bench.stop())

const placement = async () => (await readPlacement(bench.nodes, bench.keys, 2_000)).placement!

it('moves as few partitions as balance needs, when a node joins and when one leaves', async () => {
	bench = await RingBench.start(3, { partitions: 16 })
	await bench.fill()
	const before = await bench.everything()
	for (const count of [2, 3, 3, 2, 1]) {
		const to = bench.nodes.slice(0, count)
		const current = await bench.owners()
		const expected = planMoves(current, new Ring(to))
		const report = await bench.rebalance(to)
		expect(report).toMatchObject({ plan: { moves: expected, begun: [] }, moved: expected.length, failed: [], stopped: false })
		const owners = await bench.owners()
		for (const [partition, owner] of owners.entries()) {
			expect(owner).toBe(expected.find((move) => move.partition === partition)?.to ?? current[partition])
		}
		expect((await placement()).nodes.map(({ name }) => name)).toEqual(to.map(({ name }) => name))
		expect(await bench.everything()).toEqual(before)
	}
})

it('a dry run says what would be done, and changes nothing at all', async () => {
	bench = await RingBench.start(2, { partitions: 8 })
	await bench.fill()
	const dumps = () => Promise.all(bench.clients.map((client) => client.keys('*')))
	const before = [await placement(), await bench.everything(), await dumps()]
	const report = await bench.rebalance(bench.nodes, { dryRun: true })
	expect(report.plan).toEqual({
		partitions: 8,
		nodes: [
			{ name: 'a', before: 8, after: 4 },
			{ name: 'b', before: 0, after: 4 },
		],
		begun: [],
		moves: planMoves(Array(8).fill('a'), new Ring(bench.nodes)),
	})
	expect(report.moved).toBe(0)
	expect([await placement(), await bench.everything(), await dumps()]).toEqual(before)
})

it('a weight holds until another is given', async () => {
	bench = await RingBench.start(2, { partitions: 12 })
	await bench.place()
	const count = async (name: string) => (await bench.owners()).filter((owner) => owner === name).length
	await bench.rebalance([bench.nodes[0]!, { ...bench.nodes[1]!, weight: 3 }])
	expect(await count('b')).toBe(9)
	expect((await bench.rebalance(bench.nodes)).plan.moves).toEqual([])
	await bench.rebalance([bench.nodes[0]!, { ...bench.nodes[1]!, weight: 1 }])
	expect(await count('b')).toBe(6)
})

it('tells how far it has come, and ends with everything done', async () => {
	bench = await RingBench.start(2, { partitions: 4 })
	await bench.fill()
	const seen: RebalanceProgress[] = []
	const report = await bench.rebalance(bench.nodes.slice(1), { parallel: 1, onProgress: (progress) => void seen.push(progress) })
	expect(seen[0]).toMatchObject({ total: 4, moved: 0, failed: 0, keys: 0, bytes: 0, leftMs: undefined, doing: undefined })
	expect(seen.at(-1)).toMatchObject({ total: 4, moved: 4, keys: report.keys, bytes: report.bytes, leftMs: 0 })
	expect(report.bytes).toBeGreaterThan(10_000)
	expect(report.longestHoldMs).toBeGreaterThan(0)
	const grows = (numbers: readonly number[]) => expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
	grows(seen.map(({ moved }) => moved))
	grows(seen.map(({ keys }) => keys))
	grows(seen.map(({ elapsedMs }) => elapsedMs))
	for (const { moved, leftMs } of seen) expect(leftMs === undefined).toBe(moved === 0)
	// One after the other: no move is prepared before the one before it is through.
	const prepared = seen.filter(({ doing }, i) => doing?.step === 'prepare' && seen[i - 1]?.doing !== doing)
	expect(prepared.map(({ moved }) => moved)).toEqual([0, 1, 2, 3])
})

it('told to stop, begins nothing more and leaves nothing sealed', async () => {
	bench = await RingBench.start(2, { partitions: 6 })
	await bench.fill()
	const before = await bench.everything()
	const stop = new AbortController()
	const report = await bench.rebalance(bench.nodes.slice(1), {
		parallel: 2,
		signal: stop.signal,
		onStep: (step) => {
			if (step === 'copy') stop.abort()
		},
	})
	expect(report).toMatchObject({ stopped: true, failed: [] })
	expect(report.moved).toBeGreaterThanOrEqual(1)
	expect(report.moved).toBeLessThanOrEqual(2)
	for (let partition = 0; partition < 6; partition++)
		expect((await bench.own(partition)).filter((own) => own?.startsWith('A:')).length).toBe(1)
	expect(await bench.everything()).toEqual(before)
	const none = new AbortController()
	none.abort()
	expect(await bench.rebalance(bench.nodes.slice(1), { signal: none.signal })).toMatchObject({ moved: 0, stopped: true })
	expect((await bench.rebalance(bench.nodes.slice(1))).stopped).toBe(false)
	expect(await bench.contents(1)).toEqual(before)
})

it('removes what earlier moves have left behind, wherever they were cut short', async () => {
	bench = await RingBench.start(3, { partitions: 2 })
	await bench.fill()
	await bench.finish(bench.nodes.slice(1, 2))
	const before = await bench.everything()
	const stale = (partition: number) => bench.keys.hits(partition, 'human', { level: 'total', start: 0 })
	// A removal cut short, a tombstone that was rolled back, and an import for a move that went elsewhere.
	await bench.clients[0]!.zadd(stale(0), -1, '=/old')
	await bench.clients[0]!.pfadd(bench.keys.visitors(0, 'human', { level: 'total', start: 0 }, '=/old'), 'ada')
	await bench.clients[0]!.set(bench.keys.own(1), 'S:2:b')
	await bench.clients[0]!.zadd(stale(1), -1, '=/old')
	await bench.clients[2]!.set(bench.keys.own(1), 'I:2')
	await bench.clients[2]!.set(bench.keys.meta, '')
	await bench.clients[2]!.del(bench.keys.meta)
	await bench.clients[2]!.hset(bench.keys.meta, await bench.clients[1]!.hgetall(bench.keys.meta))
	await bench.clients[2]!.zadd(stale(1), -1, '=/old')
	// Only sealed as far as the records tell: the owner of the same epoch is there, so it is finished.
	const report = await bench.rebalance(bench.nodes.slice(1, 2))
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
	expect(await bench.own(1)).toEqual(['G:2:b', 'A:2', 'G:2:b'])
})

it('needs all nodes that own partitions, and a placement', async () => {
	bench = await RingBench.start(3, { partitions: 4 })
	await expect(bench.rebalance(bench.nodes)).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_SETUP',
		message: expect.stringContaining('a, b, c'),
	})
	await bench.fill()
	await bench.finish(bench.nodes.slice(0, 2))
	await expect(bench.rebalance(bench.nodes.slice(2), { from: bench.nodes.slice(0, 1) })).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_OPTION',
		message: expect.stringContaining('b among them'),
	})
	for (const [options, message] of [
		[{ parallel: 0 }, 'parallel'],
		[{ timeoutMs: 1 }, 'timeoutMs'],
		[{ replicasToWaitFor: 11 }, 'replicasToWaitFor'],
	] as const) {
		await expect(bench.rebalance(bench.nodes, options)).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_OPTION',
			message: expect.stringContaining(message),
		})
	}
	await bench.servers[2]!.kill()
	await bench.clients[0]!.del(bench.keys.placement)
	await bench.clients[1]!.del(bench.keys.placement)
	await expect(bench.rebalance(bench.nodes)).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_STORE_UNAVAILABLE',
		message: expect.stringContaining('c does not'),
	})
})

it('an owner by the record of another ring is nothing to build on', async () => {
	bench = await RingBench.start(2, { partitions: 2 })
	await bench.fill()
	await bench.clients[0]!.set(bench.keys.own(1), 'A:1:0123456789abcdef')
	await expect(bench.rebalance(bench.nodes)).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_MISMATCH',
		message: expect.stringContaining('Partition 1 is on record at a as one of another ring'),
	})
})

it('two owners of one partition are nothing to build on', async () => {
	bench = await RingBench.start(2, { partitions: 2 })
	await bench.fill()
	await bench.clients[1]!.set(bench.keys.own(1), bench.active(1))
	await expect(bench.rebalance(bench.nodes)).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_MISMATCH',
		message: expect.stringContaining('Partition 1'),
	})
})
