import { connect, createServer } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { Counter } from '../../../src/index.ts'
import { RedisStore } from '../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { bench, hang, sleep, until } from './support.ts'

let server: RedisServer | undefined

afterEach(async () => {
	server?.resume()
	await server?.stop()
})

const unavailable = { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' }

it('does not heap up copies in a client whose server hangs, and goes on when it answers', async () => {
	server = await startRedis()
	const b = bench(server.port, { writeTimeoutMs: 300, readTimeoutMs: 300 })
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 10 })
	server.pause()
	const [batch] = writer.batches([{ key: '/home', hits: 100 }])
	const sent = b.client.pipelines.length
	const writesSince = () => b.client.pipelines.slice(sent).filter((commands) => commands.some(({ name }) => name === 'evalsha')).length
	for (const end = Date.now() + 5_000; Date.now() < end; )
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject(unavailable)
	// For two seconds copies are sent, each when the one before is late.
	expect(writesSince()).toBeLessThan(10)
	// The questions whether it is there again become rarer.
	expect(b.client.pipelines.length - sent).toBeLessThan(20)
	await expect(async () => writer.count('/home')).rejects.toMatchObject(unavailable)
	server.resume()
	await until(async () => writer.session.apply(batch!))
	expect(await writer.count('/home')).toBe(110)
	expect(b.events).toEqual([])
	await b.end()
}, 20_000)

it('a client that leaves a promise open for ever costs nobody an answer', async () => {
	server = await startRedis()
	const b = bench(server.port, { writeTimeoutMs: 300, readTimeoutMs: 300 })
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 10 })
	b.client.once(hang)
	const [batch] = writer.batches([{ key: '/home', hits: 100 }])
	await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject(unavailable)
	await sleep(2_100)
	expect(await writer.count('/home')).toBe(110)
	expect((await writer.session.apply(batch!)).status).toBe('applied')
	expect(b.events).toEqual([])
	await b.end()
})

it('a server that always takes longer than a batch may take is waited for', async () => {
	server = await startRedis()
	const b = bench(server.port, { writeTimeoutMs: 300, readTimeoutMs: 300 })
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 10 })
	b.client.tamper = async (_, send) => {
		const replies = await send()
		await sleep(800)
		return replies
	}
	const [batch] = writer.batches([{ key: '/home', hits: 100 }])
	await until(async () => writer.session.apply(batch!))
	await writer.hit({ key: '/home', hits: 1_000 })
	// A reading has its own time, and no more.
	await expect(async () => writer.count('/home')).rejects.toThrow('no answer within 300 ms')
	b.client.tamper = undefined
	expect(await writer.count('/home')).toBe(1_110)
	expect(b.events).toEqual([])
	await b.end()
})

it('the same over a client of the store: it hides no late answer', async () => {
	const redis = await startRedis()
	server = redis
	let delayMs = 0
	const proxy = createServer((here) => {
		const there = connect(redis.port, '127.0.0.1')
		here.pipe(there)
		let turn = Promise.resolve()
		there.on('data', (bytes) => {
			const due = sleep(delayMs)
			turn = turn.then(() => due).then(() => void (here.destroyed || here.write(bytes)))
		})
		for (const [one, other] of [
			[here, there],
			[there, here],
		] as const)
			one.on('error', () => {}).on('close', () => other.destroy())
	})
	await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
	const url = `redis://127.0.0.1:${(proxy.address() as { port: number }).port}`
	const counter = new Counter({ store: new RedisStore(url, { writeTimeoutMs: 300, readTimeoutMs: 10_000 }) })
	await counter.hit('/home')
	await counter.flush()
	delayMs = 800
	await counter.hit('/home')
	await counter.flush({ timeoutMs: 10_000 })
	delayMs = 0
	expect(await counter.count('/home')).toBe(2)
	await counter.close()
	proxy.close()
})
