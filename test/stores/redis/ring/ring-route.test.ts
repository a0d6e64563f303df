import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Counter } from '../../../../src/index.ts'
import { ShardedRedisStore, type ShardedRedisStoreOptions } from '../../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../../support/redis-server.ts'
import { sleep, until } from '../support.ts'

const pages = Array.from({ length: 90 }, (_, i) => `/page/${i}`)

let servers: RedisServer[]
let clients: Redis[]
let counters: Counter[]
beforeEach(async () => {
	servers = await Promise.all([startRedis(), startRedis(), startRedis()])
	clients = servers.map(({ port }) => new Redis(port))
	for (const client of clients) client.on('error', () => {})
	counters = []
})
afterEach(async () => {
	for (const server of servers) server.resume()
	await Promise.all(counters.map((counter) => counter.close({ timeoutMs: 1_000 })))
	for (const client of clients) client.disconnect()
	await Promise.all(servers.map((server) => server.stop()))
})

const ring = (which: number[], options: Partial<ShardedRedisStoreOptions> = {}) =>
	new ShardedRedisStore({ nodes: which.map((i) => ({ name: 'abc'[i]!, url: servers[i]!.url })), partitions: 12, ...options })
const open = (store: ShardedRedisStore, options: object = {}) => {
	const counter = new Counter({ store, batch: { maxWaitMs: 20 }, cache: false, uniques: false, ...options })
	counters.push(counter)
	return counter
}
const hitAll = async (counter: Counter) => {
	for (const page of pages) await counter.hit(page)
}
/** As a firewall that forgets, or a server that goes for a moment. */
const breakConnections = (node: number) => clients[node]!.call('client', 'kill', 'type', 'normal', 'skipme', 'yes')
/** The hits that a server has. */
const hitsOn = async (node: number, namespace = 'tm') => {
	let hits = 0
	for (const key of await clients[node]!.keys(`{${namespace}:*}:hits`)) hits -= Number(await clients[node]!.zscore(key, '*'))
	return hits
}

describe('counters that run while records go back', () => {
	it('count on when all servers have lost everything, and the ring begins anew', async () => {
		const counter = open(ring([0, 1]))
		await hitAll(counter)
		await counter.flush()
		// So that the epochs they know are later than those to come.
		await ring([0]).rebalance()
		await ring([0, 1]).rebalance()
		await hitAll(counter)
		await counter.flush()
		for (const node of [0, 1]) await clients[node]!.flushall()
		for (const node of [0, 1]) await breakConnections(node)
		await hitAll(counter)
		await counter.flush({ timeoutMs: 15_000 })
		expect(await open(ring([0, 1])).all.count()).toBe(270)
		expect((await clients[0]!.hget('tm:placement', '0'))?.split(':')[0]).toBe('1')
		expect((await counter.health()).status).toBe('up')
	}, 60_000)

	it('find the owner again when what they followed was rolled back', async () => {
		const [a, b] = clients as [Redis, Redis, Redis]
		const both = (partitions = 1) => ring([0, 1], { partitions })
		const first = open(ring([0], { partitions: 1 }))
		await first.hit('/a')
		await first.flush()
		await both().rebalance({ dryRun: true })
		const counter = open(both())
		await counter.hit('/a')
		await counter.flush()
		const active = await a.get('{tm:0}:own')
		// As after a move to b, and another one back that is being given up.
		await b.hset('tm:meta', await a.hgetall('tm:meta'))
		for (const node of [a, b]) await node.hset('tm:placement', '0', '2:b')
		await b.set('{tm:0}:own', 'S:4:a')
		await a.set('{tm:0}:own', 'G:5:b')
		await counter.hit('/a')
		await expect(counter.flush({ timeoutMs: 500 })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		// The refusal is lost, and that move is finished after all.
		await a.set('{tm:0}:own', active!.replace('A:1', 'A:4'))
		await b.set('{tm:0}:own', 'G:4:a')
		for (const node of [a, b]) await node.hset('tm:placement', '0', '4:a')
		await counter.flush({ timeoutMs: 15_000 })
		expect(await open(both()).count('/a')).toBe(3)
	}, 60_000)
})

describe('while one server hangs', () => {
	const served = async (counter: Counter) =>
		new Map(await Promise.all(pages.map(async (page) => [page, (await counter.stats(page)).servedBy] as const)))

	it('a process that starts reads and counts what others have', async () => {
		const counter = open(ring([0, 1, 2]))
		await hitAll(counter)
		await counter.flush()
		const by = await served(counter)
		servers[1]!.pause()
		const fresh = open(ring([0, 1, 2]))
		for (const [page, node] of by) if (node !== 'redis:b') expect(await fresh.count(page)).toBe(1)
		const [page] = [...by].find(([, node]) => node === 'redis:c')!
		await fresh.hit(page)
		await until(async () => expect(await counter.count(page)).toBe(2), 1_500)
	}, 60_000)

	it('another one that is reached anew holds nobody up', async () => {
		const counter = open(ring([0, 1, 2]))
		await hitAll(counter)
		await counter.flush()
		const expected = await Promise.all([0, 2].map((node) => hitsOn(node)))
		servers[1]!.pause()
		await breakConnections(0)
		const start = performance.now()
		await hitAll(counter)
		await until(async () => expect(await Promise.all([0, 2].map((node) => hitsOn(node)))).toEqual(expected.map((hits) => 2 * hits)), 5_000)
		expect(performance.now() - start).toBeLessThan(1_500)
		servers[1]!.resume()
		await until(async () => {
			await counter.flush()
			expect(await counter.all.count()).toBe(180)
		})
	}, 60_000)
})

it('a server that has come back as one of another ring is refused, and the others are not', async () => {
	const counter = open(ring([0, 1]))
	await hitAll(counter)
	await counter.flush()
	const served = new Map(await Promise.all(pages.map(async (page) => [page, (await counter.stats(page)).servedBy] as const)))
	await clients[1]!.flushall()
	const other = open(ring([1]))
	await other.hit('/other')
	await other.flush()
	const before = await hitsOn(1)
	await breakConnections(1)
	await hitAll(counter)
	await sleep(1_000)
	await expect(counter.count(pages.find((page) => served.get(page) === 'redis:b')!)).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_MISMATCH',
	})
	expect(await counter.count(pages.find((page) => served.get(page) === 'redis:a')!)).toBe(2)
	expect(await hitsOn(1)).toBe(before)
}, 60_000)

