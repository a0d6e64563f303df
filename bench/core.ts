/**
 * What one hit costs in memory, beside the least that counting can cost and beside what people use today. A round of tallymark's ends with a flush: the
 * time is that of hits counted in every bucket, not of hits put aside.
 */

import { Counter as PromCounter } from 'prom-client'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { Counter } from '../src/index.ts'
import { type Contender, compare, gate, meetStringsOfEveryKind, named, seeded, zipf } from './harness.ts'

const keys = Array.from({ length: 1_000 }, (_, i) => `/articles/${i}/a-title-of-the-usual-length`)

export async function run(): Promise<void> {
	await hits()
	await visitors()
}

async function hits(): Promise<void> {
	const operations = 500_000
	const order = Array.from(zipf(keys.length, operations, seeded(1)), (index) => keys[index] as string)
	const results = await compare({ title: 'hit(key): 1,000 keys, Zipf', operations }, [
		bareMap(order),
		ownCounter('tallymark hit', order),
		ownCounter('tallymark await hit', order, true),
		promClient(order),
		rateLimiter(order),
	])
	const hit = named(results, 'tallymark hit')
	gate('hit(key) against a bare Map', hit.ratio.median, { atLeast: 0.5 })
	gate('hit(key) against prom-client', hit.rate.median / named(results, 'prom-client inc').rate.median, { atLeast: 2 })
}

async function visitors(): Promise<void> {
	const operations = 1_000_000
	const order = Array.from(zipf(keys.length, operations, seeded(2)), (index) => keys[index] as string)
	const freshVisitors = visitorStrings(operations)
	const counter = new Counter()
	meetStringsOfEveryKind((visitor) => counter.hit('/', { visitor }))
	await counter.close()
	const results = await compare({ title: 'hit(key, { visitor }): 1,000,000 distinct visitors', operations, rounds: 5, warmups: 1 }, [
		oneSet(freshVisitors),
		setsOfEverything(order, freshVisitors),
		visitedCounter('tallymark hit', order, freshVisitors, true),
		visitedCounter('tallymark hit, flush not timed', order, freshVisitors, false),
	])
	gate('hit(key, { visitor }) against Set.add', named(results, 'tallymark hit').ratio.median, { atLeast: 1 })
}

/** The least: one map, and a look at the clock as every bucket needs it. */
function bareMap(order: readonly string[]): Contender {
	let counts = new Map<string, number>()
	let seen = 0
	return {
		name: 'bare Map',
		prepare: () => {
			counts = new Map()
		},
		run: (operations) => {
			for (let i = 0; i < operations; i++) {
				const key = order[i] as string
				seen = Date.now()
				counts.set(key, (counts.get(key) ?? 0) + 1)
			}
		},
		tidy: () => {
			if (seen === 0 || counts.size === 0) throw new Error('nothing was counted')
		},
	}
}

function ownCounter(name: string, order: readonly string[], awaited = false): Contender {
	let counter = new Counter()
	let expected = 0
	return {
		name,
		prepare: () => {
			counter = new Counter()
		},
		run: async (operations) => {
			expected = operations
			if (awaited) for (let i = 0; i < operations; i++) await counter.hit(order[i] as string)
			else for (let i = 0; i < operations; i++) void counter.hit(order[i] as string)
			await counter.flush()
		},
		tidy: async () => {
			const counted = await counter.all.count()
			if (counted !== expected) throw new Error(`${counted} hits counted, ${expected} made`)
			await counter.close()
		},
	}
}

function visitedCounter(name: string, order: readonly string[], freshVisitors: () => string[], stored: boolean): Contender {
	let counter = new Counter()
	let visitors: string[] = []
	let expected = 0
	return {
		name,
		prepare: () => {
			counter = new Counter()
			visitors = freshVisitors()
		},
		run: async (operations) => {
			expected = operations
			for (let i = 0; i < operations; i++) void counter.hit(order[i] as string, { visitor: visitors[i] as string })
			if (stored) await counter.flush()
		},
		tidy: async () => {
			const { value } = await counter.all.uniques()
			if (Math.abs(value / expected - 1) > 0.05) throw new Error(`${value} visitors counted, ${expected} came`)
			await counter.close()
		},
	}
}

function oneSet(freshVisitors: () => string[]): Contender {
	let set = new Set<string>()
	let visitors: string[] = []
	return {
		name: 'Set.add',
		prepare: () => {
			set = new Set()
			visitors = freshVisitors()
		},
		run: (operations) => {
			for (let i = 0; i < operations; i++) set.add(visitors[i] as string)
		},
		tidy: () => set.clear(),
	}
}

/** What it takes to answer exactly what a counter answers: hits and visitors, of a key and of all keys, of all time and of the day. */
function setsOfEverything(order: readonly string[], freshVisitors: () => string[]): Contender {
	const perKey = () => new Map(keys.map((key) => [key, new Set<string>()]))
	let hits = new Map<string, number>()
	let levels = [perKey(), perKey()]
	let all = [new Set<string>(), new Set<string>()]
	let visitors: string[] = []
	return {
		name: 'Sets for the same answers',
		prepare: () => {
			hits = new Map()
			levels = [perKey(), perKey()]
			all = [new Set(), new Set()]
			visitors = freshVisitors()
		},
		run: (operations) => {
			for (let i = 0; i < operations; i++) {
				const key = order[i] as string
				const visitor = visitors[i] as string
				hits.set(key, (hits.get(key) ?? 0) + 1)
				for (const level of levels) level.get(key)?.add(visitor)
				for (const set of all) set.add(visitor)
			}
		},
		tidy: () => {
			levels = []
			all = []
		},
	}
}

function promClient(order: readonly string[]): Contender {
	const counter = new PromCounter({ name: 'hits', help: 'Hits by path', labelNames: ['path'], registers: [] })
	return {
		name: 'prom-client inc',
		prepare: () => counter.reset(),
		run: (operations) => {
			for (let i = 0; i < operations; i++) counter.inc({ path: order[i] as string })
		},
	}
}

function rateLimiter(order: readonly string[]): Contender {
	const limiter = new RateLimiterMemory({ points: Number.MAX_SAFE_INTEGER, duration: 60 })
	return {
		name: 'rate-limiter-flexible consume',
		run: async (operations) => {
			for (let i = 0; i < operations; i++) await limiter.consume(order[i] as string)
		},
	}
}

/**
 * Makes `count` distinct strings of the shape of a UUID, new ones at each call: in a server every visitor's string is new, and one that was in a set
 * before carries its hash along, which would make the set look faster than it is there.
 */
function visitorStrings(count: number): () => string[] {
	const random = seeded(3)
	const text = Buffer.alloc(count * 36)
	for (let i = 0; i < count; i++) {
		const hex = Array.from({ length: 4 }, () =>
			Math.floor(random() * 2 ** 32)
				.toString(16)
				.padStart(8, '0'),
		).join('')
		text.write(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`, i * 36, 'latin1')
	}
	return () => Array.from({ length: count }, (_, i) => text.toString('latin1', i * 36, (i + 1) * 36))
}
