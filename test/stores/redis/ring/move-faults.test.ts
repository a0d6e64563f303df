import { Redis } from 'ioredis'
import { afterEach, expect, it } from 'vitest'
import type { Command } from '../../../../src/stores/redis/client.ts'
import { Link } from '../../../../src/stores/redis/link.ts'
import { runIdOf } from '../../../../src/stores/redis/ring/durable.ts'
import type { MoveStep } from '../../../../src/stores/redis/ring/move.ts'
import type { RebalanceNode } from '../../../../src/stores/redis/ring/rebalance.ts'
import { recordOf, restoreKey } from '../../../../src/stores/redis/ring/records.ts'
import { sleep } from '../support.ts'
import { RingBench } from './support.ts'

let bench: RingBench
afterEach(() => bench.stop())

/** Does something the first time a step is about to be taken. */
function atFirst(step: MoveStep, act: () => Promise<unknown>) {
	let begun = false
	return async (each: MoveStep) => {
		if (each !== step || begun) return
		begun = true
		await act()
	}
}

it('a target that was restarted between the copy and its activation is copied to again', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.fill()
	const before = await bench.everything()
	let lost = 0
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('activate', async () => {
			// The copy is gone by half, the record that it is importing is not.
			const keys = await bench.contents(1)
			await sleep(100)
			lost = await bench.crash(1, 0, 4_000)
			expect(await bench.own(0)).toEqual(['S:2:b', 'I:2'])
			expect((await bench.contents(1)).size).toBeLessThan(keys.size)
		}),
	})
	expect(lost).toBeGreaterThanOrEqual(4_000)
	expect(report.failed).toEqual([])
	expect(await bench.contents(1)).toEqual(before)
})

it('what the target still has of an earlier stay does not join the copy', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.fill()
	await bench.finish(bench.nodes.slice(1))
	const stale = bench.keys.hits(0, 'ai', { level: 'total', start: 0 })
	const before = await bench.contents(1)
	const report = await bench.rebalance(bench.nodes.slice(0, 1), {
		// Its removal is rolled back: old keys, and the seal of that move.
		onStep: atFirst('prepare', async () => {
			await bench.clients[0]!.zadd(stale, -5, '=/old')
			await bench.clients[0]!.set(bench.keys.own(0), 'S:2:b')
		}),
	})
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
	expect(await bench.own(0)).toEqual(['A:4', 'G:4:a'])
})

it('a copy for an older move that arrives late does not join the new one', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.fill()
	const before = await bench.everything()
	const [source, target] = bench.clients
	await target!.hset(bench.keys.meta, await source!.hgetall(bench.keys.meta))
	// That one had begun to copy when it was given up, by the source only.
	await source!.set(bench.keys.own(0), bench.active(3))
	const stale = bench.keys.hits(0, 'ai', { level: 'total', start: 0 })
	const older = recordOf({ state: 'importing', epoch: 2 })
	const dump = await source!.dumpBuffer(bench.keys.hits(0, 'human', { level: 'total', start: 0 }))
	const link = bench.nodes[1]!.link
	const send: Link['send'] = async (commands, timeoutMs) => {
		const replies = await link.send(commands, timeoutMs)
		if (commands.some(({ args }) => String(args[0]).includes('UNLINK')))
			await link.send([restoreKey(bench.keys.own(0), older, stale, 0, dump)], timeoutMs)
		return replies
	}
	const late = new Proxy(link, { get: (of, name) => (name === 'send' ? send : Reflect.get(of, name)) })
	const report = await bench.rebalance([{ name: 'b', link: late }], {
		onStep: atFirst('prepare', () => target!.set(bench.keys.own(0), 'I:2')),
	})
	expect(report).toMatchObject({ moved: 1, failed: [] })
	expect(await bench.own(0)).toEqual(['G:4:b', 'A:4'])
	expect(await bench.everything()).toEqual(before)
})

