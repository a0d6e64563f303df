/**
 * Hits into one Redis: with everything tallymark keeps (four levels, all keys together, the trend, visitors, exactly once) against INCR of a single number
 * with autopipelining, and against redis-metrics with minute granularity. One server of its own, without persistence, for all of them; its time, its
 * traffic and its memory are taken from the server's own counts. And what an append-only file costs: servers with one against a server without.
 */

import { execFile } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { Counter, type CounterOptions } from '../src/index.ts'
import { RedisStore } from '../src/redis.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { type Contender, compare, gate, meetStringsOfEveryKind, named, printTable, seeded, spread, zipf } from './harness.ts'

const names = Array.from({ length: 20_000 }, (_, i) => `/articles/2026/${String(i).padStart(6, '0')}.html`.slice(0, 25))
const pages = names.slice(0, 1_000)
/** Who visits, one after the other; each of them pages at random, so that most visits are the visitor's first to that page. */
const CROWD = 99_991
/** Flat strings, as what was read from a request is: those that V8 joins of parts would be joined while they are measured. */
const visitors = Array.from({ length: CROWD }, (_, i) => Buffer.from(`visitor-${i.toString(36)}-of-the-site`).toString())
/** Hits before those that count, where a site that has been busy for a few seconds is meant: less and less of who comes is news to a sketch. */
const EARLIER = 10_000_000
/** Hits between two turns of the event loop, as so many requests would be. */
const SLICE = 2_000
/** Hits that may wait; more would be refused, as they come quicker than the server takes them while all visitors are new. */
const WAITING = 900_000

export async function run(): Promise<void> {
	const server = await startRedis()
	try {
		await speed(server.port)
		await cost(server.port)
		await memory(server.port)
		await charts(server.port)
	} finally {
		await server.stop()
	}
	await persistence()
}

async function speed(port: number): Promise<void> {
	const many = 2_000_000
	const order = orderOf(many)
	const counter = new Counter()
	meetStringsOfEveryKind((visitor) => counter.hit('/', { visitor }))
	await counter.close()
	const versusIncr = await compare({ title: 'Hits stored, 1,000 keys, Zipf', operations: many, rounds: 3, warmups: 1 }, [
		incr(port, order),
		tallymark('tallymark, everything on', port, order, { earlier: EARLIER }),
		tallymark('tallymark, everything on, first hits of all', port, order),
		tallymark('tallymark, no visitors', port, order, { uniques: false }),
	])
	gate('everything on, against INCR with autopipelining', named(versusIncr, 'tallymark, everything on').ratio.median, { atLeast: 10 })
	const cold = named(versusIncr, 'tallymark, everything on, first hits of all').ratio.median
	console.log(`  the first ${many / 1e6} million hits of all: ${cold.toFixed(1)} times INCR`)
	const few = 20_000
	const theirs = redisMetrics(port, order)
	const versusMetrics = await compare({ title: 'Hits stored, 1,000 keys, Zipf, fewer of them', operations: few, rounds: 5, warmups: 1 }, [
		theirs,
		tallymark('tallymark, everything on', port, order, { earlier: 100_000 }),
	])
	// The rate of the long run, which has some flushes, over theirs, which does not depend on the length.
	const rate = named(versusIncr, 'tallymark, everything on').rate.median / named(versusMetrics, theirs.name).rate.median
	gate('everything on, against redis-metrics', rate, { atLeast: 30 })
	const numbers = named(versusIncr, 'tallymark, no visitors').ratio.median
	console.log(`  without visitors: ${numbers.toFixed(1)} times INCR`)
	const { stdout } = await promisify(execFile)('redis-benchmark', [
		...['-p', String(port), '-t', 'incr', '-n', '1000000', '-P', '64', '-r', '1000', '-q', '--csv'],
	])
	console.log(`  redis-benchmark, INCR with 64 in a pipeline: ${stdout.trim().split('\n').at(-1)}`)
}

