import { afterEach, describe, expect, it } from 'vitest'
import type { MoveStep } from '../../../../src/stores/redis/ring/move.ts'
import { RingBench } from './support.ts'

let bench: RingBench
afterEach(() => bench.stop())

/** Of a move that goes well. */
const steps: readonly MoveStep[] = ['prepare', 'seal', 'awaitSeal', 'copy', 'activate', 'awaitActivation', 'publish', 'tombstone', 'remove']

/** A coordinator that is killed before a step does no more, and says nothing. */
class Killed extends Error {}

function killedBefore(step: MoveStep) {
	return (each: MoveStep) => {
		if (each === step) throw new Killed(step)
	}
}

it('moves everything of a partition, with its deadlines, and leaves nothing but a record', async () => {
	bench = await RingBench.start(2)
	await bench.fill()
	const before = await bench.everything()
	expect([...before.keys()].map((key) => key.replace(/^[^}]*}(:bot)?:(hits|trend|uniq|claims|deletions).*/s, '$2')).sort()).toEqual(
		expect.arrayContaining(['hits', 'trend', 'uniq', 'claims', 'deletions']),
	)
	const report = await bench.rebalance(bench.nodes.slice(1))
	expect(report).toMatchObject({ moved: 4, failed: [], stopped: false, keys: before.size })
	expect(await bench.contents(1)).toEqual(before)
	expect(await bench.contents(0)).toEqual(new Map())
	expect(await bench.own(2)).toEqual(['G:2:b', 'A:2'])
	expect(await bench.owners()).toEqual(['b', 'b', 'b', 'b'])
	expect(await bench.clients[1]!.zrange(bench.keys.writers, '0', '-1')).toEqual(
		await bench.clients[0]!.zrange(bench.keys.writers, '0', '-1'),
	)
	expect(await bench.clients[1]!.hgetall(bench.keys.meta)).toEqual(await bench.clients[0]!.hgetall(bench.keys.meta))
})

it('brings no more at once than a few megabytes', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.place()
	const writer = bench.desk.open()
	await writer.hit({ key: '/a' })
	const day = 86_400_000
	const today = Math.floor(Date.now() / day) * day
	const days = [1, 2, 3, 4].map((back) => bench.keys.hits(0, 'human', { level: 'day', start: today - back * day }))
	for (const key of days) await bench.clients[0]!.eval("for i = 1, 30000 do redis.call('ZADD', KEYS[1], -i, '=/' .. i) end", 1, key)
	const copied: number[] = []
	const report = await bench.rebalance(bench.nodes.slice(1), { onProgress: ({ bytes }) => void copied.push(bytes) })
	expect(report.failed).toEqual([])
	expect(report.bytes).toBeGreaterThan(1_000_000)
	expect(Math.max(...copied.map((bytes, i) => bytes - (copied[i - 1] ?? 0)))).toBeLessThan(report.bytes / 2)
	expect(await Promise.all(days.map((key) => bench.clients[1]!.zcard(key)))).toEqual(days.map(() => 30_000))
})

describe.each(steps)('a coordinator that is killed before it does: %s', (step) => {
	it('is followed by one that finishes', async () => {
		bench = await RingBench.start(2)
		await bench.fill()
		const before = await bench.everything()
		const killed = await bench.rebalance(bench.nodes.slice(1), { onStep: killedBefore(step) })
		expect(killed.failed.map(({ error }) => error.cause)).toEqual(Array.from({ length: 4 }, () => expect.any(Killed)))
		const report = await bench.rebalance(bench.nodes.slice(1))
		expect(report.failed).toEqual([])
		expect(report.plan.begun.length).toBe(['prepare', 'seal', 'remove'].includes(step) ? 0 : 4)
		expect(await bench.contents(1)).toEqual(before)
		expect(await bench.contents(0)).toEqual(new Map())
		expect(await bench.owners()).toEqual(['b', 'b', 'b', 'b'])
	})

	it('and wakes up late, after another one has moved the partition on and back, changes nothing', async () => {
		bench = await RingBench.start(2)
		await bench.fill()
		let wake = () => {}
		const asleep = new Promise<void>((resolve) => {
			wake = resolve
		})
		let arrived = () => {}
		const there = new Promise<void>((resolve) => {
			arrived = resolve
		})
		const late = bench.rebalance(bench.nodes.slice(1), {
			onStep: (each, { partition }) => {
				if (each !== step || partition !== 0) return
				arrived()
				return asleep
			},
		})
		await there
		const before = await bench.everything().catch(() => undefined)
		await bench.finish(bench.nodes.slice(1))
		await bench.finish(bench.nodes.slice(0, 1))
		const after = await bench.everything()
		if (before !== undefined) expect(after).toEqual(before)
		wake()
		await late
		expect(await bench.own(0)).toEqual(['A:4', 'G:4:a'])
		expect(await bench.everything()).toEqual(after)
	})
})

it('several coordinators at once do together what one does', async () => {
	bench = await RingBench.start(3)
	await bench.fill()
	const before = await bench.everything()
	const reports = await Promise.all([bench.rebalance(bench.nodes), bench.rebalance(bench.nodes), bench.rebalance(bench.nodes)])
	expect(reports.flatMap(({ failed }) => failed)).toEqual([])
	expect(await bench.everything()).toEqual(before)
	const owners = await bench.owners()
	expect(['a', 'b', 'c'].map((name) => owners.filter((owner) => owner === name).length).sort()).toEqual([1, 1, 2])
	for (const [partition, owner] of owners.entries()) {
		const records = await bench.own(partition)
		expect(records.map((record, i) => (record?.startsWith('A:') === true ? bench.nodes[i]!.name : '')).join('')).toBe(owner)
	}
})

it('coordinators with other aims never make two owners, nor lose anything', async () => {
	bench = await RingBench.start(3)
	await bench.fill()
	const before = await bench.everything()
	await Promise.all([bench.rebalance(bench.nodes.slice(1, 2)), bench.rebalance(bench.nodes.slice(2))])
	await bench.finish(bench.nodes.slice(1))
	expect(await bench.everything()).toEqual(before)
	expect(new Set(await bench.owners())).toEqual(new Set(['b', 'c']))
})
