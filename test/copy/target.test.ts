import { setImmediate as nextTurn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CopyProgress, compare, copy, restore, snapshot } from '../../src/copy.ts'
import { Counter, MemoryStore, pluggedFilter } from '../../src/index.ts'
import { RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import type { Store } from '../../src/stores/store.ts'
import { FaultyStore, ManualClock } from '../../src/testing.ts'
import { startOf } from '../../src/time/granularity.ts'
import { type Sent, TamperedClient } from '../stores/redis/support.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

let server: RedisServer
let redis: Redis
const clients: Redis[] = []

beforeAll(async () => {
	server = await startRedis()
	redis = new Redis(server.port)
	redis.setMaxListeners(0)
})

afterAll(async () => {
	for (const client of [redis, ...clients]) client.disconnect()
	await server.stop()
})

let last = 0
const fresh = () => `copy-${++last}`

/** `keys` keys with 1, 2, 3, ... hits and as many visitors. */
async function filled(store: Store, namespace: string, keys = 20): Promise<void> {
	const counter = new Counter({ store, namespace })
	for (let i = 1; i <= keys; i++) for (let hit = 0; hit < i; hit++) await counter.hit(`/${i}`, { visitor: `v${hit}` })
	await counter.close()
}

async function topOf(store: Store, namespace: string): Promise<unknown> {
	const counter = new Counter({ store, namespace })
	try {
		return [await counter.top(), await counter.all.count(), await counter.all.uniques()]
	} finally {
		await counter.close()
	}
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string> {
	const all: Uint8Array[] = []
	for await (const chunk of chunks) all.push(chunk)
	return Buffer.concat(all).toString()
}

describe('a comparison', () => {
	it('finds what only the target has, in whatever lane', async () => {
		const [from, to, namespace] = [new MemoryStore(), new MemoryStore(), fresh()]
		const counter = new Counter({ store: to, namespace })
		await counter.hit('/a', { lane: 'bot', by: 3, visitor: 'ada' })
		await counter.close()
		const empty = await compare({ from, to, namespace })
		expect(empty.different).toBeGreaterThan(0)
		expect(empty.examples).toContain('all keys (bot, total): 0 and 3')
		await filled(from, namespace, 2)
		await filled(to, namespace, 2)
		expect((await compare({ from, to, namespace })).examples).toEqual(empty.examples)
	})
})

describe('a target that is not empty', () => {
	it('is refused, and stays as it is', async () => {
		const [from, to, namespace] = [new MemoryStore(), new RedisStore(redis), fresh()]
		await filled(from, namespace)
		await filled(to, namespace, 3)
		const before = await topOf(to, namespace)
		await expect(copy({ from, to, namespace })).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_NOT_EMPTY',
			message: expect.stringMatching(/^Expected .*\/copy-\d+ to be empty.* got numbers/),
		})
		expect(await topOf(to, namespace)).toEqual(before)
	})

	it('is forgotten first with `overwrite`, keys that the source does not have included', async () => {
		const [from, to, namespace] = [new MemoryStore(), new RedisStore(redis), fresh()]
		await filled(from, namespace, 5)
		await filled(to, namespace, 30)
		await copy({ from, to, namespace, overwrite: true })
		expect(await topOf(to, namespace)).toEqual(await topOf(from, namespace))
		expect(await compare({ from: to, to: from, namespace })).toMatchObject({ different: 0, keys: 5 })
	})

	it('is not forgotten when it is the source by another name', async () => {
		const namespace = fresh()
		const [one, other] = [new RedisStore(`redis://localhost:${server.port}`), new RedisStore(`redis://127.0.0.1:${server.port}`)]
		const memory = new MemoryStore()
		for (const [from, to] of [
			[one, other],
			[memory, new FaultyStore(memory)],
		] as const) {
			await filled(from, namespace, 5)
			const before = await topOf(from, namespace)
			await expect(copy({ from, to, namespace, overwrite: true })).rejects.toMatchObject({
				code: 'ERR_TALLYMARK_ARGUMENT',
				message: expect.stringContaining('one by two names'),
			})
			expect(await topOf(from, namespace)).toEqual(before)
			// The note is as it was, and another namespace another place.
			await copy({ from, to, namespace, toNamespace: `${namespace}-2`, overwrite: true })
			await expect(copy({ from, to, namespace: `${namespace}-2`, overwrite: true })).rejects.toMatchObject({
				code: 'ERR_TALLYMARK_ARGUMENT',
			})
			expect(await copy({ from, to, namespace, toNamespace: `${namespace}-2` })).toMatchObject({ resumed: true, numbers: 0 })
			expect(await topOf(to, `${namespace}-2`)).toEqual(before)
		}
	})

	it('with a part of another copy is refused, and that copy named', async () => {
		const [from, other, to, namespace] = [new MemoryStore(), new RedisStore(redis, { name: 'other' }), new MemoryStore(), fresh()]
		await filled(from, namespace)
		await filled(other, namespace)
		const stopping = new AbortController()
		const onProgress = () => stopping.abort(new Error('enough'))
		await expect(copy({ from: other, to, namespace, onProgress, signal: stopping.signal })).rejects.toThrow('enough')
		await copy({ from: other, to, namespace })
		await expect(copy({ from, to, namespace })).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_NOT_EMPTY',
			message: expect.stringContaining(`a copy of redis:other/${namespace}`),
		})
	})

	it('is not copied into again when the copy was finished, unless it is to be overwritten', async () => {
		const [from, to, namespace] = [new MemoryStore(), new RedisStore(redis), fresh()]
		await filled(from, namespace, 4)
		expect(await copy({ from, to, namespace })).toMatchObject({ resumed: false, keys: 4 })
		const counter = new Counter({ store: to, namespace })
		await counter.hit('/1', { by: 100 })
		await counter.close()
		expect(await copy({ from, to, namespace })).toMatchObject({ resumed: true, keys: 0 })
		expect(await topOf(to, namespace)).toMatchObject([[{ key: '/1', hits: 101 }, { hits: 4 }, { hits: 3 }, { hits: 2 }], 110, { value: 4 }])
		expect(await copy({ from, to, namespace, overwrite: true })).toMatchObject({ resumed: false, keys: 4 })
		expect(await topOf(to, namespace)).toEqual(await topOf(from, namespace))
	})
})

