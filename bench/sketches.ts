/**
 * The sketches beside the packages that do the same, and beside the native Set and Map they save. Contenders of very different speed do different
 * numbers of operations in a round, so that a round of each takes about as long.
 */

import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import bloomFilters from 'bloom-filters'
import { hashed, hashText } from '../src/hash/murmur64.ts'
import { Bloom, CounterPool, FilteredSpaceSaving, HyperLogLog, RateRing, RecencyTable, relativeStandardError } from '../src/sketches.ts'
import { failedGates, gate, machineLine, meetStringsOfEveryKind, printTable, seeded, spread, zipf } from './harness.ts'

const require = createRequire(import.meta.url)

// Neither of these has types; this is all that is used of them.
interface LiteSketch {
	add(hash: unknown): void
	count(): number
}
const lite: { (bits: number): LiteSketch; hash(value: string): unknown } = require('hyperloglog-lite')
interface JasonDaviesFilter {
	add(value: string): void
}
const { BloomFilter: DaviesFilter }: { BloomFilter: { withTargetError(n: number, p: number): JasonDaviesFilter } } = require('bloomfilter')

interface Racer {
	readonly name: string
	/** How often a round does the thing. */
	readonly operations: number
	/** Makes what a round needs, outside the time that counts, and returns the round. */
	prepare(): (operations: number) => unknown
}

const MILLION = 1_000_000

export async function run(): Promise<void> {
	meetStringsOfEveryKind(hashText)
	const ids = newIds(MILLION)
	distinct()
	counting(ids)
	membership(ids)
	frequent()
	recency(ids)
	rate()
	pools()
	poolBytes()
	errors()
}

/** New strings in every round, as requests bring them: a Set must hash each, for nothing is remembered with the string. */
function distinct(): void {
	const ours = () => ({ ids: newIds(MILLION), sketch: new HyperLogLog() })
	const theirs = () => ({ ids: newIds(MILLION), set: new Set<string>() })
	const simple = () => ({ ids: newIds(100_000), sketch: lite(14) })
	const slow = () => ({ ids: newIds(1_500), sketch: new bloomFilters.HyperLogLog(16_384) })
	const rates = race('Distinct visitors: add, UUIDs of 36 characters', 5, [
		adding('tallymark HyperLogLog', MILLION, ours, ({ sketch, ids }, i) => sketch.add(ids[i]!)),
		adding('hyperloglog-lite', 100_000, simple, ({ sketch, ids }, i) => sketch.add(lite.hash(ids[i]!))),
		adding('bloom-filters HyperLogLog', 1_500, slow, ({ sketch, ids }, i) => sketch.update(ids[i]!)),
		adding('Set', MILLION, theirs, ({ set, ids }, i) => set.add(ids[i]!)),
	])
	gate('HyperLogLog.add against bloom-filters', rates('tallymark HyperLogLog', 'bloom-filters HyperLogLog'), { atLeast: 500 })
	gate('HyperLogLog.add against hyperloglog-lite', rates('tallymark HyperLogLog', 'hyperloglog-lite'), { atLeast: 4 })
	gate('HyperLogLog.add against Set.add', rates('tallymark HyperLogLog', 'Set'), { atLeast: 1.8 })
}

function counting(ids: readonly string[]): void {
	const ours = new HyperLogLog()
	for (let i = 0; i < 100_000; i++) ours.add(ids[i]!)
	const theirs = new bloomFilters.HyperLogLog(16_384)
	for (let i = 0; i < 2_000; i++) theirs.update(ids[i]!)
	const simple = lite(14)
	for (let i = 0; i < 100_000; i++) simple.add(lite.hash(ids[i]!))
	const rates = race('Distinct visitors: count', 5, [
		adding(
			'tallymark HyperLogLog',
			200_000,
			() => ours,
			(sketch) => sketch.count(),
		),
		adding(
			'hyperloglog-lite',
			200_000,
			() => simple,
			(sketch) => sketch.count(),
		),
		adding(
			'bloom-filters HyperLogLog',
			100,
			() => theirs,
			(sketch) => sketch.count(),
		),
	])
	gate('HyperLogLog.count against bloom-filters', rates('tallymark HyperLogLog', 'bloom-filters HyperLogLog'), { atLeast: 300 })
}

function membership(ids: readonly string[]): void {
	const rates = race('New or seen: add to a filter for a million at 1 %', 5, [
		adding(
			'tallymark Bloom',
			MILLION,
			() => new Bloom({ capacity: MILLION }),
			(filter, i) => filter.add(ids[i]!),
		),
		adding(
			'bloomfilter',
			MILLION,
			() => DaviesFilter.withTargetError(MILLION, 0.01),
			(filter, i) => filter.add(ids[i]!),
		),
		adding(
			'bloom-filters BloomFilter',
			10_000,
			() => bloomFilters.BloomFilter.create(MILLION, 0.01),
			(filter, i) => filter.add(ids[i]!),
		),
	])
	gate('Bloom.add against bloom-filters', rates('tallymark Bloom', 'bloom-filters BloomFilter'), { atLeast: 25 })
	gate('Bloom.add against bloomfilter', rates('tallymark Bloom', 'bloomfilter'), { atLeast: 0.8 })
}

