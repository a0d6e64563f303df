/** The settings that all counters of a namespace share, and what is said to one that has others. */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BloomTracker, Counter, type CounterOptions } from '../../../src/index.ts'
import { RedisStore, type RedisStoreOptions } from '../../../src/redis.ts'
import { day, hour } from '../../../src/testing/contract/desk.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
let redis: Redis
let counters: Counter[] = []
let namespace = ''
let namespaces = 0

beforeAll(async () => {
	server = await startRedis()
	redis = new Redis(server.port)
})
afterAll(async () => {
	redis.disconnect()
	await server.stop()
})
beforeEach(() => {
	namespace = `meta-${++namespaces}`
})
afterEach(async () => {
	await Promise.all(counters.map((counter) => counter.close({ timeoutMs: 100 })))
	counters = []
})

function open(options: CounterOptions = {}, storeOptions: RedisStoreOptions = {}): Counter {
	const counter = new Counter({ store: new RedisStore(server.url, { name: 'here', ...storeOptions }), namespace, cache: false, ...options })
	counters.push(counter)
	return counter
}

const stored = async () => JSON.parse((await redis.hget(`${namespace}:meta`, 'settings'))!) as Record<string, unknown>

/** Everything that is there of the namespace but what all share. */
const numbers = () => redis.keys(`{${namespace}:*`)

/** Each call is refused with these words, and nothing of the other counter is changed by it. */
async function expectMismatch(counter: Counter, words: string): Promise<void> {
	const before = [await stored(), (await numbers()).sort()]
	const message = `Counters of one namespace must agree: namespace "${namespace}" on redis:here has ${words}`
	const mismatch = { name: 'MismatchError', code: 'ERR_TALLYMARK_MISMATCH', message }
	const calls = [() => counter.count('/home'), () => counter.top(), () => counter.list(), () => counter.all.count({ period: 'day' })]
	for (const call of calls) await expect(async () => call()).rejects.toMatchObject(mismatch)
	const errors: unknown[] = []
	counter.on('error', (error) => errors.push(error))
	void counter.hit('/home', { visitor: 'ada' }).catch(() => {})
	await expect(async () => counter.flush({ timeoutMs: 200 })).rejects.toThrow()
	expect(errors[0]).toMatchObject(mismatch)
	const health = await counter.health()
	expect(health).toMatchObject({ status: 'degraded', pendingHits: 1, lastError: mismatch })
	expect([await stored(), (await numbers()).sort()]).toEqual(before)
}

it('are written down by the first counter, all that matter and the schema', async () => {
	await open({ uniquesPer: ['day', 'total'], retention: { minute: hour } }, { partitions: 4 }).count('/home')
	expect(await stored()).toEqual({
		schema: 1,
		partitions: 4,
		uniques: 'hyperloglog',
		uniquesPer: 'total, day',
		'retention.minute': hour,
		'retention.hour': 31 * day,
		'retention.day': 731 * day,
		trendHalfLifeMs: 6 * hour,
	})
	// In another order they are the same.
	expect(await open({ uniquesPer: ['total', 'day'], retention: { minute: hour } }, { partitions: 4 }).count('/home')).toBe(0)
})