describe('a copy that was interrupted', () => {
	/** Copies some of the partitions. */
	async function begin(from: Store, to: Store, namespace: string): Promise<void> {
		const stopping = new AbortController()
		const onProgress = ({ partitionsDone }: CopyProgress) => {
			if (partitionsDone === Math.floor(from.partitions / 2)) stopping.abort(new Error('enough'))
		}
		await expect(copy({ from, to, namespace, onProgress, signal: stopping.signal })).rejects.toThrow('enough')
	}

	/** Two databases of one server. */
	function databases(): [Redis, Redis] {
		const both = [1, 2].map((db) => new Redis({ port: server.port, db })) as [Redis, Redis]
		clients.push(...both)
		return both
	}

	it('goes on from its own source only, whatever the stores are called', async () => {
		const namespace = fresh()
		const [one, two] = databases()
		await filled(new RedisStore(one), namespace)
		await filled(new RedisStore(two), namespace)
		for (const to of [new MemoryStore(), new RedisStore(redis)]) {
			await begin(new RedisStore(one, { name: 'same' }), to, namespace)
			await expect(copy({ from: new RedisStore(two, { name: 'same' }), to, namespace })).rejects.toMatchObject({
				code: 'ERR_TALLYMARK_NOT_EMPTY',
				message: expect.stringContaining(`got a copy of other numbers by the name of redis:same/${namespace}`),
			})
			expect(await copy({ from: new RedisStore(one, { name: 'renamed' }), to, namespace })).toMatchObject({ resumed: true })
			// Nor is it done when the other one is asked for.
			await expect(copy({ from: new RedisStore(two, { name: 'same' }), to, namespace })).rejects.toThrow('copy of')
			expect(await copy({ from: new RedisStore(two), to, namespace, overwrite: true })).toMatchObject({ resumed: false, keys: 20 })
		}
	})

	it('goes on from its own ring only, with other nodes by then', async () => {
		const namespace = fresh()
		const [one, two] = databases()
		const ring = (...clients: Redis[]) =>
			new ShardedRedisStore({ partitions: 4, nodes: clients.map((client) => ({ name: `db${client.options.db}`, client })) })
		await filled(ring(one), namespace)
		const to = new MemoryStore()
		await begin(ring(one), to, namespace)
		expect(await ring(one, two).rebalance({ namespace })).toMatchObject({ moved: 2, failed: [] })
		expect(await copy({ from: ring(one, two), to, namespace })).toMatchObject({ resumed: true })
		expect(await compare({ from: ring(one, two), to, namespace })).toMatchObject({ different: 0 })
		const other = new ShardedRedisStore({ partitions: 4, nodes: [{ name: 'db1', client: redis }] })
		await filled(other, namespace)
		await expect(copy({ from: other, to, namespace })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_NOT_EMPTY' })
		await expect(copy({ from: new MemoryStore({ partitions: 4 }), to, namespace })).rejects.toThrow('copy of redis:ring/')
	})

	it('does not go on when its source was filled anew', async () => {
		const namespace = fresh()
		const [from, to] = [new RedisStore(redis), new MemoryStore()]
		const memory = new MemoryStore()
		await filled(memory, namespace)
		await copy({ from: memory, to: from, namespace })
		await begin(from, to, namespace)
		const others = new MemoryStore()
		await filled(others, namespace, 3)
		await copy({ from: others, to: from, namespace, overwrite: true })
		await expect(copy({ from, to, namespace })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_NOT_EMPTY' })
		await copy({ from, to, namespace, overwrite: true })
		expect(await topOf(to, namespace)).toEqual(await topOf(others, namespace))
	})

	it('goes on with the first partition that was not through', async () => {
		const [from, to, namespace] = [new MemoryStore({ partitions: 8 }), new RedisStore(redis, { partitions: 3 }), fresh()]
		await filled(from, namespace)
		const stopping = new AbortController()
		const stop = ({ partitionsDone }: CopyProgress) => {
			if (partitionsDone === 5) stopping.abort(new Error('enough'))
		}
		await expect(copy({ from, to, namespace, onProgress: stop, signal: stopping.signal })).rejects.toThrow('enough')
		const seen: number[] = []
		const report = await copy({ from, to, namespace, onProgress: ({ partitionsDone }) => seen.push(partitionsDone) })
		expect(report).toMatchObject({ resumed: true, partitions: 8, partitionsDone: 8 })
		expect(seen[0]).toBe(5)
		expect(report.keys).toBeLessThan(20)
		expect(await topOf(to, namespace)).toEqual(await topOf(from, namespace))
	})

	it('tells what stopped it: a store that does not answer', async () => {
		const [from, inner, namespace] = [new MemoryStore(), new MemoryStore(), fresh()]
		await filled(from, namespace)
		const to = new FaultyStore(inner)
		to.failNext('before', { op: 'restore' })
		await expect(copy({ from, to, namespace })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		expect(await copy({ from, to, namespace })).toMatchObject({ partitionsDone: 1 })
	})
})

it('what a copy sent that comes late, after counting has begun, takes nothing back', async () => {
	const [from, namespace] = [new MemoryStore(), fresh()]
	await filled(from, namespace, 6)
	const client = new TamperedClient(redis)
	const to = new RedisStore(client, { partitions: 1 })
	const sent: Sent[] = []
	client.tamper = (commands, send) => {
		sent.push(...commands.filter(({ name, args }) => name === 'eval' && String(args[2]).includes(':hits')))
		return send()
	}
	await copy({ from, to, namespace })
	client.tamper = undefined
	const counter = new Counter({ store: to, namespace, batch: false, cache: false })
	await counter.hit('/1', { by: 50 })
	expect(sent.length).toBeGreaterThan(3)
	for (const { name, args } of sent) await redis.call(name, ...(args as string[]))
	expect(await counter.count('/1')).toBe(51)
	expect(await counter.count('/1', { period: 'day' })).toBe(51)
	expect(await counter.all.count()).toBe(71)
	await counter.close()
})

it('what is copied into Redis ends when it would have ended', async () => {
	const [from, to, namespace] = [new MemoryStore(), new RedisStore(redis, { partitions: 1 }), fresh()]
	await filled(from, namespace, 2)
	await copy({ from, to, namespace })
	const names = await redis.keys(`{${namespace}:*`)
	const day = startOf('day', Date.now()) / 1_000
	const ends = await Promise.all(names.map(async (name) => [name.slice(name.indexOf('}') + 1), await redis.expiretime(name)] as const))
	const ended = Object.fromEntries(ends)
	expect(ended[':hits']).toBe(-1)
	expect(ended[':uniq=/1']).toBe(-1)
	expect(ended[`:hits:day:${day}`]).toBe(day + 86_400 * 732)
	expect(ended[`:uniq:day:${day}=/1`]).toBe(day + 86_400 * 732)
	expect(ended[`:uniq:day:${day}*`]).toBe(day + 86_400 * 732)
	for (const [name, end] of ends) if (/:(minute|hour|trend):/.test(name)) expect(end, name).toBeGreaterThan(Date.now() / 1_000)
})

it('while the source counts, each number is one that it had, and nothing is lost for good', async () => {
	const [from, to, namespace] = [new RedisStore(redis, { partitions: 4 }), new MemoryStore({ partitions: 2 }), fresh()]
	await filled(from, namespace, 40)
	const counter = new Counter({ store: from, namespace, batch: { maxWaitMs: 5 } })
	let counting = true
	let rounds = 0
	const busy = (async () => {
		for (; counting; rounds++) {
			for (let i = 1; i <= 40; i++) await counter.hit(`/${i}`, { visitor: `late ${rounds}` })
			await counter.flush()
			await nextTurn()
		}
	})()
	await copy({ from, to, namespace })
	counting = false
	await busy
	const copied = new Counter({ store: to, namespace })
	for (let i = 1; i <= 40; i++) {
		const hits = await copied.count(`/${i}`)
		expect(hits).toBeGreaterThanOrEqual(i)
		expect(hits).toBeLessThanOrEqual(i + rounds)
	}
	await counter.close()
	await copy({ from, to, namespace, overwrite: true })
	expect(await compare({ from, to, namespace })).toMatchObject({ different: 0 })
})

describe('compare', () => {
	it('finds each number that differs, and keys that only one side has', async () => {
		const [from, to, namespace] = [new MemoryStore(), new RedisStore(redis), fresh()]
		await filled(from, namespace, 6)
		await copy({ from, to, namespace })
		expect(await compare({ from, to, namespace })).toMatchObject({ different: 0, examples: [], keys: 6 })
		const counter = new Counter({ store: to, namespace })
		await counter.hit('/3')
		await counter.hit('only here', { visitor: 'somebody else' })
		await counter.close()
		const { different, examples } = await compare({ from, to, namespace })
		expect(different).toBeGreaterThanOrEqual(10)
		expect(examples).toContain('"/3" (human, total): 3 and 4')
		expect((await compare({ from, to, namespace })).examples.length).toBe(10)
		const one = new MemoryStore()
		await filled(one, namespace, 6)
		const visited = new Counter({ store: one, namespace })
		await visited.set('/6', 5)
		await visited.hit('/6', { visitor: 'another', at: Date.now() - 86_400_000 * 40 })
		await visited.close()
		expect((await compare({ from, to: one, namespace })).examples).toContain('"/6" (human, total): 6 visitors and 7 visitors')
	})
})

describe('what cannot be copied', () => {
	it('a namespace onto itself', async () => {
		const store = new MemoryStore()
		await expect(copy({ from: store, to: store })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT' })
		await filled(store, 'a', 3)
		await copy({ from: store, to: store, namespace: 'a', toNamespace: 'b' })
		expect(await topOf(store, 'b')).toEqual(await topOf(store, 'a'))
	})

	it('a namespace that was written with other settings', async () => {
		const [from, to, namespace] = [new RedisStore(redis), new MemoryStore(), fresh()]
		await filled(from, namespace, 3)
		await expect(copy({ from, to, namespace, uniques: 'set' })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
		await expect(copy({ from, to, namespace, retention: { hour: 0 } })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
		await expect(copy({ from, to, namespace, uniques: 'hll' as 'set' })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_OPTION' })
	})

	it('a store without a transfer', async () => {
		const inner = new MemoryStore()
		const store: Store = {
			name: 'theirs',
			partitions: 1,
			open: (settings) => Object.assign(Object.create(inner.open(settings)), { transfer: undefined, close: () => {} }),
		}
		await expect(copy({ from: new MemoryStore(), to: store })).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_ARGUMENT',
			message: "Expected stores whose sessions have a transfer(), got 'theirs'",
		})
	})

	it("somebody else's filter, which nobody can write down", async () => {
		const [store, seen] = [new MemoryStore(), () => new Set<string>()]
		const uniques = pluggedFilter({ kind: 'a set', create: seen, errorRate: 0 })
		const counter = new Counter({ store, uniques })
		await counter.hit('/home', { visitor: 'ada' })
		await counter.close()
		await expect(copy({ from: store, to: new MemoryStore(), uniques })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_SKETCH' })
	})
})

describe('a snapshot', () => {
	const taken = async (keys = 12) => {
		const store = new MemoryStore({ partitions: 3 })
		await filled(store, 'tm', keys)
		return { store, text: await collect(snapshot({ store })) }
	}

	it('is lines of JSON: the settings, the records, the ends of partitions, the end', async () => {
		const { text } = await taken()
		const lines = text
			.trimEnd()
			.split('\n')
			.map((line) => JSON.parse(line))
		expect(lines[0]).toMatchObject({
			tallymark: 1,
			source: 'memory/tm',
			partitions: 3,
			uniques: 'hyperloglog',
			uniquesPer: ['total', 'day'],
		})
		expect(lines.at(-1)).toEqual(['end'])
		const rows = lines.slice(1)
		expect(rows.filter(([kind]) => kind === 'partition').map(([, partition]) => partition)).toEqual([0, 1, 2])
		const hits = rows.filter(([kind, , level]) => kind === 'hits' && level === 'total').flatMap((line) => line[4])
		expect(hits.length).toBe(24)
		expect(hits[hits.indexOf('/7') + 1]).toBe(7)
	})

	it('goes back with sums that are rounded, of a clock that has fractions', async () => {
		const [store, target, clock] = [new MemoryStore(), new MemoryStore(), new ManualClock(1_773_138_930_000.25)]
		const counter = new Counter({ store, clock })
		for (let n = 0; n < 3; n++) await counter.hit('/a', { by: Number.MAX_SAFE_INTEGER })
		await counter.close()
		const text = await collect(snapshot({ store, clock }))
		await restore({ store: target, snapshot: [text], clock })
		const restored = new Counter({ store: target, clock })
		expect(await restored.count('/a')).toBe(3 * Number.MAX_SAFE_INTEGER)
		expect(await compare({ from: store, to: target, clock })).toMatchObject({ different: 0 })
	})

	it.each([
		['cut in a line', (text: string) => text.slice(0, -40)],
		['cut between lines', (text: string) => text.slice(0, text.lastIndexOf('["end"]'))],
		['without a line', (text: string) => text.split('\n').toSpliced(2, 1).join('\n')],
		['with a number that was changed', (text: string) => text.replace('"/7",7', '"/7",8')],
		[
			'with lines that changed places',
			(text: string) => text.split('\n').toSpliced(2, 2, text.split('\n')[3]!, text.split('\n')[2]!).join('\n'),
		],
		['with a partition that is missing', (text: string) => text.replace(/\["partition",1,[^\n]*\n/, '')],
	])('%s is refused, and a whole one goes on from there', async (_, damage) => {
		const { store, text } = await taken()
		const target = new MemoryStore()
		await expect(restore({ store: target, snapshot: [damage(text)] })).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_SNAPSHOT',
			message: expect.stringMatching(/^Expected line \d+ of the snapshot to be /),
		})
		await restore({ store: target, snapshot: [text] })
		expect(await topOf(target, 'tm')).toEqual(await topOf(store, 'tm'))
		expect(await compare({ from: store, to: target })).toMatchObject({ different: 0 })
	})

	it.each([
		['nothing', ''],
		['no JSON', 'hello\n'],
		['another version', '{"tallymark":2}\n'],
		['no settings', '{"tallymark":1,"source":"x"}\n'],
	])('%s is none', async (_, text) => {
		await expect(restore({ store: new MemoryStore(), snapshot: [text] })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_SNAPSHOT' })
	})

	it.each([
		'["hits","human","total",0,["a",-1]]',
		'["hits","human","total",0,["a",1.5]]',
		'["hits","human","total",0,["a"]]',
		'["hits","human","total",0,["",1]]',
		'["hits","human","week",0,["a",1]]',
		'["hits","human","minute",1,["a",1]]',
		'["hits","nobody","total",0,["a",1]]',
		'["trend","human",0,["a",-1]]',
		'["visitors","human","total",0,["a","?"]]',
		'["other","human",0]',
		'{}',
	])('has no line such as %s', async (line) => {
		const head = (await taken(1)).text.split('\n')[0]!
		await expect(restore({ store: new MemoryStore(), snapshot: [`${head}\n${line}\n`] })).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_SNAPSHOT',
			message: expect.stringContaining('Expected line 2 of the snapshot'),
		})
	})

	it('with a sketch that is none is refused by either store', async () => {
		const { text } = await taken(3)
		const spoilt = text.replace(/(\["visitors",[^[]*\["\/\d+",)"[^"]*"/, '$1"AAAA"')
		for (const store of [new MemoryStore(), new RedisStore(redis)]) {
			await expect(restore({ store, snapshot: [spoilt], namespace: fresh() })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_SKETCH' })
		}
	})

	it('is not restored twice, nor beside other numbers', async () => {
		const { text } = await taken(5)
		const store = new MemoryStore()
		expect(await restore({ store, snapshot: [text] })).toMatchObject({ keys: 5, resumed: false })
		expect(await restore({ store, snapshot: [text] })).toMatchObject({ keys: 0, resumed: true })
		const other = await taken(7)
		await expect(restore({ store, snapshot: [other.text] })).rejects.toMatchObject({ code: 'ERR_TALLYMARK_NOT_EMPTY' })
		expect(await restore({ store, snapshot: [other.text], overwrite: true })).toMatchObject({ keys: 7 })
		expect(await topOf(store, 'tm')).toEqual(await topOf(other.store, 'tm'))
	})
})
