import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { Keys } from '../../../src/stores/redis/keys.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, loseReply, loseRequest, sleep } from './support.ts'

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

const hex = (i: number) => i.toString(16).padStart(16, '0')
const marks = () => b.redis.hkeys(new Keys(b.desk.namespace).claims(0))

it('marks whose time is over make room for new ones, and those that are held stay', async () => {
	const writer = b.open()
	for (let i = 0; i < 1_000; i++) await writer.session.claim(writer.claim(hex(i), { ttlMs: 3_000 }))
	const held = Array.from({ length: 20 }, (_, i) => hex(10_000 + i))
	for (const name of held) expect(await writer.session.claim(writer.claim(name, { kind: 'id' }))).toBe(true)
	await sleep(3_010)
	expect((await marks()).length).toBeGreaterThan(500)
	for (let i = 0; i < 1_000; i++) await writer.session.claim(writer.claim(hex(20_000 + i)))
	const left = await marks()
	expect(left.filter((mark) => mark.startsWith('id:')).sort()).toEqual(held.map((name) => `id:${name}`))
	expect(left.length).toBeLessThanOrEqual(1_020 + 64)
	expect(left.length).toBeGreaterThanOrEqual(1_020)
})

it('a server that has forgotten the scripts is told them again', async () => {
	const [writer, other] = [b.open(), b.open()]
	expect(await writer.session.claim(writer.claim(hex(1)))).toBe(true)
	await b.redis.script('FLUSH')
	expect(await other.session.claim(other.claim(hex(1)))).toBe(false)
	await b.redis.script('FLUSH')
	expect(await other.session.claim(other.claim(hex(2)))).toBe(true)
})

it('a mark that was claimed again is not taken back by what was sent before, however late that comes', async () => {
	const [writer, other] = [b.open(), b.open()]
	const [first, second] = [writer.claim(hex(1)), writer.claim(hex(1))]
	await other.count('/home')
	b.client.once(loseReply)
	await expect(async () => writer.session.claim(first)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	let arrive = async () => {}
	b.client.once(async (_, send) => {
		arrive = async () => void (await send())
		throw new Error('Connection is closed.')
	})
	await expect(async () => writer.session.release(first)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	expect(await writer.session.claim(second)).toBe(true)
	await arrive()
	// Nor by who takes back the first one only now.
	await writer.session.release(first)
	expect(await other.session.claim(other.claim(hex(1)))).toBe(false)
	expect(await writer.session.claim(writer.claim(hex(1)))).toBe(false)
	await writer.session.release(second)
	expect(await other.session.claim(other.claim(hex(1)))).toBe(true)
})

it('a mark that was set without an answer is its own, however often it was claimed in vain since', async () => {
	const writer = b.open()
	await writer.count('/home')
	b.client.once(loseReply)
	await expect(async () => writer.session.claim(writer.claim(hex(1)))).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	for (let i = 0; i < 40; i++) {
		b.client.once(loseRequest)
		const claim = writer.claim(hex(1))
		await expect(async () => writer.session.claim(claim)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		b.client.once(loseRequest)
		await expect(async () => writer.session.release(claim)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	}
	expect(await writer.session.claim(writer.claim(hex(1)))).toBe(true)
	expect(await writer.session.claim(writer.claim(hex(1)))).toBe(false)
})
