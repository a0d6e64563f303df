import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { KnownVisitors } from '../../../src/stores/redis/known-visitors.ts'
import { startOf } from '../../../src/time/granularity.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, loseReply, type Tampering } from './support.ts'

describe('visitors that the server has are not sent again', () => {
	let server: RedisServer
	let b: Bench
	beforeAll(async () => {
		server = await startRedis()
	})
	afterAll(() => server.stop())
	beforeEach(() => {
		b = bench(server.port)
	})
	afterEach(() => b.end())

	/** Elements sent by pfadd since `from` pipelines. */
	const sent = (from: number) =>
		b.client.pipelines
			.slice(from)
			.flat()
			.filter(({ name }) => name === 'pfadd')
			.flatMap(({ args }) => args.slice(1)).length
	const names = (count: number) => Array.from({ length: count }, (_, i) => `visitor ${i}`)
	const visitorsOf = (key: string) => `{${b.desk.namespace}:0}:uniq=${key}`
	const todaysVisitorsOf = (key: string) => `{${b.desk.namespace}:0}:uniq:day:${startOf('day', Date.now()) / 1_000}=${key}`

	it('from the second flush on', async () => {
		const writer = b.open()
		const visit = async () => {
			const from = b.client.pipelines.length
			await writer.hit({ key: '/a', visitors: ['ada', 'bob'] })
			return sent(from)
		}
		// Total and day, of the page and of all pages.
		expect([await visit(), await visit(), await visit()]).toEqual([8, 0, 0])
		expect(await writer.uniques(['/a'])).toBe(2)
		const from = b.client.pipelines.length
		await writer.hit({ key: '/a', visitors: ['ada', 'cem'] })
		expect(sent(from)).toBe(4)
		expect(await writer.uniques(['/a'])).toBe(3)
	})

	it('hits without a visitor in between change nothing of that', async () => {
		const writer = b.open()
		for (let i = 0; i < 2; i++) await writer.hit({ key: '/a', visitors: ['ada', 'bob'] })
		const from = b.client.pipelines.length
		await writer.hit({ key: '/b' })
		await writer.hit({ key: '/a', visitors: ['ada', 'bob'] })
		expect(sent(from)).toBe(0)
		expect(await writer.uniques(['/a'])).toBe(2)
	})

	it('a key that another process deletes gets them again, and its deadline', async () => {
		const writer = b.open()
		const other = b.open()
		for (let i = 0; i < 3; i++) await writer.hit({ key: '/a', visitors: names(5) })
		await other.delete('/a')
		expect(await b.redis.exists(visitorsOf('/a'), todaysVisitorsOf('/a'))).toBe(0)
		await writer.hit({ key: '/a', visitors: ['visitor 3'] })
		expect(await writer.uniques(['/a'])).toBe(1)
		expect(await b.redis.ttl(todaysVisitorsOf('/a'))).toBeGreaterThan(86_400)
		await writer.hit({ key: '/a', visitors: ['visitor 3'] })
		await other.delete('/a')
		// Nobody is left out of this one, but the deadline is.
		await writer.hit({ key: '/a', visitors: ['new'] })
		expect(await b.redis.ttl(todaysVisitorsOf('/a'))).toBeGreaterThan(86_400)
		for (let i = 0; i < 3; i++) await writer.hit({ key: '/a', visitors: names(4) })
		expect(await writer.uniques(['/a'])).toBe(5)
	})

	it('a deletion in the middle of a pipeline: what was left out is sent again before the batch is acknowledged', async () => {
		const writer = b.open()
		const other = bench(server.port)
		const deleting = other.open({ namespace: b.desk.namespace })
		try {
			for (let i = 0; i < 3; i++) await writer.hit({ key: '/a', visitors: names(5) })
			// The deletion comes after the visitors were picked, before they arrive.
			const overtaken: Tampering = async (_, send) => {
				await deleting.delete('/a')
				return send()
			}
			b.client.once(overtaken)
			await writer.hit({ key: '/a', visitors: ['visitor 3', 'new'] })
			expect(await writer.count('/a')).toBe(1)
			expect(await writer.uniques(['/a'])).toBe(2)
		} finally {
			await other.end()
		}
	})

	it('a deadline that was told before a deletion is told again after it', async () => {
		const writer = b.open()
		const other = bench(server.port)
		const deleting = other.open({ namespace: b.desk.namespace })
		try {
			await writer.hit({ key: '/b', visitors: ['ada'] })
			await writer.hit({ key: '/b', visitors: ['ada'] })
			await deleting.hit({ key: '/a' })
			// The deletion comes after the visitors and their deadline, and before the answer.
			const overtaken: Tampering = async (commands, send) => {
				const last = commands.length - 1
				const results = await send()
				await deleting.delete('/a')
				results[last] = [null, await b.redis.get(String(commands[last]!.args[0]))]
				return results
			}
			b.client.once(overtaken)
			await writer.hit({ key: '/a', visitors: ['ada'] })
			await writer.hit({ key: '/a', visitors: ['bob'] })
			expect(await b.redis.ttl(todaysVisitorsOf('/a'))).toBeGreaterThan(86_400)
		} finally {
			await other.end()
		}
	})

	it('many deletions among many visitors are all repeated in a few goes', async () => {
		const writer = b.open()
		for (let i = 0; i < 40; i++) {
			await writer.hit({ key: `/${i % 7}`, visitors: ['ada', `visitor ${i}`] }, { key: '/kept', visitors: [`visitor ${i}`] })
			if (i % 2 === 0) await writer.delete(`/${i % 7}`)
		}
		await b.redis.flushall()
		const again = new Promise<void>((resolve) => b.redis.once('ready', () => resolve()))
		b.redis.disconnect(true)
		await again
		const from = b.client.pipelines.length
		await writer.hit({ key: '/kept', visitors: ['cem'] })
		expect(await writer.count('/kept')).toBe(41)
		expect(await writer.uniques(['/kept'])).toBe(41)
		expect(b.client.pipelines.length - from).toBeLessThanOrEqual(20)
	})

	it('an attempt without an answer teaches nothing', async () => {
		const writer = b.open()
		await writer.hit({ key: '/b', visitors: ['ada'] })
		const [batch] = writer.batches([{ key: '/a', visitors: ['ada'] }])
		b.client.once(loseReply)
		await expect(async () => writer.session.apply(batch!)).rejects.toThrow('closed')
		const from = b.client.pipelines.length
		await writer.session.apply(batch!)
		expect(sent(from)).toBe(4)
		await b.redis.unlink(visitorsOf('/a'))
		await writer.hit({ key: '/a', visitors: ['bob'] })
		expect(await writer.uniques(['/a'])).toBe(1)
	})

	it('after a reconnection everything is sent again', async () => {
		const writer = b.open()
		for (let i = 0; i < 3; i++) await writer.hit({ key: '/a', visitors: ['ada'] })
		const again = new Promise<void>((resolve) => b.redis.once('ready', () => resolve()))
		b.redis.disconnect(true)
		await again
		const from = b.client.pipelines.length
		await writer.hit({ key: '/a', visitors: ['ada'] })
		expect(sent(from)).toBe(4)
	})
})

