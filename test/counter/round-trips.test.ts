/** What readings and the learning of keys cost on the wire: pipelines, commands, and how much one command may ask for. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { otherKey } from '../../src/key-budget.ts'
import { RedisStore } from '../../src/redis.ts'
import { lanes } from '../../src/stores/store.ts'
import { type Sent, sleep, TamperedClient } from '../stores/redis/support.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const partitions = 16
/** Enough that a partition takes several pages of a scan. */
const pages = 40_000

let server: RedisServer
let client: TamperedClient
let counter: Counter

beforeAll(async () => {
	server = await startRedis()
	client = new TamperedClient(new Redis(server.port))
	counter = new Counter({
		store: new RedisStore(client, { partitions, readTimeoutMs: 20_000 }),
		cache: false,
		batch: { maxWaitMs: 3_600_000, maxKeys: 1_000_000 },
	})
	// All with the same number: nothing tells a top list where it may stop but the order of the names.
	for (let n = 0; n < pages; n++) void counter.hit(`/page/${n}`, n % 20 === 0 ? { visitor: `visitor ${n % 100}` } : undefined)
	await counter.flush()
	// What a session clears away at its start is not counted here.
	await sleep(300)
})

afterAll(async () => {
	await counter.close()
	client.redis.disconnect()
	await server.stop()
})

/** The pipelines that went out meanwhile. */
async function sentBy<Result>(act: () => Promise<Result>): Promise<{ sent: Sent[][]; commands: Sent[]; result: Result }> {
	const before = client.pipelines.length
	const result = await act()
	const sent = client.pipelines.slice(before)
	return { sent, commands: sent.flat(), result }
}

/** The first names in order, as a list of equals has them. */
function firstPages(count: number, some: (n: number) => boolean = () => true): string[] {
	return Array.from({ length: pages }, (_, n) => n)
		.filter(some)
		.map((n) => `/page/${n}`)
		.sort()
		.slice(0, count)
}

describe('in one pipeline', () => {
	it('the numbers of a page, hits and visitors together', async () => {
		const { sent, commands, result } = await sentBy(() => counter.stats('/page/20'))
		expect(sent).toHaveLength(1)
		expect(commands).toHaveLength(2)
		expect(result).toMatchObject({ hits: 1, uniques: { value: 1 } })
	})

	it('a chart of a day by minute', async () => {
		const { sent, commands, result } = await sentBy(() => counter.series('/page/1', { granularity: 'minute', last: 1_440 }))
		expect(sent).toHaveLength(1)
		// A command costs the client more than what it asks for; but none may hold the server up.
		expect(commands.map(({ args }) => args[1])).toEqual([500, 500, 440])
		expect(result).toHaveLength(1_440)
	})

	it('the same chart of all pages together', async () => {
		const { sent, commands, result } = await sentBy(() => counter.all.series({ granularity: 'minute', last: 1_440 }))
		expect(sent).toHaveLength(1)
		expect(commands).toHaveLength(3 * partitions)
		expect(result.reduce((sum, { value }) => sum + value, 0)).toBe(pages)
	})

	it('what is trending, though all are alike', async () => {
		const { sent, commands, result } = await sentBy(() => counter.trending())
		expect(sent).toHaveLength(1)
		expect(commands).toHaveLength(3 * partitions)
		expect(result.map(({ key }) => key)).toEqual(firstPages(10))
	})

	it('a top list of all time, of a day, and all hits together', async () => {
		for (const read of [() => counter.top(), () => counter.top({ period: 'day' }), () => counter.all.count()]) {
			const { sent, commands } = await sentBy<unknown>(read)
			expect(sent).toHaveLength(1)
			expect(commands).toHaveLength(partitions)
		}
	})
})

describe('in a few', () => {
	it('the most visitors, though all have as many hits: only the first of them are counted', async () => {
		const { sent, commands, result } = await sentBy(() => counter.top({ by: 'uniques' }))
		expect(result.map(({ key }) => key)).toEqual(firstPages(10, (n) => n % 20 === 0))
		expect(sent.length).toBeLessThanOrEqual(6)
		expect(commands.length).toBeLessThan(5_000)
	})

	it('a prefix that few pages have is looked for by the server', async () => {
		const { sent, result } = await sentBy(() => counter.top({ prefix: '/page/3999' }))
		expect(result).toEqual(firstPages(10, (n) => String(n).startsWith('3999')).map((key) => ({ key, hits: 1 })))
		expect(sent.length).toBeLessThanOrEqual(4)
		// The top, and whether there is so much that it is worth to go on from there.
		const read = sent.flat().filter(({ name }) => name === 'zrange')
		expect(read.length).toBe(2 * partitions)
	})

	it('a list of the hour reads its hash in pieces', async () => {
		const { sent, commands, result } = await sentBy(() => counter.top({ period: 'hour' }))
		// The hour may have turned since the hits.
		if (result.length > 0) expect(result.map(({ key }) => key)).toEqual(firstPages(10))
		expect(sent.length).toBeLessThanOrEqual(2)
		for (const { args } of commands) expect(Number(args.at(-1))).toBeLessThanOrEqual(2_000)
	})
})

it('a page of the list walks through the lane once', async () => {
	const { commands, result } = await sentBy(() => counter.list({ limit: 100 }))
	expect(result.keys).toEqual(firstPages(100))
	// With the second piece it looks whether the order is still that of the first.
	expect(commands.length).toBeLessThanOrEqual(3 * partitions)
})

it('a counter with maxKeys learns the stored keys in one walk, in pieces', async () => {
	const before = client.pipelines.length
	const learner = new Counter({ store: new RedisStore(client, { partitions }), maxKeys: 10 })
	let known = 0
	for (const end = Date.now() + 20_000; known < 50 && Date.now() < end; ) {
		await sleep(50)
		known = 0
		for (let n = 0; n < pages; n += pages / 50) if ((await learner.hit(`/page/${n}`)).key !== otherKey) known++
	}
	expect(known).toBe(50)
	// The other lanes are empty, and are asked about all the same.
	await sleep(300)
	const scans = client.pipelines
		.slice(before)
		.flat()
		.filter(({ name }) => name === 'zscan')
	// Some elements more than asked for come with each piece, never fewer; with the second it looks whether the order is still that of the first.
	const pieces = 2 * Math.ceil(pages / partitions / 2_000) - 1
	expect(scans.length).toBeLessThanOrEqual((pieces + lanes.length) * partitions)
	for (const { args } of scans) expect(Number(args.at(-1))).toBeLessThanOrEqual(2_000)
	await learner.close()
})