/** What a hit costs the server. */
async function cost(port: number): Promise<void> {
	const hits = 1_000_000
	const order = orderOf(hits)
	const rows: string[][] = []
	let stored = 0
	const measure = async (name: string, contender: Contender, deltas: () => number) => {
		await contender.prepare?.()
		stored = 0
		const admin = new Redis(port)
		const before = await counts(admin)
		await contender.run(hits)
		const after = await counts(admin)
		const served = deltas()
		await contender.tidy?.()
		admin.disconnect()
		const micros = (after.cpu - before.cpu) * 1e6
		rows.push([name, (micros / hits).toFixed(3), (micros / served).toFixed(2), ((after.bytes - before.bytes) / hits).toFixed(2)])
	}
	const everything = tallymark('tallymark, everything on', port, order, { earlier: EARLIER }, (keys) => {
		stored += keys
	})
	const first = tallymark('tallymark, everything on, first hits of all', port, order, {}, (keys) => {
		stored += keys
	})
	const numbers = tallymark('tallymark, no visitors', port, order, { uniques: false }, (keys) => {
		stored += keys
	})
	await measure('INCR, autopipelined', incr(port, order), () => hits)
	await measure('tallymark, everything on', everything, () => stored)
	await measure('tallymark, everything on, first hits of all', first, () => stored)
	await measure('tallymark, no visitors', numbers, () => stored)
	console.log('\nWhat the server does for it (a delta is the hits of one key in one flush)')
	printTable(['', 'server us/hit', 'us/delta', 'wire bytes/hit'], rows)
}

async function memory(port: number): Promise<void> {
	const rows: string[][] = []
	for (const size of [1_000, 5_000, 20_000]) {
		const keys = names.slice(0, size)
		const theirs = await bytesPerKey(port, size, async () => {
			const contender = redisMetrics(port, keys)
			await contender.prepare?.()
			await contender.run(size)
			return async () => contender.tidy?.()
		})
		const ours = async (options: CounterOptions, without: string) =>
			bytesPerKey(port, size, async () => {
				const counter = new Counter({ store: new RedisStore(`redis://127.0.0.1:${port}`), ...options })
				// All in one minute, however long it takes.
				const at = Date.now()
				for (const key of keys) void counter.hit(key, { visitor: 'ada', at })
				await counter.flush()
				const admin = new Redis(port)
				if (without !== '') for (const key of await admin.keys(without)) await admin.del(key)
				admin.disconnect()
				return async () => void (await counter.close())
			})
		const levels = await ours({ uniques: false }, '*trend*')
		const trend = await ours({ uniques: false }, '')
		const everything = await ours({}, '')
		rows.push([String(size), ...[theirs, levels, trend, everything].map((bytes) => bytes.toFixed(0))])
		if (size === 1_000) {
			gate('memory of four levels, 1,000 keys, against redis-metrics', levels / theirs, { atMost: 1 / 3 })
		} else {
			gate(`memory of four levels, ${size} keys, against redis-metrics`, levels / theirs, { atMost: 2 / 3 })
		}
	}
	console.log('\nBytes of Redis memory per key of 25 characters')
	printTable(['keys', 'redis-metrics', 'total, minute, hour, day', '+ trend', '+ one visitor, total and day'], rows)
}

