import { afterEach, expect, it } from 'vitest'
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
	const b = bench(server.port, { writeTimeoutMs: 300, readTimeoutMs: 10_000 })
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
	expect(await writer.count('/home')).toBe(1_110)
	expect(b.events).toEqual([])
	await b.end()
})