/** The same node, `meddle` told of everything that is sent to it, and when that was answered. */
function watched(node: RebalanceNode, meddle: (commands: readonly Command[]) => Promise<Link | undefined>): RebalanceNode {
	let { link } = node
	const send: Link['send'] = async (commands, timeoutMs) => {
		const replies = await link.send(commands, timeoutMs)
		link = (await meddle(commands)) ?? link
		return replies
	}
	return { ...node, link: new Proxy(link, { get: (of, name) => (name === 'send' ? send : Reflect.get(of, name)) }) }
}

/** Does something when some pages of a scan have been answered. */
function amidPages(act: () => Promise<Link | undefined>) {
	let pages = 0
	return async (commands: readonly Command[]) => {
		const isPage = commands.some(({ name, args }) => name === 'zscan' && String(args[0]).endsWith(':hits'))
		return isPage && ++pages === 3 ? act() : undefined
	}
}

/** A partition with visitors of more keys than fit on a few pages. */
async function fillPages(): Promise<void> {
	const writer = bench.desk.open({ uniquesPer: ['total'] })
	await writer.hit(...Array.from({ length: 2_000 }, (_, i) => ({ key: `/page/${i}`, visitors: ['ada'] })))
	await bench.place()
}

it('a source that is restarted between two pages of what is copied is read again from the first', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await fillPages()
	const before = await bench.everything()
	let restarted = false
	const source = watched(
		bench.nodes[0]!,
		amidPages(async () => {
			restarted = true
			await bench.crash(0)
			return undefined
		}),
	)
	const report = await bench.rebalance(bench.nodes.slice(1), { from: [source, bench.nodes[1]!] })
	expect(restarted).toBe(true)
	expect(report).toMatchObject({ moved: 1, failed: [] })
	expect(await bench.contents(1)).toEqual(before)
	expect(await bench.contents(0)).toEqual(new Map())
})

it('so is a source whose replica takes over between two pages', async () => {
	bench = await RingBench.start(2, { partitions: 1, replica: true })
	await fillPages()
	const before = await bench.everything()
	let promoted: Redis | undefined
	const source = watched(
		bench.nodes[0]!,
		amidPages(async () => {
			await bench.servers[0]!.detachReplica()
			await bench.servers[0]!.failOver()
			await bench.servers[0]!.addReplica()
			promoted = new Redis(bench.servers[0]!.port)
			return new Link('a', () => promoted!)
		}),
	)
	try {
		const report = await bench.rebalance(bench.nodes.slice(1), { from: [source, bench.nodes[1]!], replicasToWaitFor: 1, timeoutMs: 2_000 })
		expect(report).toMatchObject({ moved: 1, failed: [] })
		expect(await bench.contents(1)).toEqual(before)
	} finally {
		promoted?.disconnect()
	}
})

it('a source that is restarted while its copy is removed keeps nothing of it', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await fillPages()
	const before = await bench.everything()
	let removing = false
	let restarted = false
	const restart = amidPages(async () => {
		restarted = true
		await bench.crash(0)
		return undefined
	})
	const source = watched(bench.nodes[0]!, async (commands) => (removing ? restart(commands) : undefined))
	await bench.rebalance(bench.nodes.slice(1), {
		from: [source, bench.nodes[1]!],
		onStep: (step) => {
			removing ||= step === 'remove'
		},
	})
	expect(restarted).toBe(true)
	expect(await bench.contents(0)).toEqual(new Map())
	expect(await bench.contents(1)).toEqual(before)
})

