/**
 * One store over 1 to 8 Redis servers: how even the load is, what a flush and a reading cost, and what a hit costs the client, as there are more servers.
 * All servers are on this machine, without persistence, so times say what the work costs, not how fast eight machines would be; processor time is
 * taken from each process's own counts. The last table is a calculation from those costs.
 */
import { Redis } from 'ioredis'
import { Counter } from '../src/index.ts'
import { ShardedRedisStore } from '../src/redis.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { gate, printTable, seeded, spread, zipf } from './harness.ts'

const NODES = [1, 2, 4, 8]
const PARTITIONS = 64
const pages = Array.from({ length: 10_000 }, (_, i) => `/articles/2026/${String(i).padStart(6, '0')}.html`)
const visitors = Array.from({ length: 100_000 }, (_, i) => `visitor-${i.toString(36)}-of-the-site`)
/** Hits between two flushes. */
const HITS = 50_000
const FLUSHES = 6
const READINGS = 12

interface Figures {
	readonly nodes: number
	/** Microseconds of this process for each hit, flushes included. */
	readonly clientMicros: number
	readonly flushMs: number
	/** Microseconds of all servers, per key and flush; and per hit. */
	readonly deltaMicros: number
	readonly hitMicros: number
	/** Of the server that did most, over that of the average one. */
	readonly unevenness: number
	readonly keysUnevenness: number
	readonly readings: ReadonlyMap<string, number>
}

export async function run(): Promise<void> {
	const servers = await Promise.all(Array.from({ length: Math.max(...NODES) }, () => startRedis()))
	try {
		// For the compiler.
		await measure(servers.slice(0, 2), true, 3)
		const numbers: Figures[] = []
		const everything: Figures[] = []
		for (const n of NODES) {
			numbers.push(await measure(servers.slice(0, n), false))
			everything.push(await measure(servers.slice(0, n), true))
		}
		print('Hits without visitors', numbers)
		print('Hits with a visitor each, for all time and the day', everything)
		printReadings(everything)
		for (const [title, figures] of [
			['without visitors', numbers],
			['with visitors', everything],
		] as const) {
			const [one, eight] = [figures[0]!, figures.at(-1)!]
			gate(`client time per hit, ${title}, 8 servers against 1`, eight.clientMicros / one.clientMicros, { atMost: 1.25 })
		}
		needed(numbers, everything)
	} finally {
		await Promise.all(servers.map((server) => server.stop()))
	}
}

async function measure(servers: readonly RedisServer[], tracked: boolean, flushes = FLUSHES): Promise<Figures> {
	const admins = servers.map(({ port }) => new Redis(port))
	await Promise.all(admins.map((admin) => admin.flushall()))
	const store = new ShardedRedisStore({ nodes: servers.map(({ url }, i) => ({ name: `node ${i}`, url })), partitions: PARTITIONS })
	// Flushed by hand, and read from the servers: what is measured is to be the whole of it, and nothing else.
	const counter = new Counter({
		store,
		batch: { maxWaitMs: 60_000, maxKeys: 1_000_000, maxPendingKeys: 10_000_000 },
		cache: false,
		...(!tracked && { uniques: false }),
	})
	const order = zipf(pages.length, HITS, seeded(1))
	let hits = 0
	let deltas = 0
	counter.on('flush', ({ keys }) => {
		deltas += keys
	})
	const hit = (amount: number) => {
		for (const end = hits + amount; hits < end; hits++) {
			const visitor = tracked ? { visitor: visitors[(hits * 7_919) % visitors.length] as string } : undefined
			void counter.hit(pages[order[hits % HITS] as number] as string, visitor)
		}
	}
	hit(HITS)
	await counter.flush()
	const before = await Promise.all(admins.map(processorMicros))
	const ours = process.cpuUsage()
	deltas = 0
	const from = hits
	const times: number[] = []
	for (let i = 0; i < flushes; i++) {
		hit(HITS)
		const start = performance.now()
		await counter.flush()
		times.push(performance.now() - start)
	}
	const { user, system } = process.cpuUsage(ours)
	const after = await Promise.all(admins.map(processorMicros))
	const loads = after.map((micros, i) => micros - before[i]!)
	const load = sum(loads)
	const readings = new Map<string, number>()
	const some = pages.slice(0, 20)
	for (const [name, read] of [
		['count of a page', () => counter.count(pages[7]!)],
		['1,440 minutes of a page', () => counter.series(pages[7]!, { granularity: 'minute', last: 1_440 })],
		['the site, 60 minutes', () => counter.all.series({ granularity: 'minute', last: 60 })],
		['top 10', () => counter.top()],
		...(tracked ? ([['unique visitors of 20 pages', () => counter.uniques(some)]] as const) : []),
	] as const) {
		const each: number[] = []
		for (let i = 0; i < READINGS; i++) {
			const start = performance.now()
			await read()
			each.push(performance.now() - start)
		}
		readings.set(name, spread(each).median)
	}
	const stored = await counter.all.count()
	if (stored !== hits) throw new Error(`${stored} hits are stored of ${hits}`)
	const keys = await Promise.all(admins.map(keysOf))
	await counter.close()
	for (const admin of admins) admin.disconnect()
	return {
		nodes: servers.length,
		clientMicros: (user + system) / (hits - from),
		flushMs: spread(times).median,
		deltaMicros: load / deltas,
		hitMicros: load / (hits - from),
		unevenness: Math.max(...loads) / (load / servers.length),
		keysUnevenness: Math.max(...keys) / (sum(keys) / servers.length),
		readings,
	}
}