function frequent(): void {
	const keys = Array.from(zipf(MILLION, MILLION, seeded(1)), (index) => `/articles/${index}`)
	const rates = race('Most frequent of a million keys, Zipf with s = 1: add', 5, [
		adding(
			'tallymark FilteredSpaceSaving',
			MILLION,
			() => new FilteredSpaceSaving(),
			(sketch, i) => sketch.add(keys[i]!),
		),
		adding(
			'Map (exact, unbounded)',
			MILLION,
			() => new Map<string, number>(),
			(map, i) => map.set(keys[i]!, (map.get(keys[i]!) ?? 0) + 1),
		),
		adding(
			'bloom-filters TopK',
			3_000,
			() => new bloomFilters.TopK(100, 0.001, 0.99),
			(sketch, i) => sketch.add(keys[i]!),
		),
	])
	gate('FilteredSpaceSaving.add against bloom-filters TopK', rates('tallymark FilteredSpaceSaving', 'bloom-filters TopK'), { atLeast: 40 })
}

function recency(ids: readonly string[]): void {
	const visits = zipf(200_000, MILLION, seeded(2))
	race('Cooldown of 30 minutes: a million hits of 200,000 visitors (strings that Map has hashed before: its best case)', 3, [
		adding(
			'tallymark RecencyTable',
			MILLION,
			() => new RecencyTable(),
			(table, i) => {
				hashText(ids[visits[i]!]!)
				table.claim(hashed[0]!, hashed[1]!, 1e12 + i * 10, 1_800_000)
			},
		),
		adding(
			'Map of end times (never shrinks)',
			MILLION,
			() => new Map<string, number>(),
			(map, i) => {
				const now = 1e12 + i * 10
				const id = ids[visits[i]!]!
				if ((map.get(id) ?? 0) <= now) map.set(id, now + 1_800_000)
			},
		),
	])
}

function rate(): void {
	race('Hits of the last hour: add', 3, [
		adding(
			'tallymark RateRing',
			MILLION,
			() => new RateRing(),
			(ring, i) => ring.add(1e12 + i),
		),
	])
}

/** A million visits, each to one of 100,000 counters: about ten visitors per counter. The ids are new strings in every round, as a request brings them. */
function pools(): void {
	const counters = 100_000
	const visits = MILLION
	const random = seeded(3)
	const which = Uint32Array.from({ length: visits }, () => random() * counters)
	const poolRound = () => ({ ids: newIds(visits), pool: poolOf(counters) })
	const setsRound = () => ({ ids: newIds(visits), sets: Array.from({ length: counters }, () => new Set<string>()) })
	const rates = race('Visitors of each of 100,000 pages: add', 5, [
		adding('tallymark CounterPool', visits, poolRound, ({ pool, ids }, i) => pool.addText(which[i]!, ids[i]!)),
		adding('Set per page', visits, setsRound, ({ sets, ids }, i) => sets[which[i]!]!.add(ids[i]!)),
	])
	gate('CounterPool.addText against a Set per counter', rates('tallymark CounterPool', 'Set per page'), { atLeast: 1.5 })
}

function poolBytes(): void {
	const counters = 20_000
	const rows: string[][] = []
	const gates: (() => void)[] = []
	for (const most of [5, 50]) {
		const random = seeded(most)
		const sizes = Array.from({ length: counters }, () => 1 + Math.floor(random() * most))
		const pool = bytesOf(() => {
			const all = poolOf(counters)
			sizes.forEach((size, handle) => {
				for (let i = 0; i < size; i++) all.addText(handle, flatUuid())
			})
			return all
		})
		const sets = bytesOf(() => sizes.map((size) => new Set(Array.from({ length: size }, flatUuid))))
		rows.push([`1 to ${most} visitors`, (pool / counters).toFixed(0), (sets / counters).toFixed(0), (sets / pool).toFixed(1)])
		gates.push(() => gate(`Bytes of a CounterPool per byte of Set<string>, 1 to ${most} visitors`, pool / sets, { atMost: 0.2 }))
	}
	console.log('\nBytes per counter, keys not counted')
	printTable(['', 'CounterPool', 'Set<string>', 'ratio'], rows)
	for (const check of gates) check()
}