/** A day by minute, read past the cache: how long it takes, and for how long the process that reads does nothing else. */
async function charts(port: number): Promise<void> {
	const rows: string[][] = []
	const minutes = 1_440
	const chart = { granularity: 'minute', last: minutes } as const
	for (const partitions of [16, 64]) {
		const admin = new Redis(port)
		await admin.flushall()
		admin.disconnect()
		const counter = new Counter({ store: new RedisStore(`redis://127.0.0.1:${port}`, { partitions }), cache: false, uniques: false })
		const now = Date.now()
		for (let minute = 0; minute < minutes; minute++) {
			for (let i = 0; i < 20; i++) void counter.hit(pages[(7 * minute + i) % pages.length]!, { at: now - minute * 60_000 })
		}
		await counter.flush()
		const readings = { 'one key': () => counter.series(pages[7]!, chart), 'all keys together': () => counter.all.series(chart) }
		for (const [what, read] of Object.entries(readings)) {
			const took: number[] = []
			const held: number[] = []
			for (let round = 0; round < 9; round++) {
				const delays = monitorEventLoopDelay({ resolution: 1 })
				delays.enable()
				await pause(20)
				delays.reset()
				const start = performance.now()
				const points = await read()
				took.push(performance.now() - start)
				await pause(5)
				delays.disable()
				held.push(delays.max / 1e6)
				if (points.length !== minutes) throw new Error(`a chart of ${points.length} minutes`)
			}
			rows.push([`${what}, ${partitions} partitions`, ...[took, held].map((each) => spread(each.slice(2)).median.toFixed(1))])
		}
		await counter.close()
	}
	console.log(`\nA chart of ${minutes} minutes, read past the cache, ms`)
	printTable(['', 'until it is there', 'event loop held at most'], rows)
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The same hits into servers that keep a file of every write and one that keeps none, in turns. */
async function persistence(): Promise<void> {
	const rounds = 3
	const kinds: readonly (readonly [name: string, fsync: string | undefined])[] = [
		['no file', undefined],
		['everysec', 'everysec'],
		['always', 'always'],
	]
	const file = (fsync: string) => ['--appendonly', 'yes', '--appendfsync', fsync, '--auto-aof-rewrite-percentage', '0']
	const servers: RedisServer[] = []
	const loads = [
		{ load: 'four flushes a second', hits: 300_000, options: { earlier: 100_000, batch: { maxWaitMs: 250 } } },
		{ load: 'a flush for every 100 hits', hits: 10_000, options: { earlier: 10_000, flushEvery: 100 } },
	]
	try {
		for (const [, fsync] of kinds) servers.push(await startRedis({ args: fsync === undefined ? [] : file(fsync) }))
		const rows: string[][] = []
		for (const { load, hits, options } of loads) {
			const order = orderOf(hits)
			const figures = kinds.map(([name], i): { contender: Contender; costs: number[][] } => {
				const { port } = servers[i]!
				const costs: number[][] = []
				let deltas = 0
				const inner = tallymark(name, port, order, options, (keys) => {
					deltas += keys
				})
				const run = async (operations: number) => {
					const admin = new Redis(port)
					deltas = 0
					const before = await counts(admin)
					await inner.run(operations)
					const after = await counts(admin)
					admin.disconnect()
					const micros = (after.cpu - before.cpu) * 1e6
					costs.push([micros / operations, micros / deltas, (after.file - before.file) / operations])
				}
				return { contender: { ...inner, run }, costs }
			})
			await compare(
				{ title: `Hits stored with an append-only file, everything on, ${load}`, operations: hits, rounds, warmups: 1 },
				figures.map(({ contender }) => contender),
			)
			for (const { contender, costs } of figures) {
				// Without the round that warmed up, and the short one that counts bytes.
				const counted = costs.slice(1, 1 + rounds)
				const median = (column: number) => spread(counted.map((row) => row[column]!)).median
				rows.push([`${load}, ${contender.name}`, median(0).toFixed(2), median(1).toFixed(2), median(2).toFixed(1)])
			}
		}
		console.log(`\nWhat the servers do for it (${fsyncMs(servers[0]!.dir).toFixed(2)} ms for an fsync of 4 KB on this disk)`)
		printTable(['', 'server us/hit', 'us/delta', 'file bytes/hit'], rows)
	} finally {
		await Promise.all(servers.map((server) => server.stop()))
	}
}

/** What bounds a server that waits for the disk: the median of some. */
function fsyncMs(dir: string): number {
	const file = openSync(join(dir, 'fsync'), 'w')
	const times = Array.from({ length: 51 }, () => {
		const start = performance.now()
		writeSync(file, Buffer.alloc(4_096))
		fdatasyncSync(file)
		return performance.now() - start
	})
	closeSync(file)
	return spread(times).median
}

function orderOf(length: number): readonly string[] {
	return Array.from(zipf(pages.length, length, seeded(1)), (index) => pages[index] as string)
}

function incr(port: number, order: readonly string[]): Contender {
	let redis: Redis
	return {
		name: 'INCR, autopipelined',
		prepare: async () => {
			redis = new Redis(port, { enableAutoPipelining: true })
			await redis.flushall()
		},
		run: async (operations) => {
			for (let from = 0; from < operations; from += SLICE) {
				const sent: Promise<number>[] = []
				for (let i = from; i < Math.min(operations, from + SLICE); i++) sent.push(redis.incr(`hits:${order[i]}`))
				await Promise.all(sent)
			}
		},
		tidy: () => redis.disconnect(),
	}
}

function tallymark(
	name: string,
	port: number,
	order: readonly string[],
	{ earlier = 0, flushEvery, ...options }: CounterOptions & { earlier?: number; flushEvery?: number } = {},
	flushed: (keys: number) => void = () => {},
): Contender {
	let counter: Counter
	/** So far. */
	let hits = 0
	let kept = 0
	let admin: Redis
	let dropped = 0
	const hit = async (operations: number, slice = SLICE) => {
		let page = hits % order.length
		let visitor = hits % CROWD
		for (const end = hits + operations; hits < end; ) {
			for (const pause = Math.min(end, hits + slice); hits < pause; hits++) {
				void counter.hit(order[page] as string, { visitor: visitors[visitor] as string })
				if (++page === order.length) page = 0
				if (++visitor === CROWD) visitor = 0
			}
			if (slice === flushEvery || hits - kept > WAITING) await counter.flush()
			else await new Promise((resolve) => setImmediate(resolve))
		}
		await counter.flush()
	}
	return {
		name,
		prepare: async () => {
			admin = new Redis(port)
			await admin.flushall()
			counter = new Counter({ store: new RedisStore(`redis://127.0.0.1:${port}`), ...options })
			dropped = kept = 0
			counter.on('drop', ({ hits }) => {
				dropped += hits
			})
			counter.on('flush', (stored) => {
				kept += stored.hits
				flushed(stored.keys)
			})
			await counter.count('/')
			hits = 0
			await hit(earlier)
		},
		run: (operations) => hit(operations, flushEvery),
		tidy: async () => {
			await counter.close()
			const reader = new Counter({ store: new RedisStore(`redis://127.0.0.1:${port}`), ...options })
			const stored = await reader.all.count()
			await reader.close()
			admin.disconnect()
			if (stored !== hits) throw new Error(`${stored} hits are stored of ${hits}, ${dropped} were refused`)
		},
	}
}

interface Metrics {
	client: { quit(): void; once(event: string, listener: () => void): void }
	counter(name: string, options: { timeGranularity: string }): { incr(): Promise<unknown> }
}

/** redis-metrics itself where it is installed; otherwise the commands that its version 1.4.2 sends, over ioredis. */
function redisMetrics(port: number, order: readonly string[]): Contender {
	let library: (new (config: { host: string; port: number }) => Metrics) | undefined
	try {
		library = createRequire(import.meta.url)('redis-metrics')
	} catch {}
	if (library === undefined) return redisMetricsEmulated(port, order)
	const Library = library
	let metrics: Metrics
	let counters: Map<string, ReturnType<Metrics['counter']>>
	return {
		name: 'redis-metrics, minute',
		prepare: async () => {
			const redis = new Redis(port)
			await redis.flushall()
			redis.disconnect()
			metrics = new Library({ host: '127.0.0.1', port })
			await new Promise<void>((resolve) => metrics.client.once('ready', resolve))
			counters = new Map([...new Set(order)].map((name) => [name, metrics.counter(name, { timeGranularity: 'minute' })]))
		},
		run: async (operations) => {
			for (let from = 0; from < operations; from += SLICE) {
				const sent: Promise<unknown>[] = []
				for (let i = from; i < Math.min(operations, from + SLICE); i++) sent.push(counters.get(order[i] as string)!.incr())
				await Promise.all(sent)
			}
		},
		tidy: () => metrics.client.quit(),
	}
}

const incrAndExpire =
	"local v = redis.call('INCRBY', KEYS[1], ARGV[1]) if tostring(v) == tostring(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end return v"
const day = 86_400

function redisMetricsEmulated(port: number, order: readonly string[]): Contender {
	let redis: Redis
	return {
		name: "redis-metrics' commands, minute",
		prepare: async () => {
			redis = new Redis(port)
			await redis.flushall()
		},
		run: async (operations) => {
			for (let from = 0; from < operations; from += SLICE) {
				const sent: Promise<unknown>[] = []
				for (let i = from; i < Math.min(operations, from + SLICE); i++) {
					const key = `c:${order[i]}`
					const time = new Date().toISOString().replace(/\D/g, '')
					const multi = redis
						.multi()
						.incrby(key, 1)
						.incrby(`${key}:${time.slice(0, 4)}`, 1)
					for (const [digits, seconds] of [
						[6, 3_650 * day],
						[8, 730 * day],
						[10, 31 * day],
						[12, day / 2],
					] as const) {
						multi.eval(incrAndExpire, 1, `${key}:${time.slice(0, digits)}`, 1, seconds)
					}
					sent.push(multi.exec())
				}
				await Promise.all(sent)
			}
		},
		tidy: () => redis.disconnect(),
	}
}

/** What the server's memory grows by for each key, what its connections take left out. */
async function bytesPerKey(port: number, keys: number, fill: () => Promise<() => Promise<unknown>>): Promise<number> {
	const admin = new Redis(port)
	await admin.flushall()
	const before = await counts(admin)
	const end = await fill()
	const after = await counts(admin)
	await end()
	admin.disconnect()
	return (after.memory - before.memory) / keys
}

async function counts(redis: Redis): Promise<{ cpu: number; bytes: number; memory: number; file: number }> {
	const info = await redis.info('all')
	const number = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0)
	return {
		cpu: number('used_cpu_user') + number('used_cpu_sys'),
		bytes: number('total_net_input_bytes'),
		memory: number('used_memory') - number('mem_clients_normal'),
		/** Of a server that appends what it writes. */
		file: number('aof_current_size'),
	}
}
