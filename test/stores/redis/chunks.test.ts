/** A batch of so many keys that it is cut into several scripts, and a server that goes back to a moment between them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { bucketsOf, type Writer } from '../../../src/testing/contract/desk.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { answerInstead, type Bench, bench, until } from './support.ts'

/** Three scripts for each set: 500, 500 and 201 keys. */
const keys = Array.from({ length: 1_201 }, (_, i) => `/page/${i}`)
const chunks = 3

let server: RedisServer
let benches: Bench[] = []

beforeAll(async () => {
	server = await startRedis()
})
afterAll(() => server.stop())
afterEach(async () => {
	await Promise.all(benches.map((each) => each.end()))
	benches = []
})

function at(port: number): Bench {
	const made = bench(port)
	benches.push(made)
	return made
}

/** Every key has its hits on every level, in the sum of all and in the trend. */
async function expectHits(writer: Writer, minute: number, hitsOf: (i: number) => number): Promise<void> {
	const expected = keys.map((_, i) => hitsOf(i))
	const buckets = bucketsOf(minute)
	const { values } = await writer.reading(keys, buckets)
	const wrong = [...values].flatMap((value, cell) => {
		const i = Math.floor(cell / buckets.length)
		return value === expected[i] ? [] : [`${keys[i]} ${buckets[cell % buckets.length]!.level}: ${value} instead of ${expected[i]}`]
	})
	expect(wrong.slice(0, 5)).toEqual([])
	const sum = expected.reduce((a, b) => a + b)
	for (const bucket of buckets) expect(await writer.all(bucket)).toBe(sum)
	const scores = new Map((await writer.trending(keys.length)).map(({ key, score }) => [key, score]))
	const one = scores.get(keys[1]!)! / expected[1]!
	for (const [i, key] of keys.entries()) expect(scores.get(key)! / one).toBeCloseTo(expected[i]!, 6)
}

describe('a batch of 1,201 keys, of which a server that goes back has so many scripts of each set', () => {
	/** Takes the server back to what it was at `dumps`, and does the first scripts of each set once more. */
	async function goBack({ redis, client }: Bench, dumps: ReadonlyMap<string, Buffer>, from: number, done: number): Promise<void> {
		const scripts = client.pipelines
			.slice(from)
			.flat()
			.filter(({ name }) => name === 'evalsha')
		for (const [key, dump] of dumps) {
			await redis.restore(key, 0, dump, 'REPLACE')
			const theirs = scripts.filter(({ args }) => args[2] === key)
			expect(theirs.length).toBe(chunks)
			for (const { args } of theirs.slice(0, done)) expect(await redis.call('evalsha', args as string[])).toEqual([1, expect.any(Number)])
		}
	}

	async function dumpsOf({ redis, desk }: Bench): Promise<Map<string, Buffer>> {
		const sets = (await redis.keys(`{${desk.namespace}:0}:*`)).filter((key) => /:(hits|trend)/.test(key))
		expect(sets.length).toBe(5)
		return new Map(await Promise.all(sets.map(async (key) => [key, await redis.dumpBuffer(key)] as const)))
	}

	const lacks = [0, 1, 2].flatMap((done) => ['the next hits', 'a new connection'].map((noticed) => [done, noticed] as const))

	it.each(lacks)('%i: nothing is lost or doubled when %s shows it', async (done, noticed) => {
		const b = at(server.port)
		const writer = b.open()
		const minute = b.desk.minute()
		await writer.hit({ key: keys[0]!, minute })
		const dumps = await dumpsOf(b)
		const from = b.client.pipelines.length
		await writer.hit(...keys.map((key) => ({ key, hits: 2, minute })))
		await goBack(b, dumps, from, done)
		if (noticed === 'a new connection') {
			b.redis.disconnect(true)
			await until(async () => expectHits(writer, minute, (i) => (i === 0 ? 3 : 2)))
		}
		await writer.hit(...keys.filter((_, i) => i % 100 === 0).map((key) => ({ key, hits: 5, minute })))
		await expectHits(writer, minute, (i) => (i === 0 ? 3 : 2) + (i % 100 === 0 ? 5 : 0))
		expect(b.events).toEqual([])
	})

	it.each([0, 1, 2])('%i: nor when it was answered in part only', async (done) => {
		const b = at(server.port)
		const writer = b.open()
		const minute = b.desk.minute()
		await writer.hit({ key: keys[0]!, minute })
		const dumps = await dumpsOf(b)
		const from = b.client.pipelines.length
		const [batch] = writer.batches(keys.map((key) => ({ key, hits: 2, minute })))
		// Of each set, the writer learns that the first two scripts were done.
		const seen = new Map<unknown, number>()
		b.client.once(
			answerInstead('LOADING Redis is loading the dataset in memory', ({ name, args }) => {
				if (name !== 'evalsha') return false
				seen.set(args[2], (seen.get(args[2]) ?? 0) + 1)
				return seen.get(args[2]) === chunks
			}),
		)
		await expect(async () => writer.session.apply(batch!)).rejects.toThrow('LOADING')
		await goBack(b, dumps, from, done)
		await writer.session.apply(batch!)
		await expectHits(writer, minute, (i) => (i === 0 ? 3 : 2))
		expect(b.events).toEqual([])
	})
})

