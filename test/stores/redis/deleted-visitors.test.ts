/** Visitors beside deletions by other processes: who was deleted stays away, and who came since stays. */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Counter, type CounterOptions } from '../../../src/index.ts'
import { RedisStore } from '../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
let redis: Redis
let namespace = ''
let namespaces = 0
const counters: Counter[] = []

beforeAll(async () => {
	server = await startRedis()
	redis = new Redis(server.port)
})
afterAll(async () => {
	redis.disconnect()
	await server.stop()
})
beforeEach(() => {
	namespace = `deleted-${++namespaces}`
})
afterEach(async () => {
	await Promise.all(counters.splice(0).map((counter) => counter.close({ timeoutMs: 100 })))
})

function open(options: CounterOptions = {}): Counter {
	const counter = new Counter({ store: new RedisStore(server.url, { partitions: 1 }), namespace, cache: false, ...options })
	counters.push(counter)
	return counter
}

async function visit(counter: Counter, key: string, ...visitors: string[]): Promise<void> {
	for (const visitor of visitors) void counter.hit(key, { visitor })
	await counter.flush()
}

const uniques = async (counter: Counter, key: string) => [
	(await counter.uniques(key)).value,
	(await counter.uniques(key, { period: 'day' })).value,
]

/** A counter whose last visitors of `key` were sent once more, later than their hits: something was deleted while they were on their way. */
async function sentAgain(counter: Counter, other: Counter, key: string): Promise<void> {
	await visit(other, '/other', 'somebody')
	for (let i = 0; i < 3; i++) await visit(counter, key, 'ada')
	await other.delete('/other')
	await visit(counter, key, 'ada', 'bob')
}

/** All connections break; `counter` is back first. */
async function comeBack(counter: Counter, other: Counter): Promise<void> {
	await redis.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
	await visit(counter, '/elsewhere', 'ada')
	await vi.waitFor(() => other.count('/elsewhere'), 10_000)
}

describe.each(['hyperloglog', 'set', 'bloom'] as const)('%s', (tracker) => {
	it.each(['closes', 'comes back'] as const)(
		'a deleted key stays without visitors when another process %s that had counted it',
		async (what) => {
			const [counter, other] = [open({ uniques: tracker }), open({ uniques: tracker })]
			await sentAgain(counter, other, '/page')
			await other.delete('/page')
			if (what === 'closes') await counter.close()
			else {
				await comeBack(counter, other)
			}
			expect([await other.count('/page'), ...(await uniques(other, '/page'))]).toEqual([0, 0, 0])
			await visit(other, '/page', 'eve')
			expect([await other.count('/page'), ...(await uniques(other, '/page'))]).toEqual([1, 1, 1])
		},
	)

	it.each(['closes', 'comes back'] as const)('visitors who came after a deletion stay when the process %s that deleted', async (what) => {
		const [counter, other] = [open({ uniques: tracker }), open({ uniques: tracker })]
		await visit(other, '/page', 'old')
		await sentAgain(counter, other, '/elsewhere')
		await counter.delete('/page')
		await visit(other, '/page', 'ada', 'bob', 'eve')
		if (what === 'closes') await counter.close()
		else {
			await comeBack(counter, other)
		}
		expect([await other.count('/page'), ...(await uniques(other, '/page'))]).toEqual([3, 3, 3])
	})
})

it('a damaged sketch is told of, and holds nothing else up', async () => {
	const counter = open()
	const errors: string[] = []
	counter.on('error', ({ code, message }) => errors.push(`${code}: ${message}`))
	await visit(counter, '/page', 'ada')
	await redis.setrange(`{${namespace}:0}:uniq=/page`, 16, '\xff\xff\xff')
	void counter.hit('/other')
	await visit(counter, '/page', 'bob', 'eve')
	expect([await counter.count('/page'), await counter.count('/other')]).toEqual([3, 1])
	expect(errors).toEqual([expect.stringMatching(/^ERR_TALLYMARK_STORE_REFUSED: .*visitors of partition 0: INVALIDOBJ/)])
})
