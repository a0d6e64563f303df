/** A counter over a real Redis: one that is stopped, that hangs, that was wiped, and one that has numbers of other settings. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Counter } from '../../src/counter.ts'
import type { DropEvent } from '../../src/flow/batch-events.ts'
import type { CounterOptions } from '../../src/options.ts'
import { RedisStore, type RedisStoreOptions } from '../../src/redis.ts'
import { startOf } from '../../src/time/granularity.ts'
import { sleep } from '../stores/redis/support.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

let server: RedisServer
let namespaces = 0
const opened: Counter[] = []

beforeAll(async () => {
	server = await startRedis()
})
afterAll(() => server.stop())
afterEach(async () => {
	server.resume()
	await Promise.all(opened.splice(0).map((counter) => counter.close({ timeoutMs: 2_000 })))
})

/** Closed after the test. */
function open(options: CounterOptions & { redis?: RedisStoreOptions; url?: string } = {}): Counter {
	const { redis, url = server.url, ...others } = options
	const counter = new Counter({ store: new RedisStore(url, redis), ...others })
	opened.push(counter)
	return counter
}

async function timed<Result>(act: () => Promise<Result>): Promise<{ ms: number; result: Result | undefined; error: unknown }> {
	const start = performance.now()
	let result: Result | undefined
	let error: unknown
	try {
		result = await act()
	} catch (thrown) {
		error = thrown
	}
	return { ms: performance.now() - start, result, error }
}

it('while Redis is stopped, hits are taken up to the bound and readings are stale or fail in their time; then all that was taken is stored', async () => {
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-outage-'))
	const args = ['--appendonly', 'yes']
	let mortal = await startRedis({ dir, args })
	const { port, url } = mortal
	const [bound, ttlMs, readTimeoutMs] = [200, 100, 500]
	const day = startOf('day', Date.now())
	const counter = open({ url, redis: { readTimeoutMs }, cache: { ttlMs }, batch: { maxWaitMs: 50, maxPendingKeys: bound } })
	const drops: DropEvent[] = []
	counter.on('drop', (event) => drops.push(event))
	await counter.hit('/read', { by: 5, visitor: 'ada' })
	await counter.flush()
	expect(await counter.stats('/read')).toMatchObject({ hits: 5, servedBy: `redis:${port}`, stale: false })

	await mortal.stop()
	const accepted = new Map([['/read', 5]])
	const hit = async (key: string, by: number) => {
		const { counted } = await counter.hit(key, { by })
		if (counted) accepted.set(key, (accepted.get(key) ?? 0) + by)
		return counted
	}
	// Some at once and some later, so that some are under way when the rest come.
	const answers = await Promise.all(['/read', ...Array.from({ length: 120 }, (_, n) => `/page/${n}`)].map((key) => hit(key, 2)))
	await sleep(300)
	answers.push(...(await Promise.all(Array.from({ length: 150 }, (_, n) => hit(`/later/${n}`, 3)))))
	expect(answers.filter((counted) => counted)).toHaveLength(bound)
	expect(await counter.hit('/one more')).toEqual({ counted: false, key: '/one more', reason: 'overflow' })
	const refused = 3 * (answers.length - bound) + 1
	expect(drops.reduce((sum, { hits }) => sum + hits, 0)).toBe(refused)
	expect(new Set(drops.map(({ reason }) => reason))).toEqual(new Set(['overflow']))
	const hits = [...accepted.values()].reduce((sum, more) => sum + more) - 5
	expect(await counter.health()).toMatchObject({ status: 'down', pendingKeys: bound, pendingHits: hits, dropped: refused })

	const stats = await counter.stats('/read')
	expect(stats).toMatchObject({ hits: 7, uniques: { value: 1 }, servedBy: 'cache', stale: true })
	expect(Date.now() - stats.asOf.getTime()).toBeGreaterThan(ttlMs)
	for (const read of [() => counter.count('/page/1'), () => counter.all.count(), () => counter.top(), () => counter.list()]) {
		const { ms, error } = await timed<unknown>(read)
		expect(error).toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		// A list waits a second at most for the process's own hits first.
		expect(ms).toBeLessThan(1_000 + readTimeoutMs + 500)
	}

	mortal = await startRedis({ port, dir, args })
	await counter.flush()
	expect(await counter.health()).toMatchObject({ status: 'up', pendingHits: 0, dropped: refused, lastError: undefined })
	expect(await counter.stats('/read')).toMatchObject({ hits: 7, stale: false })
	const recount = open({ url, cache: false })
	expect(new Map((await recount.top({ limit: 1_000 })).map(({ key, hits }) => [key, hits]))).toEqual(accepted)
	expect(new Map((await recount.top({ limit: 1_000, from: day })).map(({ key, hits }) => [key, hits]))).toEqual(accepted)
	expect([await recount.all.count(), await recount.all.count({ from: day })]).toEqual([hits + 5, hits + 5])
	expect((await recount.uniques('/read')).value).toBe(1)
	await Promise.all(opened.splice(0).map((each) => each.close()))
	await mortal.stop()
	rmSync(dir, { recursive: true })
})

