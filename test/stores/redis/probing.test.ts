import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { Retained } from '../../../src/stores/redis/retained.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, refuse, type Sent, until } from './support.ts'

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
/** A script that asks only: its new position is 0. */
const isProbe = ({ name, args }: Sent) => name === 'evalsha' && args[5] === 0
const keysOf = (commands: readonly Sent[]) => commands.filter(isProbe).map(({ args }) => String(args[2]))

it('asks about many sets some at a time, and goes on where it was interrupted', async () => {
	const writer = b.open()
	const now = b.desk.minute()
	const minutes = Array.from({ length: 300 }, (_, i) => now - i * minute)
	await writer.hit(...minutes.map((minute) => ({ key: '/home', minute })))
	await b.redis.flushall()
	const from = b.client.pipelines.length
	let probes = 0
	b.client.tamper = async (commands, send) =>
		commands.some(isProbe) && ++probes === 3 ? refuse('LOADING for a moment')(commands, send) : send()
	b.redis.disconnect(true)
	await until(async () => expect(await writer.count('/home')).toBe(300))
	b.client.tamper = undefined
	const pages = b.client.pipelines
		.slice(from)
		.map(keysOf)
		.filter((keys) => keys.length > 0)
	expect(Math.max(...pages.map(({ length }) => length))).toBeLessThanOrEqual(64)
	// Of those who answered before the interruption, nobody is asked another time.
	const asked = pages.flat()
	const twice = asked.filter((key, i) => asked.indexOf(key) !== i)
	expect(twice.sort()).toEqual([...pages[2]!].sort())
	expect(new Set(asked).size).toBeGreaterThan(300)
	for (const minute of [minutes[0]!, minutes[299]!]) {
		expect(await writer.counts('/home', [{ level: 'minute', start: minute }])).toEqual([1])
	}
	expect(b.events).toEqual([])
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