it('a removal at the target that is rolled back before it imports is made again', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.fill()
	await bench.finish(bench.nodes.slice(1))
	const before = await bench.contents(1)
	const stale = bench.keys.hits(0, 'ai', { level: 'total', start: 0 })
	const target = bench.clients[0]!
	let rolledBack = false
	const meddle = async (commands: readonly Command[]) => {
		if (rolledBack || !commands.some(({ args }) => String(args[0]).includes('UNLINK') && args.includes(stale))) return undefined
		rolledBack = true
		await bench.crash(0)
		await target.zadd(stale, -5, '=/old')
		return undefined
	}
	const report = await bench.rebalance([watched(bench.nodes[0]!, meddle)], {
		onStep: atFirst('prepare', () => target.zadd(stale, -5, '=/old')),
	})
	expect(rolledBack).toBe(true)
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
})

it('a seal that the copy relies on outlives a loss of power', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	await sleep(1_500)
	const before = await bench.everything()
	let seen: (string | null)[] = []
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('copy', async () => {
			await bench.crash(0, 1_000)
			seen = await bench.own(0)
		}),
	})
	expect(seen).toEqual(['S:2:b', 'I:2'])
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
})

it('a seal that was rolled back is made again, with what was counted meanwhile', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	await sleep(1_500)
	const key = bench.keys.hits(0, 'human', { level: 'total', start: 0 })
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('awaitSeal', async () => {
			await bench.crash(0, 500, 1)
			expect(await bench.own(0)).toEqual(['A:1', 'I:2'])
			await bench.clients[0]!.zadd(key, -77, '=/meanwhile')
		}),
	})
	expect(report.failed).toEqual([])
	expect(await bench.clients[1]!.zscore(key, '=/meanwhile')).toBe('-77')
	expect(await bench.own(0)).toEqual(['G:2:b', 'A:2'])
})

it('the source is given up when the target cannot lose the partition any more', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	const before = await bench.everything()
	let seen: (string | null)[] = []
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('publish', async () => {
			await bench.crash(1, 1_000)
			seen = await bench.own(0)
		}),
	})
	expect(seen).toEqual(['S:2:b', 'A:2'])
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
})

it('an activation that was rolled back is made again', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	await sleep(1_500)
	const before = await bench.everything()
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('awaitActivation', async () => {
			await bench.crash(1, 0, 10)
			expect(await bench.own(0)).toEqual(['S:2:b', 'I:2'])
		}),
	})
	expect(report.failed).toEqual([])
	expect(await bench.everything()).toEqual(before)
	expect(await bench.own(0)).toEqual(['G:2:b', 'A:2'])
})

it('a source whose last move could be rolled back is waited for, before its copy elsewhere is removed', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	await bench.finish(bench.nodes.slice(1))
	// As if the coordinator had died right after the activation, a moment ago.
	const before = await bench.contents(1)
	await bench.finish(bench.nodes.slice(0, 1))
	await bench.clients[0]!.set(bench.keys.own(0), bench.active(4))
	let seen: (string | null)[] = []
	await bench.rebalance(bench.nodes.slice(1), {
		onStep: atFirst('seal', async () => {
			await bench.crash(0, 1_000)
			seen = await bench.own(0)
		}),
	})
	expect(seen[0]).toBe('A:4')
	expect(await bench.everything()).toEqual(before)
})

it('a target that takes nothing is given up: the source is open again, and the move can be made later', async () => {
	bench = await RingBench.start(2, { partitions: 2 })
	await bench.fill()
	const before = await bench.everything()
	const target = bench.clients[1]!
	let attempts = 0
	const report = await bench.rebalance(bench.nodes.slice(1), {
		onStep: async (step) => {
			if (step === 'copy') await target.config('SET', 'maxmemory', '1')
			// It takes a while until what was removed there makes room.
			if (step === 'abortTarget' && ++attempts === 6) await target.config('SET', 'maxmemory', '0')
		},
	})
	expect(report.moved).toBe(0)
	expect(report.failed.map(({ error }) => error)).toEqual(
		Array.from({ length: 2 }, () =>
			expect.objectContaining({ code: 'ERR_TALLYMARK_STORE_REFUSED', message: expect.stringMatching(/^b .*OOM/) }),
		),
	)
	expect(await bench.contents(0)).toEqual(before)
	expect(await bench.contents(1)).toEqual(new Map())
	expect(await bench.own(0)).toEqual(['A:3', 'G:3:a'])
	expect((await bench.rebalance(bench.nodes.slice(1))).failed).toEqual([])
	expect(await bench.contents(1)).toEqual(before)
	expect(await bench.own(0)).toEqual(['G:4:b', 'A:4'])
})