describe('a counter whose settings are not those of the stored numbers', () => {
	it('tells whoever waits at once, keeps the hits, and does not wait on closing', async () => {
		const namespace = `mismatch${namespaces++}`
		await open({ namespace }).hit('/a')
		await opened[0]!.flush()
		const other = open({ namespace, redis: { partitions: 4 }, batch: false })
		for (const call of [() => other.count('/a'), () => other.hit('/a'), () => other.flush(), () => other.set('/b', 1), () => other.top()]) {
			const { ms, error } = await timed<unknown>(call)
			expect(error).toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH', message: expect.stringContaining('`partitions` 16') })
			expect(ms).toBeLessThan(1_500)
		}
		expect(await other.health()).toMatchObject({ status: 'degraded', pendingHits: 1, lastError: { code: 'ERR_TALLYMARK_MISMATCH' } })
		const { ms, result } = await timed(() => other.close())
		expect(result).toEqual({ stored: 0, unstored: 1 })
		expect(ms).toBeLessThan(1_500)
	})
})

describe('health()', () => {
	it('counts a hit that the server lost once, in whatever sets it was', async () => {
		const counter = open({
			namespace: `rollback${namespaces++}`,
			redis: { partitions: 2, retentionMs: 200 },
			batch: { maxWaitMs: 3_600_000 },
		})
		const told: string[] = []
		counter.on('rollback', ({ what }) => told.push(what))
		for (let n = 0; n < 100; n++) void counter.hit('/a', { by: 2 })
		void counter.hit('/a', { lane: 'bot', by: 7 })
		await counter.flush()
		await sleep(600)
		// What was acknowledged is let go of by what comes after its time.
		void counter.hit('/a')
		await counter.flush()
		await sleep(600)
		const redis = new Redis(server.port)
		await redis.flushall()
		redis.disconnect()
		void counter.hit('/a', { by: 1_000 })
		void counter.hit('/a', { lane: 'bot' })
		await counter.flush()
		await expect.poll(async () => (await counter.health()).rolledBack).toBe(208)
		expect(told).toEqual(expect.arrayContaining(['total', 'bot total', 'trend', expect.stringMatching(/^day /)]))
		expect(await counter.count('/a')).toBe(1_000)
	})
})

describe('the limit of a reading', () => {
	it('is that of the store, where it is longer', async () => {
		const counter = open({ namespace: `slow${namespaces++}`, redis: { readTimeoutMs: 20_000 }, cache: false })
		await counter.hit('/a')
		expect(await counter.top()).toHaveLength(1)
		server.pause()
		setTimeout(() => server.resume(), 2_600)
		const [count, shared] = await Promise.all([
			timed(() => counter.count('/a')),
			timed(async () => counter.share({ name: 'salt', value: 'x', ttlMs: 60_000 })),
		])
		expect([count.result, shared.result]).toEqual([1, 'x'])
		expect(count.ms).toBeGreaterThan(2_300)
	})

	it('is that of the store, where it is shorter', async () => {
		const counter = open({ namespace: `quick${namespaces++}`, redis: { readTimeoutMs: 300 }, cache: false })
		await counter.hit('/a')
		expect(await counter.top()).toHaveLength(1)
		server.pause()
		for (const read of [() => counter.count('/a'), () => counter.top(), () => counter.stats('/a')]) {
			const { ms, error } = await timed<unknown>(read)
			expect(error).toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
			expect(ms).toBeLessThan(1_500)
		}
		const { ms, result } = await timed(() => counter.health())
		expect(result).toMatchObject({ status: 'down' })
		expect(ms).toBeLessThan(1_500)
	})
})

describe('close()', () => {
	/** How long it took to end, and how long after that its process did. */
	async function closing(harm: (server: RedisServer) => unknown): Promise<{ report: unknown; closedMs: number; overMs: number }> {
		const own = await startRedis()
		const src = new URL('../../src/', import.meta.url).href
		const script = `
			import { once } from 'node:events'
			import { Counter } from '${src}counter.ts'
			import { RedisStore } from '${src}redis.ts'
			const counter = new Counter({ store: new RedisStore('${own.url}'), batch: { maxWaitMs: 3_600_000 } })
			counter.hit('/a')
			await counter.flush()
			console.log('stored')
			await once(process.stdin, 'data')
			process.stdin.destroy()
			counter.hit('/a')
			const start = performance.now()
			const report = await counter.close({ timeoutMs: 1_000 })
			const closed = performance.now()
			process.on('exit', () => console.log(JSON.stringify({ report, closedMs: closed - start, overMs: performance.now() - closed })))`
		const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
			cwd: fileURLToPath(new URL('../..', import.meta.url)),
			stdio: ['pipe', 'pipe', 'inherit'],
		})
		try {
			const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
			await lines.next()
			await harm(own)
			child.stdin.write('go\n')
			return JSON.parse((await lines.next()).value)
		} finally {
			child.kill()
			await own.stop()
		}
	}

	it.each([
		['is gone', (own: RedisServer) => own.stop()],
		['hangs', (own: RedisServer) => own.pause()],
	])('ends in its time when Redis %s, and nothing of it keeps the process alive', async (_, harm) => {
		const { report, closedMs, overMs } = await closing(harm)
		expect(report).toEqual({ stored: 0, unstored: 1 })
		expect(closedMs).toBeLessThan(1_500)
		expect(overMs).toBeLessThan(700)
	})
})