it('a server that becomes one of another ring takes nothing of the old one, though the connection to it holds', async () => {
	const counter = open(ring([0, 1]))
	await hitAll(counter)
	await counter.flush()
	await clients[1]!.flushall()
	const other = open(ring([1]))
	await other.hit('/other')
	await other.flush()
	const before = await hitsOn(1)
	await hitAll(counter)
	await expect(counter.flush({ timeoutMs: 1_500 })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
	expect(await hitsOn(1)).toBe(before)
}, 60_000)

it('each of several counters of one store watches a server that joined after them', async () => {
	const old = ring([0, 1])
	const both = ['one', 'two'].map((namespace) => open(old, { namespace }))
	const flushed = () => Promise.all(both.map((counter) => counter.flush()))
	await Promise.all(both.map(hitAll))
	await flushed()
	for (const namespace of ['one', 'two']) await ring([0, 1, 2]).rebalance({ namespace })
	await Promise.all(both.map(hitAll))
	await flushed()
	const stored = () => Promise.all(['one', 'two'].map((namespace) => hitsOn(2, namespace)))
	const before = await stored()
	expect(Math.min(...before)).toBeGreaterThan(0)
	await clients[2]!.flushall()
	await breakConnections(2)
	await until(async () => expect(await stored()).toEqual(before), 5_000)
}, 60_000)

describe('a rebalance', () => {
	it('makes no errors for those who count, only news', async () => {
		// Moves wait until that is written.
		for (const client of clients) await client.config('SET', 'appendonly', 'yes')
		const counter = open(ring([0, 1], { partitions: 4 }), { uniques: 'hyperloglog' })
		const errors: string[] = []
		const news: string[] = []
		counter.on('error', ({ message }) => errors.push(message))
		await counter.hit('/a', { visitor: 'ada' })
		await counter.flush()
		counter.on('topology', ({ message }) => news.push(message))
		let counting = true
		let hits = 1
		const states = new Set<string>()
		const busy = (async () => {
			while (counting) {
				await counter.hit(pages[hits % 90]!, { visitor: `visitor ${hits % 50}` })
				hits++
				if (hits % 20 === 0) await sleep(1)
				if (hits % 2_000 === 0) states.add((await counter.health()).status)
			}
		})()
		for (const to of [[0], [0, 1, 2], [2]]) expect((await ring(to, { partitions: 4 }).rebalance()).failed).toEqual([])
		counting = false
		await busy
		await counter.flush()
		expect(await counter.all.count()).toBe(hits)
		expect(await open(ring([2], { partitions: 4 }), { uniques: 'hyperloglog' }).all.count()).toBe(hits)
		expect(news.some((message) => message.includes('redis:c owns'))).toBe(true)
		expect(errors).toEqual([])
		expect([...states]).toEqual(['up'])
	}, 60_000)

	it('takes a server out: when that has gone, those who were given it are well', async () => {
		const counter = open(ring([0, 1, 2]))
		await hitAll(counter)
		await counter.flush()
		await breakConnections(2)
		await sleep(500)
		await ring([0, 1]).rebalance()
		await servers[2]!.stop()
		// Of what it has not counted meanwhile it does not know yet that it has moved.
		const sums = await Promise.all(pages.map((page) => counter.count(page)))
		expect(new Set(sums)).toEqual(new Set([1]))
		await until(async () => {
			const { status, nodes } = await counter.health()
			expect([status, nodes.map(({ name }) => name).sort()]).toEqual(['up', ['redis:a', 'redis:b']])
		}, 15_000)
		await hitAll(counter)
		await counter.flush()
		expect((await counter.health()).status).toBe('up')
	}, 60_000)
})