describe('what is known', () => {
	it('is bounded: the visitors of the keys that were not sent for longest go first', () => {
		const known = new KnownVisitors(30_000)
		const learn = (name: string) => {
			for (let i = 1; i <= 500; i++) known.of(name).add((i << 6) | 3)
			known.learned(name)
		}
		const knows = (name: string) => known.of(name).has((1 << 6) | 3)
		for (let i = 0; i < 100; i++) {
			learn(`key ${i}`)
			learn('often')
		}
		expect(knows('often')).toBe(true)
		expect(knows('key 99')).toBe(true)
		expect(knows('key 0')).toBe(false)
	})

	it('is forgotten when something was deleted, but for the visitors of all keys, which no deletion touches', () => {
		const known = new KnownVisitors(1_000_000)
		expect(known.isUntouched('1')).toBe(false)
		expect(known.asks()).toBe(true)
		known.marked('1')
		expect(known.isUntouched('1')).toBe(true)
		known.of('a').add((1 << 6) | 3)
		known.crowd('*').add((1 << 6) | 3)
		known.addDeadline('a')
		expect(known.asks()).toBe(false)
		expect(known.isUntouched('1')).toBe(true)
		expect(known.of('a').has((1 << 6) | 3)).toBe(true)
		expect(known.of('a').has((1 << 6) | 4)).toBe(false)
		expect(known.of('a').has((2 << 6) | 1)).toBe(false)
		expect(known.isUntouched('2')).toBe(false)
		expect(known.of('a').has((1 << 6) | 3)).toBe(false)
		expect(known.hasDeadline('a')).toBe(false)
		expect(known.crowd('*').has((1 << 6) | 3)).toBe(true)
	})

	it('is nothing where there is no mark, or where everything was forgotten while it was asked for', () => {
		const known = new KnownVisitors(1_000_000)
		expect(known.asks()).toBe(true)
		known.marked(undefined)
		expect(known.isUntouched(undefined)).toBe(false)
		expect(known.asks()).toBe(true)
		known.clear()
		known.marked('1')
		expect(known.isUntouched('1')).toBe(false)
		expect(known.asks()).toBe(true)
	})
})