async function processorMicros(redis: Redis): Promise<number> {
	const info = await redis.info('cpu')
	const seconds = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
	return 1e6 * (seconds('used_cpu_user') + seconds('used_cpu_sys'))
}

/** Pages that a server has. */
async function keysOf(redis: Redis): Promise<number> {
	let keys = 0
	for (const name of await redis.keys('{*}:hits')) keys += await redis.zcount(name, '-inf', 0)
	return keys
}

function print(title: string, figures: readonly Figures[]): void {
	console.log(`\n${title}  (64 partitions, 10,000 pages, Zipf; ${HITS / 1_000}k hits to a flush, median of ${FLUSHES})`)
	printTable(
		['servers', 'client us/hit', 'flush ms', 'server us/hit', 'us/key and flush', 'busiest/mean', 'fullest/mean'],
		figures.map(({ nodes, clientMicros, flushMs, hitMicros, deltaMicros, unevenness, keysUnevenness }) => [
			String(nodes),
			clientMicros.toFixed(3),
			flushMs.toFixed(0),
			hitMicros.toFixed(3),
			deltaMicros.toFixed(1),
			unevenness.toFixed(2),
			keysUnevenness.toFixed(2),
		]),
	)
}

function printReadings(figures: readonly Figures[]): void {
	console.log('\nReadings past the cache, ms, by the number of servers')
	const names = [...figures[0]!.readings.keys()]
	printTable(
		['', ...figures.map(({ nodes }) => String(nodes))],
		names.map((name) => [name, ...figures.map(({ readings }) => readings.get(name)!.toFixed(2))]),
	)
}

/** What one processor of a server is to be busy at most. */
const BUSY = 0.5
/** Processes that count, each of which sends a key once in a flush, which is once a second. */
const HITS_OF_A_PROCESS = 50_000

function needed(numbers: readonly Figures[], everything: readonly Figures[]): void {
	// By the costs of one server, which has no part in how they are spread.
	const delta = numbers[0]!.deltaMicros
	const visit = Math.max(0, everything[0]!.hitMicros - numbers[0]!.hitMicros)
	// A busiest server is what is to be within the bound.
	const uneven = 1.1
	console.log(
		`\nServers needed: a key costs ${delta.toFixed(1)} us in each process's flush each second, a visitor of a hit ${visit.toFixed(2)} us; one processor of the` +
			` busiest server is ${100 * BUSY} % busy; a process counts ${HITS_OF_A_PROCESS.toLocaleString('en-US')} hits a second`,
	)
	const rows: string[][] = []
	for (const rate of [1e6, 1e7, 1e8]) {
		for (const keys of [1_000, 100_000, 1_000_000]) {
			const processes = rate / HITS_OF_A_PROCESS
			const deltas = processes * distinctOf(keys, HITS_OF_A_PROCESS)
			const nodes = (micros: number) => Math.ceil((micros * uneven) / (BUSY * 1e6))
			rows.push([
				`${rate / 1e6} M`,
				keys.toLocaleString('en-US'),
				String(processes),
				`${(deltas / 1e6).toFixed(2)} M`,
				String(nodes(deltas * delta)),
				String(nodes(deltas * delta + rate * visit)),
			])
		}
	}
	printTable(['hits/s', 'keys', 'processes', 'keys flushed/s', 'servers', 'with visitors'], rows)
}

/** How many distinct keys `hits` hits are on, Zipf over `keys`: the sum over the keys of the chance that each is hit at all. */
function distinctOf(keys: number, hits: number): number {
	let harmonic = 0
	for (let i = 1; i <= keys; i++) harmonic += 1 / i
	let distinct = 0
	for (let i = 1; i <= keys; i++) distinct += 1 - (1 - 1 / (i * harmonic)) ** hits
	return distinct
}

function sum(values: readonly number[]): number {
	return values.reduce((total, value) => total + value, 0)
}