it('a batch of 1,201 keys is whole again, and counted once, wherever in it the append-only file was torn', {
	timeout: 60_000,
}, async () => {
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-chunks-'))
	const options = { dir, args: ['--appendonly', 'yes', '--appendfsync', 'always', '--aof-use-rdb-preamble', 'no'] }
	let server = await startRedis(options)
	const { port } = server
	try {
		const b = at(port)
		const [writer, other] = [b.open(), b.open()]
		const minute = b.desk.minute()
		const expected = keys.map(() => 0)
		const every = [...keys.keys()]
		const add = (indexes: readonly number[], hits: number) => {
			for (const i of indexes) expected[i]! += hits
			return indexes.map((i) => ({ key: keys[i]!, hits, minute }))
		}
		await other.hit(...add([0, 700], 1_000))
		for (let torn = 0, places = 1; torn < places; torn += 2) {
			const before = readFileSync(appendOnlyFile(dir)).length
			await writer.hit(...add(every, 2))
			await other.hit(...add([0, 1_200], 1_000))
			// Every moment between two commands since; with the first of each set a deadline.
			const ends = commandEnds(readFileSync(appendOnlyFile(dir)), before)
			places = ends.length
			expect(places).toBeGreaterThan(5 * chunks)
			await server.stop()
			truncateSync(appendOnlyFile(dir), ends[torn]!)
			server = await startRedis({ ...options, port })
			const batches = [...writer.batches(add([3, 600], 7)), ...other.batches(add([600], 1_000))]
			for (const [i, batch] of batches.entries()) await until(async () => (i === 0 ? writer : other).session.apply(batch))
			await expectHits(writer, minute, (i) => expected[i]!)
		}
		expect(b.events).toEqual([])
	} finally {
		await Promise.all(benches.map((each) => each.end()))
		benches = []
		await server.stop()
		rmSync(dir, { recursive: true, force: true })
	}
})

function appendOnlyFile(dir: string): string {
	const files = readdirSync(join(dir, 'appendonlydir')).filter((name) => name.includes('.incr.'))
	return join(dir, 'appendonlydir', files.sort().at(-1)!)
}

/** Where the commands of an append-only file end, from a place on where one begins. */
function commandEnds(file: Buffer, from: number): number[] {
	const ends: number[] = []
	const number = (at: number): [value: number, next: number] => {
		const end = file.indexOf('\r\n', at)
		return [Number(file.toString('latin1', at + 1, end)), end + 2]
	}
	for (let at = from; at < file.length; ) {
		let [words, next] = number(at)
		for (; words > 0; words--) {
			const [bytes, start] = number(next)
			next = start + bytes + 2
		}
		ends.push(next)
		at = next
	}
	return ends
}