it('a move that was being given up is given up by the next coordinator, and then made', async () => {
	bench = await RingBench.start(2, { partitions: 1 })
	await bench.fill()
	const before = await bench.everything()
	await bench.clients[0]!.set(bench.keys.own(0), 'S:2:b')
	await bench.clients[1]!.set(bench.keys.own(0), 'G:3:a')
	const steps: MoveStep[] = []
	const report = await bench.rebalance(bench.nodes.slice(1), { onStep: (step) => void steps.push(step) })
	expect(steps[0]).toBe('abortSource')
	expect(report.failed).toEqual([])
	expect(await bench.own(0)).toEqual(['G:4:b', 'A:4'])
	expect(await bench.everything()).toEqual(before)
})

it('a refusal that an abort relies on outlives a loss of power, and so does the opening of the source', async () => {
	bench = await RingBench.start(2, { partitions: 1, fsync: 'everysec' })
	await bench.fill()
	let seen: (string | null)[] = []
	let crashed = false
	await bench.rebalance(bench.nodes.slice(1), {
		onStep: async (step) => {
			await bench.clients[1]!.config('SET', 'maxmemory', step === 'copy' ? '1' : '0')
			if (step !== 'abortSource' || crashed) return
			crashed = true
			await bench.crash(1, 1_000)
			seen = await bench.own(0)
		},
	})
	expect(seen).toEqual(['S:2:b', 'G:3:a'])
	await bench.crash(0, 1_000)
	expect(await bench.own(0)).toEqual(['A:3', 'G:3:a'])
	expect(await bench.clients[1]!.hget(bench.keys.placement, '0')).toBe('3:a')
})

it('a node that is down fails its own moves, by name, and no others', async () => {
	bench = await RingBench.start(3, { partitions: 6 })
	await bench.fill()
	const before = await bench.everything()
	await bench.servers[1]!.kill()
	const report = await bench.rebalance(bench.nodes)
	expect(report.moved).toBe(2)
	expect(report.failed.map(({ move, error }) => [move.to, error.code, error.message.split(' ')[0]])).toEqual(
		Array.from({ length: 2 }, () => ['b', 'ERR_TALLYMARK_STORE_UNAVAILABLE', 'b']),
	)
	await bench.servers[1]!.restart()
	await bench.clients[1]!.ping()
	expect((await bench.finish(bench.nodes)).moved).toBe(2)
	expect(await bench.everything()).toEqual(before)
})

it('a node that has lost everything takes part again', async () => {
	bench = await RingBench.start(2, { partitions: 2 })
	await bench.fill()
	await bench.finish(bench.nodes)
	const [kept, lost] = [await bench.contents(0), bench.clients[1]!]
	await lost.flushall()
	expect((await bench.finish(bench.nodes.slice(0, 1))).moved).toBe(1)
	expect(await bench.everything()).toEqual(kept)
	expect(await bench.owners()).toEqual(['a', 'a'])
})

it.each(['awaitSeal', 'copy'] as const)(
	'a source that loses everything before: %s, keeps the partition, empty, until it is moved',
	async (step) => {
		bench = await RingBench.start(2, { partitions: 1 })
		await bench.fill()
		const report = await bench.rebalance(bench.nodes.slice(1), { onStep: atFirst(step, () => bench.clients[0]!.flushall()) })
		expect(report).toMatchObject({ moved: 1, failed: [] })
		expect(await bench.owners()).toEqual(['b'])
		expect(await bench.own(0)).toEqual([expect.stringMatching(/^G:[246]:b$/), expect.stringMatching(/^A:[46]$/)])
		expect(await bench.everything()).toEqual(new Map())
	},
)