describe('a difference is told with both values, and nothing is touched:', () => {
	const cases: readonly [setting: string, CounterOptions, RedisStoreOptions, words: string][] = [
		['partitions', {}, { partitions: 4 }, '`partitions` 16, and this counter has 4'],
		['uniques', { uniques: 'set' }, {}, '`uniques` hyperloglog, and this counter has set'],
		[
			'uniques, a filter of some shape',
			{ uniques: 'bloom' },
			{},
			`\`uniques\` hyperloglog, and this counter has ${new BloomTracker().kind}`,
		],
		['uniques, none', { uniques: false }, {}, '`uniques` hyperloglog, and this counter has off'],
		['uniquesPer', { uniquesPer: ['total', 'hour'] }, {}, '`uniquesPer` total, day, and this counter has total, hour'],
		['retention.minute', { retention: { minute: hour } }, {}, `\`retention.minute\` ${day}, and this counter has ${hour}`],
		['retention.hour', { retention: { hour: 0 } }, {}, `\`retention.hour\` ${31 * day}, and this counter has 0`],
		['retention.day', { retention: { day: 7 * day } }, {}, `\`retention.day\` ${731 * day}, and this counter has ${7 * day}`],
		['trendHalfLifeMs', { trendHalfLifeMs: hour }, {}, `\`trendHalfLifeMs\` ${6 * hour}, and this counter has ${hour}`],
	]

	it.each(cases)('%s', async (_, options, storeOptions, words) => {
		const first = open()
		void first.hit('/home', { visitor: 'ada' })
		await first.flush()
		await expectMismatch(open(options, storeOptions), words)
		expect(await first.count('/home')).toBe(1)
	})

	it('uniques, where the first counter has none', async () => {
		await open({ uniques: false }).count('/home')
		await expectMismatch(open(), '`uniques` off, and this counter has hyperloglog')
	})
})

describe('of another version of the layout:', () => {
	const versions: readonly [which: string, schema: unknown, words: string][] = [
		['a later one', 2, '`schema` 2'],
		['an earlier one', 0, '`schema` 0'],
		['none', undefined, '`schema` undefined'],
	]

	it.each(versions)('%s is told before all else, and its numbers are neither read nor written', async (_, schema, words) => {
		const first = open()
		void first.hit('/home')
		await first.flush()
		// Another layout has other settings too: what they mean there is not ours to say.
		const theirs = { schema, partitions: 5, sets: 'one of each' }
		await redis.hset(`${namespace}:meta`, 'settings', JSON.stringify(theirs))
		await expectMismatch(open(), `${words}, and this counter has 1`)
		expect(await stored()).toEqual(JSON.parse(JSON.stringify(theirs)))
	})

	it('is found by a counter that was there before it, at its next connection; hits wait, and are stored when the old one is back', async () => {
		const counter = open({ batch: { maxWaitMs: 20 } })
		void counter.hit('/home')
		await counter.flush()
		const [ours, theirs] = [JSON.stringify(await stored()), JSON.stringify({ ...(await stored()), schema: 2 })]
		await redis.hset(`${namespace}:meta`, 'settings', theirs)
		const before = await redis.zscore(`{${namespace}:${await partitionWith('/home')}}:hits`, '=/home')
		await redis.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
		await expect.poll(() => counter.count('/home').catch((error: Error) => error.message)).toContain('`schema` 2, and this counter has 1')
		void counter.hit('/home', { by: 5 })
		await new Promise((resolve) => setTimeout(resolve, 300))
		expect(await redis.zscore(`{${namespace}:${await partitionWith('/home')}}:hits`, '=/home')).toBe(before)
		await redis.hset(`${namespace}:meta`, 'settings', ours)
		await counter.flush()
		expect(await counter.count('/home')).toBe(6)
	})
})

/** Of 16. */
async function partitionWith(key: string): Promise<string> {
	for (const name of await redis.keys(`{${namespace}:*}:hits`)) {
		if ((await redis.zscore(name, `=${key}`)) !== null) return /:(\d+)\}/.exec(name)![1]!
	}
	throw new Error(`${key} is nowhere`)
}

it('are written again when the server was wiped while the connection held', async () => {
	const counter = open()
	await counter.hit('/home')
	await counter.flush()
	const before = await stored()
	await redis.flushall()
	for (let hits = 2; hits < 4; hits++) {
		await counter.hit('/home')
		await counter.flush()
		expect(await counter.count('/home')).toBe(hits)
	}
	expect(await stored()).toEqual(before)
	expect(await redis.zcard(`${namespace}:writers`)).toBe(1)
	await expectMismatch(open({ uniques: 'set' }), '`uniques` hyperloglog, and this counter has set')
})
