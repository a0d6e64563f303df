import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Command, command } from '../../../src/stores/redis/client.ts'
import { steadyScans } from '../../../src/stores/redis/steady-scans.ts'
import type { Ask } from '../../../src/stores/redis/visitor-form.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { until } from './support.ts'

/** Two servers with the same members, as after a move or a restart: each has them in an order of its own. */
let servers: RedisServer[]
let clients: Redis[]

beforeAll(async () => {
	servers = await Promise.all([startRedis(), startRedis()])
	clients = servers.map(({ port }) => new Redis(port))
})

afterEach(async () => {
	await Promise.all(clients.map((client) => client.flushall()))
})

afterAll(async () => {
	for (const client of clients) client.disconnect()
	await Promise.all(servers.map((server) => server.stop()))
})

const scans = ['hscan', 'zscan', 'sscan'] as const
type Scan = (typeof scans)[number]

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `=${from + i}`)

async function fill(scan: Scan, client: Redis, from: number, to: number): Promise<void> {
	const members = names(from, to)
	if (scan === 'hscan') await client.hset(scan, ...members.flatMap((name) => [name, 1]))
	else if (scan === 'zscan') await client.zadd(scan, ...members.flatMap((name) => [1, name]))
	else await client.sadd(scan, ...members)
}

const removal = { hscan: 'hdel', zscan: 'zrem', sscan: 'srem' } as const

async function remove(scan: Scan, client: Redis, members: readonly string[]): Promise<void> {
	await client[removal[scan]](scan, ...members)
}

/** Asks the client of the moment. */
function asking(which: (asked: number) => Redis): { readonly ask: Ask; readonly sent: Command[][] } {
	const sent: Command[][] = []
	const ask: Ask = async (commands) => {
		const pipeline = which(sent.length).pipeline()
		sent.push([...commands])
		for (const { name, args } of commands) pipeline.call(name, args as string[])
		return (await pipeline.exec())!.map(([error, reply]) => {
			if (error !== null) throw error
			return reply
		})
	}
	return { ask, sent }
}

/** Reads a set to its end; answers its members, each once. */
async function read(scan: Scan, ask: Ask, match: readonly string[] = [], between = async () => {}): Promise<Set<string>> {
	const members = new Set<string>()
	let cursor = '0'
	do {
		const [reply] = await ask([command(scan, scan, cursor, ...match, 'COUNT', 100)])
		const [next, list] = reply as [string, string[]]
		for (let i = 0; i < list.length; i += scan === 'sscan' ? 1 : 2) members.add(list[i]!)
		cursor = next
		await between()
	} while (cursor !== '0')
	return members
}

describe.each(scans)('%s', (scan) => {
	it('misses members when another server goes on with its cursor, unless it is steady', async () => {
		await Promise.all(clients.map((client) => fill(scan, client, 0, 1_000)))
		const moved = (asked: number) => clients[asked < 3 ? 0 : 1]!
		expect((await read(scan, asking(moved).ask)).size).toBeLessThan(1_000)
		expect((await read(scan, steadyScans(asking(moved).ask))).size).toBe(1_000)
	})

	it('is steady too where it asks for a part of the members only', async () => {
		await Promise.all(clients.map((client) => fill(scan, client, 0, 2_000)))
		const moved = (asked: number) => clients[asked < 3 ? 0 : 1]!
		const match = ['MATCH', '=1??']
		expect((await read(scan, asking(moved).ask, match)).size).toBeLessThan(100)
		expect((await read(scan, steadyScans(asking(moved).ask), match)).size).toBe(100)
	})

	it('that is moved to and fro asks for more at once, until that is all', async () => {
		await Promise.all(clients.map((client) => fill(scan, client, 0, 3_000)))
		const { ask, sent } = asking((asked) => clients[asked % 2]!)
		expect((await read(scan, steadyScans(ask))).size).toBe(3_000)
		expect(sent.length).toBeLessThan(8)
	})

	it('goes on though members come, and others go', async () => {
		const [client] = clients
		await fill(scan, client!, 0, 2_000)
		let next = 2_000
		const { ask, sent } = asking(() => client!)
		const members = await read(scan, steadyScans(ask), [], async () => {
			await fill(scan, client!, next, next + 100)
			await remove(scan, client!, names(next - 2_000, next - 1_980))
			next += 100
		})
		const stayed = Array.from({ length: 2_000 }, (_, i) => i).filter((i) => i % 100 >= 20)
		for (const i of stayed) expect(members.has(`=${i}`)).toBe(true)
		// It never began anew: that asks for more.
		expect(new Set(sent.map(([page]) => page!.args.at(-1)))).toEqual(new Set([100]))
	})

	it('reads a large table that is nearly empty', async () => {
		const [client] = clients
		await fill(scan, client!, 0, 20_000)
		// While it saves, no table is made smaller.
		await client!.config('SET', 'rdb-key-save-delay', 10_000_000)
		await until(async () => client!.bgsave())
		await remove(scan, client!, names(20, 20_000))
		expect((await read(scan, steadyScans(asking(() => client!).ask))).size).toBe(20)
		await client!.config('SET', 'rdb-key-save-delay', 0)
	})

	it('of a set that is gone meanwhile comes to its end', async () => {
		const [client] = clients
		await fill(scan, client!, 0, 1_000)
		const members = await read(scan, steadyScans(asking(() => client!).ask), [], async () => void (await client!.flushall()))
		expect(members.size).toBeGreaterThanOrEqual(100)
	})
})

it('asks nothing more of a set that comes whole', async () => {
	await fill('hscan', clients[0]!, 0, 50)
	const { ask, sent } = asking(() => clients[0]!)
	await read('hscan', steadyScans(ask))
	expect(sent).toEqual([[command('hscan', 'hscan', '0', 'COUNT', 100)]])
})

it('says so when the order never stays', async () => {
	let page = 0
	const others: Ask = async (commands) => commands.map(() => ['1', Array.from({ length: 20 }, (_, i) => [`=${page}-${i}`, page++]).flat()])
	await expect(read('hscan', steadyScans(others))).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_STORE_UNAVAILABLE',
		message: expect.stringContaining('hscan could not be read to its end'),
	})
})

it('leaves what else is asked in its place', async () => {
	for (const client of clients) for (const scan of ['hscan', 'zscan'] as const) await fill(scan, client, 0, 1_000)
	const { ask } = asking((asked) => clients[asked < 1 ? 0 : 1]!)
	const steady = steadyScans(ask)
	const scan = (name: Scan, cursor: string) => command(name, name, cursor, 'COUNT', 100)
	const first = (await steady([command('hget', 'hscan', '=7'), scan('hscan', '0'), scan('zscan', '0')])) as [string, [string], [string]]
	expect(first[0]).toBe('1')
	const second = await steady([scan('zscan', first[2][0]), command('hget', 'hscan', '=8'), scan('hscan', first[1][0])])
	const anew = (await ask([scan('zscan', '0'), scan('hscan', '0')])) as [string, string[]][]
	expect(second.length).toBe(3)
	expect(second[1]).toBe('1')
	// They began anew, and got more of it at once.
	expect((second[0] as [string, string[]])[1].slice(0, 20)).toEqual(anew[0]![1].slice(0, 20))
	expect((second[2] as [string, string[]])[1].slice(0, 20)).toEqual(anew[1]![1].slice(0, 20))
})
