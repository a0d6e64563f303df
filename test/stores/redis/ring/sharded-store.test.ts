import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import { Counter } from '../../../../src/index.ts'
import { ShardedRedisStore, type ShardedRedisStoreOptions } from '../../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../../support/redis-server.ts'
import { until } from '../support.ts'

const persistent = ['--appendonly', 'yes', '--appendfsync', 'always']
const pages = Array.from({ length: 200 }, (_, i) => `/page/${i}`)

const settings = {
	writer: 'f00d',
	clock: systemClock,
	tracker: undefined,
	uniquesPer: [],
	retention: { minute: 60_000, hour: 3_600_000, day: 86_400_000 },
	trendHalfLifeMs: 3_600_000,
	report: () => {},
} as const

describe('a ring of servers', () => {
	let dir: string
	let servers: RedisServer[]
	let counters: Counter[]
	beforeEach(async () => {
		dir = mkdtempSync(join(tmpdir(), 'tallymark-ring-'))
		servers = []
		await Promise.all([start(0), start(1), start(2)])
		counters = []
	})
	afterEach(async () => {
		await Promise.all(counters.map((counter) => counter.close({ timeoutMs: 1_000 })))
		await Promise.all(servers.map((server) => server.stop()))
		rmSync(dir, { recursive: true, force: true })
	})

	/** Starts a server, or one that was stopped, with what it had. */
	const start = async (i: number, ...args: string[]) => {
		const home = join(dir, 'abcd'[i]!)
		mkdirSync(home, { recursive: true })
		const port = servers[i]?.port
		servers[i] = await startRedis({ dir: home, args: [...persistent, ...args], ...(port !== undefined && { port }) })
	}

	const nodes = (...which: number[]) => which.map((i) => ({ name: 'abcd'[i]!, url: servers[i]!.url }))
	const ring = (which: number[], options: Partial<ShardedRedisStoreOptions> = {}) =>
		new ShardedRedisStore({ nodes: nodes(...which), partitions: 32, readTimeoutMs: 500, writeTimeoutMs: 1_000, ...options })
	const open = (store: ShardedRedisStore, options: object = {}) => {
		const counter = new Counter({ store, batch: { maxWaitMs: 20 }, cache: false, ...options })
		counters.push(counter)
		return counter
	}
	/** The records of the partitions, by node. */
	const records = async () => {
		const found = { a: [] as string[], b: [] as string[], c: [] as string[], d: [] as string[] }
		for (const [i, { port }] of servers.entries()) {
			const redis = new Redis(port, { lazyConnect: true, retryStrategy: () => null })
			redis.on('error', () => {})
			found['abcd'[i] as 'a'] = await redis
				.connect()
				.then(async () => {
					const keys = await redis.keys('{tm:*}:own')
					return keys.length === 0 ? [] : ((await redis.mget(keys)) as string[])
				})
				.catch(() => [])
			redis.disconnect()
		}
		return found
	}
	const active = (of: readonly string[]) => of.filter((record) => record.startsWith('A:')).length
	const hitAll = (counter: Counter, visitor: string) => Promise.all(pages.map((key) => counter.hit(key, { visitor })))

	it('counts together from several processes, spread over all servers, and names the one that answers', async () => {
		const [one, two] = [open(ring([0, 1, 2])), open(ring([2, 0, 1]))]
		await Promise.all([hitAll(one, 'ada'), hitAll(two, 'bob')])
		await Promise.all([one.flush(), two.flush()])
		expect(await one.all.count()).toBe(400)
		expect((await two.all.uniques()).value).toBe(2)
		expect((await one.top({ limit: 200 })).every(({ hits }) => hits === 2)).toBe(true)
		expect((await one.list({ limit: 1_000 })).keys.length).toBe(200)
		const served = new Set(await Promise.all(pages.map(async (key) => (await one.stats(key)).servedBy)))
		expect([...served].sort()).toEqual(['redis:a', 'redis:b', 'redis:c'])
		const { a, b, c } = await records()
		const loads = [a, b, c].map(active)
		expect(loads.reduce((sum, load) => sum + load)).toBe(32)
		for (const load of loads) expect(load).toBeGreaterThanOrEqual(9)
		expect((await one.health()).nodes.map(({ name, status }) => `${name} ${status}`).sort()).toEqual([
			'redis:a up',
			'redis:b up',
			'redis:c up',
		])
	})

	it('one server down: its hits wait, the others are stored; what it has is read stale or fails, and it is named; back again, all is stored once', async () => {
		const counter = open(ring([0, 1, 2]), { cache: { ttlMs: 1, staleMs: 600_000 } })
		await hitAll(counter, 'ada')
		await counter.flush()
		const before = new Map(await Promise.all(pages.map(async (key) => [key, await counter.stats(key)] as const)))
		await servers[1]!.stop()
		await hitAll(counter, 'bob')
		const theirs = pages.filter((key) => before.get(key)!.servedBy === 'redis:b')
		const others = pages.filter((key) => before.get(key)!.servedBy !== 'redis:b')
		const reader = open(ring([0, 1, 2]))
		await until(async () => expect((await Promise.all(others.map((key) => reader.count(key)))).every((hits) => hits === 2)).toBe(true))
		await expect(reader.count(theirs[0]!)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		const stale = await counter.stats(theirs[0]!)
		expect(stale).toMatchObject({ stale: true, hits: 2 })
		const health = await counter.health()
		expect(health.nodes.find(({ name }) => name === 'redis:b')).toMatchObject({ status: 'down' })
		expect(health.pendingHits).toBe(theirs.length)
		await start(1)
		await until(() => counter.flush())
		await until(async () => expect(await reader.all.count()).toBe(400))
	})

	it('a server joins while counting: few partitions move, counters with the old list go on and say so, nothing is lost or doubled', async () => {
		const old = open(ring([0, 1, 2]))
		const messages: string[] = []
		old.on('topology', ({ message }) => messages.push(message))
		await hitAll(old, 'ada')
		await old.flush()
		await start(3)
		const wide = ring([0, 1, 2, 3])
		const fresh = open(wide)
		const notices: string[] = []
		fresh.on('topology', ({ message }) => notices.push(message))
		await hitAll(fresh, 'bob')
		await fresh.flush()
		expect(notices).toEqual([expect.stringMatching(/^The ring has the nodes a, b, c; this counter was given a, b, c, d,/)])
		expect(active((await records()).d)).toBe(0)

		let counting = true
		let hits = 400
		const count = async (counter: Counter) => {
			while (counting) {
				await counter.hit(pages[hits % 200]!, { visitor: `visitor ${hits % 50}` })
				hits++
				if (hits % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
			}
		}
		const busy = [count(old), count(fresh)]
		const report = await wide.rebalance()
		counting = false
		await Promise.all(busy)
		expect(report).toMatchObject({ failed: [], stopped: false })
		expect(report.moved).toBe(report.plan.moves.length)
		expect(report.moved).toBe(8)
		await until(() => Promise.all([old.flush(), fresh.flush()]))
		expect(await old.all.count()).toBe(hits)
		expect(await fresh.all.count()).toBe(hits)
		expect((await old.all.uniques()).value).toBe((await fresh.all.uniques()).value)
		expect(Math.abs((await old.all.uniques()).value - 52)).toBeLessThanOrEqual(2)
		const sums = await Promise.all(pages.map((key) => old.count(key)))
		expect(sums.reduce((sum, each) => sum + each)).toBe(hits)
		expect(active((await records()).d)).toBe(8)
		expect(messages.some((message) => message.includes('redis:d owns'))).toBe(true)
		const served = new Set(await Promise.all(pages.map(async (key) => (await old.stats(key)).servedBy)))
		expect(served).toContain('redis:d')
	}, 60_000)

	it('a server leaves: who was given it only finds the others, and who is given the others only has everything', async () => {
		const old = open(ring([0, 1, 2]))
		await hitAll(old, 'ada')
		await old.flush()
		const report = await ring([0, 1]).rebalance()
		expect(report.failed).toEqual([])
		expect(active((await records()).c)).toBe(0)
		await servers[2]!.stop()
		await hitAll(old, 'bob')
		await until(() => old.flush())
		const reader = open(ring([1]))
		expect(await reader.all.count()).toBe(400)
		expect((await reader.all.uniques()).value).toBe(2)
	}, 60_000)

	it('partitions move, however short the time is that a batch may take', async () => {
		const counter = open(ring([0, 1]))
		await hitAll(counter, 'ada')
		await counter.flush()
		const report = await ring([1], { writeTimeoutMs: 10 }).rebalance()
		expect(report.failed.map(({ error }) => error.message)).toEqual([])
		expect(await open(ring([1])).all.count()).toBe(200)
	}, 60_000)

	it('a client that slept through two moves of a partition counts at its owner', async () => {
		const sleeper = open(ring([0, 1, 2]))
		await hitAll(sleeper, 'ada')
		await sleeper.flush()
		await ring([0, 1]).rebalance()
		await ring([0, 1, 2]).rebalance()
		await hitAll(sleeper, 'bob')
		await until(() => sleeper.flush())
		expect(await open(ring([0, 1, 2])).all.count()).toBe(400)
		for (const key of pages) expect(await sleeper.count(key)).toBe(2)
	}, 60_000)

	it('a server that has lost everything gets its records again, and what others still have of its hits', async () => {
		const counter = open(ring([0, 1, 2]))
		const lost: number[] = []
		counter.on('rollback', ({ hits }) => lost.push(hits))
		await hitAll(counter, 'ada')
		await counter.flush()
		const before = active((await records()).b)
		await servers[1]!.stop()
		rmSync(join(dir, 'b'), { recursive: true })
		await start(1)
		await until(async () => {
			await counter.flush()
			expect(await counter.all.count()).toBe(200)
		})
		expect(active((await records()).b)).toBe(before)
		expect(lost).toEqual([])
		const reader = open(ring([0, 1, 2]))
		expect(await reader.all.count()).toBe(200)
	}, 60_000)

	it('nodes of two rings are refused, and so is a ring of other partitions', async () => {
		const counter = open(ring([0, 1]))
		await counter.hit('/a')
		await counter.flush()
		const other = open(new ShardedRedisStore({ nodes: [{ name: 'x', url: servers[2]!.url }], partitions: 32 }))
		await other.hit('/a')
		await other.flush()
		await expect(open(ring([0, 1, 2])).count('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
		await expect(open(ring([0, 1], { partitions: 16 })).count('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
	})

	it('a text that all counters share is the same for those who know other nodes, and stays when a node joins', async () => {
		const share = (store: ShardedRedisStore) => {
			const session = store.open({ ...settings, namespace: 'shares' })
			return Promise.resolve(session.share({ name: 'salt', value: String(Math.random()), ttlMs: 60_000 })).finally(() => session.close())
		}
		const values = await Promise.all(
			Array.from({ length: 8 }, (_, i) =>
				share(
					ring(
						[
							[0, 1],
							[1, 0],
						][i % 2]!,
					),
				),
			),
		)
		expect(new Set(values).size).toBe(1)
	})
})

it('takes no client with a prefix: nodes are asked for partitions by the names that they have', () => {
	const client = new Redis({ lazyConnect: true, keyPrefix: 'app:' })
	expect(() => new ShardedRedisStore({ nodes: [{ name: 'a', client }] })).toThrow(
		'Expected `nodes` to be clients without a keyPrefix (a namespace of the counter does the same), got "app:"',
	)
})