it('what the source has lost is not decided upon while a node does not answer that may have got it', async () => {
	bench = await RingBench.start(3, { partitions: 1 })
	await bench.fill()
	await bench.rebalance(bench.nodes.slice(0, 2))
	await bench.clients[0]!.flushall()
	await bench.clients[1]!.set(bench.keys.own(0), 'I:2')
	await bench.servers[2]!.kill()
	const report = await bench.rebalance(bench.nodes.slice(1, 2))
	expect(report.failed.map(({ error }) => error)).toEqual([
		expect.objectContaining({
			code: 'ERR_TALLYMARK_STORE_UNAVAILABLE',
			message: expect.stringMatching(/^a has lost partition 0, and not every node/),
		}),
	])
	expect([await bench.clients[0]!.get(bench.keys.own(0)), await bench.clients[1]!.get(bench.keys.own(0))]).toEqual([null, 'I:2'])
	await bench.servers[2]!.restart()
	await bench.clients[2]!.ping()
	await bench.finish(bench.nodes.slice(1, 2))
	expect(await bench.owners()).toEqual(['b'])
	expect(await bench.everything()).toEqual(new Map())
})

it('waits for as many replicas as asked, and says when there are fewer', async () => {
	bench = await RingBench.start(2, { partitions: 1, replica: true })
	await bench.fill()
	const before = await bench.everything()
	const report = await bench.rebalance(bench.nodes.slice(1), { replicasToWaitFor: 2, timeoutMs: 1_000 })
	expect(report.failed[0]?.error).toMatchObject({
		code: 'ERR_TALLYMARK_STORE_UNAVAILABLE',
		message: expect.stringMatching(/a has 1 .* 2 are/),
	})
	let seen: unknown
	const again = await bench.rebalance(bench.nodes.slice(1), {
		replicasToWaitFor: 1,
		onStep: atFirst('publish', async () => {
			const runId = await runIdOf(bench.nodes[1]!, 1_000)
			await bench.servers[1]!.failOver()
			seen = await bench.servers[1]!.command('get', bench.keys.own(0))
			expect(runId).not.toBe('')
		}),
	})
	expect(seen).toBe(bench.active(2))
	expect(again.failed.length).toBeLessThanOrEqual(1)
	expect(before.size).toBeGreaterThan(0)
})

it.each([
	['of another version', 'cannot be read'],
	['damaged', 'cannot be read'],
	['gone', 'no settings'],
])('numbers whose settings are %s stay where they are, and the report says so', async (kind, message) => {
	bench = await RingBench.start(2, { partitions: 4 })
	await bench.fill()
	const before = await bench.everything()
	const [source] = bench.clients
	const { meta } = bench.keys
	const settings = (await source!.hget(meta, 'settings'))!
	if (kind === 'gone') await source!.hdel(meta, 'settings')
	else await source!.hset(meta, 'settings', kind === 'damaged' ? 'nonsense' : JSON.stringify({ ...JSON.parse(settings), schema: 2 }))
	const report = await bench.rebalance(bench.nodes.slice(1))
	expect(report.moved).toBe(0)
	expect(report.failed.map(({ error }) => error)).toEqual(
		Array.from({ length: 4 }, () =>
			expect.objectContaining({ code: 'ERR_TALLYMARK_STORE_REFUSED', message: expect.stringContaining(message) }),
		),
	)
	expect(await bench.owners()).toEqual(['a', 'a', 'a', 'a'])
	// Nobody is held up: it is open there, as before.
	for (const partition of [0, 1, 2, 3]) expect((await bench.own(partition))[0]).toMatch(/^A:/)
	await source!.hset(meta, 'settings', settings)
	expect((await bench.finish(bench.nodes.slice(1))).moved).toBe(4)
	expect(await bench.everything()).toEqual(before)
})