/** Errors of the answers, not of the speed: with the same ids for all, and few seeds for the slow ones. */
function errors(): void {
	const rows: string[][] = []
	const measure = (name: string, n: number, seeds: number, count: (ids: () => Generator<string>) => number) => {
		const found = Array.from({ length: seeds }, (_, seed) => {
			const visitors = function* () {
				for (let i = 0; i < n; i++) yield `${seed}:${i}`
			}
			return count(visitors) / n - 1
		})
		const rms = Math.sqrt(found.reduce((sum, error) => sum + error * error, 0) / seeds)
		const bias = found.reduce((sum, error) => sum + error, 0) / seeds
		rows.push([name, n.toLocaleString('en-US'), String(seeds), percent(rms), percent(bias)])
	}
	const counted = <T>(sketch: T, add: (sketch: T, id: string) => unknown, ids: () => Generator<string>) => {
		for (const id of ids()) add(sketch, id)
		return sketch
	}
	for (const n of [1_000, 45_000]) {
		measure('tallymark HyperLogLog', n, 20, (ids) => counted(new HyperLogLog(), (sketch, id) => sketch.add(id), ids).count())
		rows.push(['  theory', n.toLocaleString('en-US'), '', percent(relativeStandardError(n)), percent(0)])
		measure('hyperloglog-lite', n, n > 10_000 ? 5 : 20, (ids) => counted(lite(14), (sketch, id) => sketch.add(lite.hash(id)), ids).count())
		measure('tallymark Bloom for 10,000', n, 20, (ids) =>
			counted(new Bloom({ capacity: 10_000 }), (sketch, id) => sketch.add(id), ids).count(),
		)
	}
	measure('bloom-filters HyperLogLog', 1_000, 2, (ids) =>
		counted(new bloomFilters.HyperLogLog(16_384), (sketch, id) => sketch.update(id), ids).count(),
	)
	console.log('\nErrors of the counts')
	printTable(['', 'visitors', 'seeds', 'RMS', 'bias'], rows)
}

function adding<T>(name: string, operations: number, make: () => T, step: (sketch: T, i: number) => unknown): Racer {
	// The compiler must see one step per loop: a loop shared by all contenders would call every step through a table.
	const loop = new Function('step', 'return (sketch, n) => { for (let i = 0; i < n; i++) step(sketch, i) }')(step) as (
		sketch: T,
		n: number,
	) => void
	return {
		name,
		operations,
		prepare: () => {
			const sketch = make()
			return (n) => loop(sketch, n)
		},
	}
}

/** Runs the contenders A B C A B C ..., after one round that does not count, prints the table, and returns the ratio of two of them (median over the rounds). */
function race(title: string, rounds: number, racers: readonly Racer[]): (name: string, other: string) => number {
	const rates = new Map(racers.map(({ name }) => [name, [] as number[]]))
	for (let round = -1; round < rounds; round++) {
		for (const { name, operations, prepare } of racers) {
			const go = prepare()
			collect()
			const start = performance.now()
			go(operations)
			const seconds = (performance.now() - start) / 1_000
			if (round >= 0) rates.get(name)!.push(operations / seconds)
		}
	}
	const ratio = (name: string, other: string) => spread(rates.get(name)!.map((rate, round) => rate / rates.get(other)![round]!)).median
	const first = racers[0]!.name
	console.log(`\n${title}`)
	printTable(
		['', 'ops/s', 'min', 'max', `${first} is`],
		racers.map(({ name }) => {
			const { median, min, max } = spread(rates.get(name)!)
			return [name, ...[median, min, max].map((rate) => Math.round(rate).toLocaleString('en-US')), `${ratio(first, name).toFixed(2)}x`]
		}),
	)
	return ratio
}

/** randomUUID() returns a rope of small strings, ten times the size; this is one piece, as what a parser of requests returns. */
function flatUuid(): string {
	return Buffer.from(randomUUID(), 'latin1').toString('latin1')
}

const newIds = (length: number) => Array.from({ length }, flatUuid)

function poolOf(counters: number): CounterPool {
	const pool = new CounterPool()
	for (let i = 0; i < counters; i++) pool.create()
	return pool
}

let gc: (() => void) | undefined = globalThis.gc as (() => void) | undefined
function collect(): void {
	if (gc === undefined) {
		setFlagsFromString('--expose-gc')
		gc = runInNewContext('gc') as () => void
	}
	gc()
}

/** Bytes that the result of `make` holds on to. */
function bytesOf(make: () => unknown): number {
	collect()
	collect()
	const before = process.memoryUsage()
	const held = make()
	collect()
	collect()
	const after = process.memoryUsage()
	// Looked at after the measurement, so that it is alive during it.
	if (held === undefined) throw new Error('nothing was made')
	return after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
}

function percent(share: number): string {
	return `${(share * 100).toFixed(3)} %`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
	console.log(machineLine())
	await run()
	if (failedGates() > 0) process.exitCode = 1
}
