/** What leaves the process about visitors: every byte that the client sends is kept and searched for their ids. */
import { createHash } from 'node:crypto'
import { connect, createServer, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Counter, type CounterOptions } from '../../../src/index.ts'
import { RedisStore } from '../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
let tap: Server
let chunks: Buffer[] = []

beforeAll(async () => {
	server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(async () => {
	chunks = []
	tap = createServer((client) => {
		const upstream = connect(server.port, '127.0.0.1')
		client.on('data', (chunk) => chunks.push(chunk))
		client.pipe(upstream).pipe(client)
		for (const socket of [client, upstream]) socket.on('error', () => {})
	})
	await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
	await new Promise((resolve) => tap.close(resolve))
})

/** Of no common beginning, and of a length at which none is found by chance. */
const ids = (howMany: number) =>
	Array.from({ length: howMany }, (_, i) => createHash('sha256').update(`visitor ${i}`).digest('hex').slice(0, 20))

/** Those that are in the bytes, as text of any case or width, or in base64 or hex. */
function found(visitors: readonly string[]): string[] {
	const sent = Buffer.concat(chunks).toString('latin1').toLowerCase()
	const forms: readonly ((id: Buffer) => string)[] = [
		(id) => id.toString('latin1'),
		(id) => Buffer.from(id.toString(), 'utf16le').toString('latin1'),
		(id) => id.toString('hex'),
		// Its last letters depend on what follows.
		(id) => id.toString('base64').slice(0, -4).toLowerCase(),
	]
	const seen = new Set<string>()
	for (const form of forms) {
		const wanted = new Map(visitors.map((visitor) => [form(Buffer.from(visitor)), visitor]))
		const { length } = form(Buffer.from(visitors[0]!))
		for (let at = 0; at + length <= sent.length; at++) {
			const visitor = wanted.get(sent.slice(at, at + length))
			if (visitor !== undefined) seen.add(visitor)
		}
	}
	return visitors.filter((visitor) => seen.has(visitor))
}

/** Counts portions of visitors, a flush each, on two keys and in two lanes, and then reads, moves and deletes what there is to. */
async function count(portions: readonly (readonly string[])[], options: CounterOptions): Promise<number> {
	const { port } = tap.address() as { port: number }
	const namespace = `ids-${createHash('sha256')
		.update(JSON.stringify([options, portions.length]))
		.digest('hex')
		.slice(0, 12)}`
	const counter = new Counter({
		store: new RedisStore(`redis://127.0.0.1:${port}`, { partitions: 2 }),
		namespace,
		cache: false,
		...options,
	})
	for (const visitors of portions) {
		for (const [i, visitor] of visitors.entries()) {
			void counter.hit('/home', { visitor, ...(i % 4 === 0 ? { id: `${visitor} once` } : {}) })
			void counter.hit(`/page/${i % 3}`, { visitor, lane: i % 5 === 0 ? 'bot' : 'human' })
		}
		await counter.flush()
	}
	const { value } = await counter.uniques('/home')
	await counter.uniques(['/home', '/page/1'])
	await counter.top({ by: 'uniques' })
	await counter.stats('/home')
	await counter.delete('/page/1')
	await counter.close()
	return value
}

/** By how much each flush has: a few are sent one by one, more as one, a crowd as a whole sketch. */
const crowds = [
	['small', Array.from({ length: 60 }, (_, i) => ids(300).slice(5 * i, 5 * i + 5))],
	['medium', [ids(300), ids(500).slice(300)]],
	['large', [ids(900), ids(1_800).slice(900)]],
] as const

/** What each kind sends for such a crowd. */
const commands: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
	hyperloglog: { small: /pfadd/, medium: /evalsha/, large: /pfmerge/ },
	bloom: { small: /bitfield/, medium: /bitop/, large: /bitop/ },
}

describe.each(['hyperloglog', 'bloom'] as const)('no id of a visitor is sent with %s', (uniques) => {
	it.each(crowds)('by a %s crowd', async (crowd, portions) => {
		const visitors = portions.flat()
		const counted = await count(portions, { uniques })
		expect(Math.abs(counted - visitors.length)).toBeLessThan(0.05 * visitors.length)
		expect(Buffer.concat(chunks).toString('latin1')).toMatch(commands[uniques]![crowd]!)
		expect(found(visitors)).toEqual([])
	})

	it('by the cooldown of a visitor, nor the id of a hit', async () => {
		const visitors = ids(200)
		await count([visitors, visitors], { uniques, cooldownMs: 60_000, batch: false })
		expect(Buffer.concat(chunks).toString('latin1')).toContain(':claims')
		expect(found(visitors)).toEqual([])
	})
})

it.each(crowds)("with 'set' all of them are sent, by a %s crowd too", async (_, portions) => {
	const visitors = portions.flat()
	expect(await count(portions, { uniques: 'set' })).toBe(visitors.length)
	expect(found(visitors)).toEqual(visitors)
})
