import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Retained } from '../../../src/stores/redis/retained.ts'
import type { Writer } from '../../../src/testing/contract/desk.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, refuse, type Sent, sleep, until } from './support.ts'

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

const minute = 60_000
/** The script that looks at several sets. */
const isProbe = ({ name, args }: Sent) => name === 'evalsha' && ['HGET', 'ZSCORE'].includes(String(args[2 + Number(args[1])]))
const keysOf = (commands: readonly Sent[]) =>
	commands.filter(isProbe).flatMap(({ args }) => args.slice(2, 2 + Number(args[1])).map((key) => String(key)))

it('asks about many sets some at a time, and goes on where it was interrupted', async () => {
	const writer = b.open()
	const now = b.desk.minute()
	const minutes = Array.from({ length: 1_300 }, (_, i) => now - i * minute)
	await writer.hit(...minutes.map((minute) => ({ key: '/home', minute })))
	await b.redis.flushall()
	const from = b.client.pipelines.length
	let probes = 0
	b.client.tamper = async (commands, send) =>
		commands.some(isProbe) && ++probes === 2 ? refuse('LOADING for a moment')(commands, send) : send()
	b.redis.disconnect(true)
	await until(async () => expect(await writer.count('/home')).toBe(1_300), 10_000)
	b.client.tamper = undefined
	const pipelines = b.client.pipelines.slice(from)
	const pages = pipelines.map(keysOf).filter((keys) => keys.length > 0)
	expect(Math.max(...pages.map(({ length }) => length))).toBeLessThanOrEqual(500)
	// A command costs the client more than what it asks for.
	for (const commands of pipelines) expect(commands.filter(isProbe).length).toBeLessThanOrEqual(2)
	// Of those who answered before the interruption, nobody is asked another time.
	const asked = pages.flat()
	const twice = asked.filter((key, i) => asked.indexOf(key) !== i)
	expect(twice.sort()).toEqual([...pages[1]!].sort())
	expect(new Set(asked).size).toBeGreaterThan(1_300)
	for (const minute of [minutes[0]!, minutes[1_299]!]) {
		expect(await writer.counts('/home', [{ level: 'minute', start: minute }])).toEqual([1])
	}
	expect(b.events).toEqual([])
})

it('gives a set its deadline again that has none any more, and tells nobody else', async () => {
	const writer = b.open()
	const now = b.desk.minute()
	await writer.hit(...Array.from({ length: 20 }, (_, i) => ({ key: '/home', minute: now - i * minute })))
	const name = `{${b.desk.namespace}:0}:hits:minute:${(now - 3 * minute) / 1_000}`
	const deadline = await b.redis.expiretime(name)
	expect(deadline).toBeGreaterThan(now / 1_000)
	await b.redis.persist(name)
	const from = b.client.pipelines.length
	b.redis.disconnect(true)
	await until(async () => expect(await b.redis.expiretime(name)).toBe(deadline))
	const told = b.client.pipelines.slice(from).flatMap((commands) => commands.filter(({ name }) => name === 'expireat'))
	expect(told.map(({ args }) => args)).toEqual([[name, deadline]])
})

describe('of many sets that nothing can be sent to again', () => {
	const retentionMs = 200
	let own: Bench
	beforeEach(() => {
		own = bench(server.port, { retentionMs })
	})
	afterEach(() => own.end())

	/** Lets everything go that is kept for a repair. */
	async function forget(writer: Writer): Promise<void> {
		await sleep(2 * retentionMs)
		await writer.hit({ key: '/last' })
	}

	/** Breaks the connection, and waits until all was asked about. */
	async function reconnect(writer: Writer): Promise<void> {
		const from = own.client.pipelines.length
		own.redis.disconnect(true)
		await until(async () => expect(keysOf(own.client.pipelines.slice(from).flat()).length).toBeGreaterThan(0))
		await until(() => writer.hit({ key: '/last' }))
	}

	it('one of another type is told of, and no other', async () => {
		const writer = own.open()
		const now = own.desk.minute()
		await writer.hit(...Array.from({ length: 20 }, (_, i) => ({ key: '/home', hits: 10 + i, minute: now - (1 + i) * minute })))
		const name = `{${own.desk.namespace}:0}:hits:minute:${(now - 8 * minute) / 1_000}`
		await forget(writer)
		await own.redis.set(name, 'text')
		await reconnect(writer)
		expect(own.events.filter(({ type }) => type === 'rollback')).toEqual([expect.objectContaining({ hits: 17 })])
	})

	it('one whose time is over is not taken for lost', async () => {
		const now = own.desk.minute()
		const over = Math.ceil(Date.now() / 1_000) * 1_000 + 2_000
		const writer = own.open({ retention: { minute: over - (now - 2 * minute) - minute, hour: 86_400_000, day: 30 * 86_400_000 } })
		await writer.hit({ key: '/home', hits: 3, minute: now - 2 * minute }, { key: '/home', hits: 5, minute: now })
		const name = `{${own.desk.namespace}:0}:hits:minute:${(now - 2 * minute) / 1_000}`
		expect(await own.redis.exists(name)).toBe(1)
		await until(async () => expect(await own.redis.exists(name)).toBe(0))
		await forget(writer)
		await reconnect(writer)
		expect(await writer.count('/home')).toBe(8)
		expect(own.events).toEqual([])
	})
})

it('a batch costs the same however many are kept for a repair', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home', visitors: ['ada'] })
	const looks = vi.spyOn(Retained.prototype, Symbol.iterator)
	try {
		for (let i = 0; i < 20; i++) await writer.hit({ key: '/home', visitors: [`visitor ${i}`] })
		expect(looks).not.toHaveBeenCalled()
		// It does look when something may be lost.
		b.redis.disconnect(true)
		await until(async () => expect(await writer.count('/home')).toBe(21))
		await until(async () => expect(looks).toHaveBeenCalled())
	} finally {
		looks.mockRestore()
	}
})
