/** What the fault campaign (test/chaos) found, one by one. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { RedisStore } from '../../../src/redis.ts'
import type { StoreEvent } from '../../../src/stores/store.ts'
import { bucketsOf, Desk } from '../../../src/testing/contract/desk.ts'
import { TcpProxy } from '../../chaos/tcp-proxy.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { answerInstead, type Bench, bench, loseReply, loseRequest, until } from './support.ts'

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

async function reconnect(): Promise<void> {
	const ready = new Promise((resolve) => b.redis.once('ready', resolve))
	b.redis.disconnect(true)
	await ready
}

it('a claim whose reply was lost is still its own after it could not be taken back', async () => {
	const [writer, other] = [b.open(), b.open()]
	await Promise.all([writer.count('/home'), other.count('/home')])
	const claim = writer.claim('00000000000000aa')
	b.client.once(loseReply)
	await expect(async () => writer.session.claim(claim)).rejects.toThrow()
	b.client.once(loseRequest)
	await expect(async () => writer.session.release(claim)).rejects.toThrow()
	expect(await other.session.claim(claim)).toBe(false)
	expect(await writer.session.claim({ ...claim })).toBe(true)
	expect(await writer.session.claim({ ...claim })).toBe(false)
})

it('a claim that is taken back and could not be is its own when it is made again', async () => {
	const writer = b.open()
	const claim = writer.claim('00000000000000aa')
	expect(await writer.session.claim(claim)).toBe(true)
	b.client.once(loseRequest)
	await expect(async () => writer.session.release(claim)).rejects.toThrow()
	expect(await writer.session.claim({ ...claim })).toBe(true)
	expect(await writer.session.claim({ ...claim })).toBe(false)
})

it('takes no mark back but that of the claim which failed', async () => {
	const [writer, other] = [b.open(), b.open()]
	await Promise.all([writer.count('/home'), other.count('/home')])
	const [failed, good] = [writer.claim('00000000000000aa'), writer.claim('00000000000000aa')]
	b.client.once(loseRequest)
	await expect(async () => writer.session.claim(failed)).rejects.toThrow()
	expect(await writer.session.claim(good)).toBe(true)
	await writer.session.release(failed)
	expect(await other.session.claim(other.claim('00000000000000aa'))).toBe(false)
	await writer.session.release(good)
	expect(await other.session.claim(other.claim('00000000000000aa'))).toBe(true)
})

it('keeps the visitors who came after a deletion that has to be repeated', async () => {
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada', 'bob'] })
	await writer.delete('/b')
	await writer.hit({ key: '/b', visitors: ['cy'] })
	await b.redis.flushall()
	await writer.hit({ key: '/c' })
	expect(await writer.uniques(['/b'])).toBe(1)
	expect(await writer.count('/b')).toBe(1)
	expect(b.events).toEqual([])
})

it('deletes a key from a set that has to be repaired first', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/b', hits: 5, minute })
	await b.redis.del(`{${b.desk.namespace}:0}:hits:hour:${Math.floor(minute / 3_600_000) * 3_600}`)
	await reconnect()
	await writer.delete('/b')
	await writer.hit({ key: '/c', minute })
	expect(await writer.counts('/b', bucketsOf(minute))).toEqual([0, 0, 0, 0])
	expect(await writer.counts('/c', bucketsOf(minute))).toEqual([1, 1, 1, 1])
})

it('takes the visitors of a deleted key away when the server went back to the moment before that', async () => {
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada', 'bob'] })
	b.client.once(
		async (commands) => commands.map(() => [null, 1]),
		(commands) => commands.some(({ name }) => name === 'unlink'),
	)
	await writer.delete('/b')
	expect(await writer.uniques(['/b'])).toBe(2)
	await reconnect()
	await writer.hit({ key: '/c' })
	expect(await writer.uniques(['/b'])).toBe(0)
})

it('brings no visitors of before a deletion back when it is cut short and an earlier one of the same key is known still', async () => {
	const writer = b.open()
	for (const visitors of [['ada'], ['bob'], ['cy']]) {
		await writer.hit({ key: '/b', visitors })
		if (visitors[0] !== 'cy') await writer.delete('/b')
	}
	b.client.once(loseRequest, (commands) => commands.some(({ name }) => name === 'unlink'))
	const batch = { kind: 'delete', partition: 0, sequence: writer.sequence('/b') + 1, key: '/b' } as const
	await expect(async () => writer.session.apply(batch)).rejects.toThrow()
	await reconnect()
	await writer.session.apply(batch)
	expect(await writer.uniques(['/b'])).toBe(0)
})

it('sends visitors again that were acknowledged before their hits, when the server may have lost them', async () => {
	const writer = b.open()
	await writer.hit({ key: '/a' })
	const [batch] = writer.batches([{ key: '/b', visitors: ['ada'] }])
	b.client.once(answerInstead('LOADING Redis is loading the dataset in memory', ({ name }) => name === 'evalsha'))
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('LOADING')
	await b.redis.del(`{${b.desk.namespace}:0}:uniq=/b`)
	await reconnect()
	await writer.session.apply(batch!)
	expect([await writer.count('/b'), await writer.uniques(['/b'])]).toEqual([1, 1])
})

it('waits on closing for a server that comes back, and brings it what it lost', async () => {
	const proxy = await TcpProxy.start(server.port)
	const desk = new Desk(new RedisStore(`redis://127.0.0.1:${proxy.port}`, { partitions: 1, writeTimeoutMs: 100 }), 'hyperloglog', false)
	const events: StoreEvent[] = []
	try {
		const writer = desk.open({ report: (event) => void events.push(event) })
		await writer.hit({ key: '/home' })
		proxy.refuse()
		await b.redis.flushall()
		const closed = writer.close()
		await new Promise((resolve) => setTimeout(resolve, 500))
		await proxy.accept()
		await closed
		expect(events).toEqual([])
		expect(await desk.open().count('/home')).toBe(1)
	} finally {
		await desk.close()
		await proxy.close()
	}
})

it('leaves a connection that is dead without a word', async () => {
	const proxy = await TcpProxy.start(server.port)
	const desk = new Desk(new RedisStore(`redis://127.0.0.1:${proxy.port}`, { partitions: 1, writeTimeoutMs: 200 }), 'hyperloglog', false)
	try {
		const writer = desk.open()
		await writer.hit({ key: '/home' })
		proxy.abandon()
		const [batch] = writer.batches([{ key: '/home' }])
		await until(async () => writer.session.apply(batch!), 10_000)
		expect(await writer.count('/home')).toBe(2)
	} finally {
		await desk.close()
		await proxy.close()
	}
})
