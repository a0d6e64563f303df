import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { otherKey } from '../../src/key-budget.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { startOf } from '../../src/time/granularity.ts'
import { day, hour, made, minute, noonish, turned } from './support/made.ts'

test('a series is zero-filled, oldest first, and ends with the bucket of now', async () => {
	const { counter } = made()
	void counter.hit('/a')
	void counter.hit('/a', { at: noonish - 2 * hour, by: 3 })
	const hours = await counter.series('/a', { granularity: 'hour', last: 4 })
	expect(hours).toEqual([7, 8, 9, 10].map((h, index) => ({ start: new Date(Date.UTC(2026, 2, 10, h)), value: [0, 3, 0, 1][index]! })))
	expect(await counter.series('/a', { granularity: 'minute' })).toHaveLength(60)
	expect(await counter.series('/nothing', { granularity: 'day' })).toHaveLength(30)
	expect(await counter.all.series({ granularity: 'hour', last: 4 })).toEqual(hours)
})

test('a series from and to holds every bucket that the stretch touches', async () => {
	const { counter } = made()
	void counter.hit('/a', { at: noonish - 26 * hour })
	const days = await counter.series('/a', { granularity: 'day', from: noonish - 50 * hour, to: noonish })
	expect(days.map(({ start, value }) => [start.getUTCDate(), value])).toEqual([
		[8, 0],
		[9, 1],
		[10, 0],
	])
})

test('a series by uniques has the visitors of each day, and a longer range their union, not their sum', async () => {
	const { counter } = made({ uniques: 'set' })
	for (const [ago, visitors] of [
		[0, ['ada', 'bob']],
		[1, ['ada']],
		[2, ['ada', 'cy', 'dan']],
	] as const) {
		for (const visitor of visitors) void counter.hit('/a', { visitor, at: noonish - ago * day })
	}
	const days = await counter.series('/a', { granularity: 'day', last: 4, metric: 'uniques' })
	expect(days.map(({ value }) => value)).toEqual([0, 3, 1, 2])
	const from = startOf('day', noonish) - 2 * day
	expect(await counter.uniques('/a', { from })).toEqual({ value: 4, exact: true, error: 0 })
	expect(await counter.uniques('/a', { from, to: from + 2 * day })).toMatchObject({ value: 3 })
	expect(await counter.uniques('/a', { from, to: from })).toMatchObject({ value: 0 })
})

test('the visitors of several keys are their union', async () => {
	const { counter } = made({ uniques: 'set', partitions: 5 })
	void counter.hit('/a', { visitor: 'ada' })
	void counter.hit('/b', { visitor: 'ada' })
	void counter.hit('/b', { visitor: 'bob' })
	await counter.flush()
	void counter.hit('/c', { visitor: 'cy' })
	expect(await counter.uniques(['/a', '/b', '/c', '/a', '/nothing'])).toMatchObject({ value: 3 })
	expect(await counter.uniques([])).toMatchObject({ value: 0 })
	expect(await counter.all.uniques()).toMatchObject({ value: 3 })
})

test('all keys together are the sum of their hits and the union of their visitors, in every bucket', async () => {
	const entry = fc.record({ key: fc.nat(9), ago: fc.nat(3 * 24 * 60), visitor: fc.nat(5), by: fc.integer({ min: 1, max: 3 }) })
	await fc.assert(
		fc.asyncProperty(fc.array(entry, { maxLength: 50 }), fc.integer({ min: 1, max: 4 }), async (entries, partitions) => {
			const { counter } = made({ uniques: 'set', partitions, retention: { minute: 10 * day } })
			for (const { key, ago, visitor, by } of entries)
				void counter.hit(`/${key}`, { at: noonish - ago * minute, visitor: `v${visitor}`, by })
			if (entries.length % 2 === 0) await counter.flush()
			for (const granularity of ['hour', 'day'] as const) {
				const all = await counter.all.series({ granularity, last: 5 })
				const each = await Promise.all(Array.from({ length: 10 }, (_, key) => counter.series(`/${key}`, { granularity, last: 5 })))
				expect(all.map(({ value }) => value)).toEqual(all.map((_, point) => each.reduce((sum, points) => sum + points[point]!.value, 0)))
			}
			const keys = Array.from({ length: 10 }, (_, key) => `/${key}`)
			expect(await counter.all.uniques()).toEqual(await counter.uniques(keys))
			expect(await counter.all.count()).toBe(entries.reduce((sum, { by }) => sum + by, 0))
		}),
		{ numRuns: 50 },
	)
})

test('any stretch of minutes is the number of hits in it', async () => {
	const { counter } = made({ retention: { minute: 3 * day } })
	const hits = Array.from({ length: 300 }, (_, n) => noonish - ((n * 7919) % (2 * 24 * 60)) * minute)
	for (const at of hits) void counter.hit('/a', { at })
	const bound = fc.nat(2 * 24 * 60).map((minutes) => startOf('minute', noonish) - minutes * minute)
	await fc.assert(
		fc.asyncProperty(bound, bound, async (one, two) => {
			const [from, to] = one < two ? [one, two] : [two, one]
			expect(await counter.count('/a', { from, to })).toBe(hits.filter((at) => at >= from && at < to).length)
		}),
		{ numRuns: 200 },
	)
})

test('a day of a time zone has the hits of that day there', async () => {
	const { counter, clock } = made({ start: Date.UTC(2026, 2, 29, 22, 30), retention: { minute: 3 * day } })
	// In Berlin it is the 30th, half past midnight, after a night of 23 hours.
	void counter.hit('/a')
	void counter.hit('/a', { at: Date.UTC(2026, 2, 29, 21, 59), by: 2 })
	void counter.hit('/a', { at: Date.UTC(2026, 2, 28, 23), by: 4 })
	void counter.hit('/a', { at: Date.UTC(2026, 2, 28, 22, 59), by: 8 })
	const days = (timeZone: string) =>
		counter.series('/a', { granularity: 'day', last: 3, timeZone }).then((points) => points.map(({ value }) => value))
	expect(await days('Europe/Berlin')).toEqual([8, 6, 1])
	expect(await days('UTC')).toEqual([0, 12, 3])
	expect(clock.now()).toBe(Date.UTC(2026, 2, 29, 22, 30))
})

test('a chart in a time zone that is refused says what must be kept for it', async () => {
	const { counter } = made()
	const days = { granularity: 'day', last: 7, timeZone: 'Asia/Kolkata' } as const
	await expect(counter.series('/a', days)).rejects.toThrow(/off by half an hour of minutes: keep them for as long \(`retention`\)$/)
	await expect(counter.series('/a', { ...days, metric: 'uniques' })).rejects.toThrow(
		/keep them for as long \(`uniquesPer` and `retention`\)$/,
	)
	await expect(counter.series('/a', { granularity: 'day', last: 1_000 })).rejects.toThrow(/ends within it$/)
	const kept = made({ retention: { minute: 31 * day }, uniquesPer: ['total', 'minute', 'hour', 'day'] }).counter
	expect(await kept.series('/a', days)).toHaveLength(7)
	expect(await kept.series('/a', { ...days, metric: 'uniques' })).toHaveLength(7)
	await expect(made({ uniques: false }).counter.uniques('/a')).rejects.toThrow("`uniques`: 'set', 'hyperloglog', 'bloom'")
})

test('a chart that goes back beyond what is kept is refused without being worked out', async () => {
	const { counter } = made()
	const formatted = vi.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts')
	try {
		for (const options of [{ last: 10_000 }, { from: noonish - 9_999 * day }]) {
			await expect(counter.series('/a', { granularity: 'day', timeZone: 'Europe/Berlin', ...options })).rejects.toMatchObject({
				code: 'ERR_TALLYMARK_RANGE',
			})
		}
		// Two for each day that is kept, and some for the last one.
		expect(formatted.mock.calls.length).toBeLessThan(2 * 731 + 500)
	} finally {
		formatted.mockRestore()
	}
	await expect(counter.series('/a', { granularity: 'day', metric: 'visits' as never, last: 10_000 })).rejects.toThrow('`metric`')
})

test('a bucket can be read to its end and its retention, and is an error, never a wrong number, from then on', async () => {
	const { counter, clock, recount } = made({ retention: { minute: hour, hour: day, day: 30 * day } })
	void counter.hit('/a', { by: 5 })
	await counter.flush()
	const start = startOf('minute', noonish)
	const read = (from: number, to: number) => recount().count('/a', { from, to })
	const gone = (promise: Promise<number>) => expect(promise).rejects.toMatchObject({ code: 'ERR_TALLYMARK_RANGE' })
	clock.set(start + minute + hour - 1)
	expect(await read(start, start + minute)).toBe(5)
	clock.set(start + minute + hour)
	await gone(read(start, start + minute))
	const first = startOf('hour', noonish)
	clock.set(first + hour + day - 1)
	expect(await read(first, first + hour)).toBe(5)
	clock.set(first + hour + day)
	await gone(read(first, first + hour))
	const midnight = startOf('day', noonish)
	clock.set(midnight + 31 * day - 1)
	expect(await read(midnight, midnight + day)).toBe(5)
	clock.set(midnight + 31 * day)
	await gone(read(midnight, midnight + day))
	expect(await recount().count('/a')).toBe(5)
})

test('a late hit counts in the buckets that live, and prolongs none', async () => {
	const { counter, clock, recount } = made({ retention: { minute: hour } })
	void counter.hit('/a')
	await counter.flush()
	await clock.advance(2 * hour)
	void counter.hit('/a', { at: noonish })
	await counter.flush()
	expect(await recount().count('/a', { from: startOf('hour', noonish), to: startOf('hour', noonish) + hour })).toBe(2)
	clock.set(noonish + 10 * minute)
	expect(await recount().count('/a', { from: startOf('minute', noonish), to: startOf('minute', noonish) + minute })).toBe(0)
})

test('the rate is of the window that ends now: the minute at its far edge counts by how much of it lies within', async () => {
	const { counter, clock } = made({ start: Date.UTC(2026, 0, 1, 12) })
	void counter.hit('/a', { by: 60 })
	expect(await counter.rate('/a')).toBe(60)
	await clock.advance(59_999)
	expect(await counter.rate('/a')).toBe(60)
	await clock.advance(1)
	expect(await counter.rate('/a')).toBe(60)
	await clock.advance(15_000)
	expect(await counter.rate('/a')).toBe(45)
	void counter.hit('/a', { by: 10 })
	expect(await counter.rate('/a')).toBe(55)
	expect(await counter.all.rate()).toBe(55)
	expect(await counter.rate('/a', { windowMs: 5 * minute })).toBe(70)
	await clock.advance(10 * minute)
	expect(await counter.rate('/a')).toBe(0)
})

test('a counter that keeps no minutes has no rate', async () => {
	for (const kept of [0, 1_000]) {
		const counter = new Counter({ retention: { minute: kept } })
		await expect(counter.rate('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_RANGE' })
	}
})

test('top lists have as many as asked for, most first, ties by key', async () => {
	const { counter } = made({ partitions: 4 })
	for (let n = 0; n < 30; n++) void counter.hit(`/${String(n).padStart(2, '0')}`, { by: 1 + (n % 10) })
	expect(await counter.top()).toHaveLength(10)
	expect(await counter.top({ limit: 5 })).toEqual(
		['/09', '/19', '/29', '/08', '/18'].map((key, index) => ({ key, hits: index < 3 ? 10 : 9 })),
	)
	expect(await counter.top({ limit: 1_000 })).toHaveLength(30)
	expect((await counter.top({ prefix: '/1', limit: 2 })).map(({ key }) => key)).toEqual(['/19', '/18'])
})

test('a top list of a period has the hits of that period only', async () => {
	const { counter, clock } = made({ uniques: 'set' })
	void counter.hit('/old', { by: 100, visitor: 'ada' })
	await clock.advance(day)
	void counter.hit('/new', { visitor: 'ada' })
	void counter.hit('/new', { visitor: 'bob' })
	void counter.hit('/busy', { by: 9, visitor: 'ada' })
	expect(await counter.top({ period: 'day' })).toEqual([
		{ key: '/busy', hits: 9 },
		{ key: '/new', hits: 2 },
	])
	expect((await counter.top())[0]).toEqual({ key: '/old', hits: 100 })
	expect(await counter.top({ from: startOf('day', noonish), to: startOf('day', noonish) + day })).toEqual([{ key: '/old', hits: 100 }])
	expect((await counter.top({ by: 'uniques', period: 'day' }))[0]).toEqual({ key: '/new', hits: 2, uniques: 2 })
	await clock.advance(day)
	expect(await counter.top({ period: 'day' })).toEqual([])
})

test('what trends is what is hit now: each hit fades by half in a half-life, and the order changes with time', async () => {
	const { counter, clock } = made({ start: Date.UTC(2026, 0, 1), trendHalfLifeMs: hour })
	void counter.hit('/evergreen', { by: 100 })
	expect(await counter.trending()).toEqual([{ key: '/evergreen', score: 100 }])
	await clock.advance(2 * hour)
	void counter.hit('/news', { by: 40 })
	const [first, second] = await counter.trending()
	expect(first).toEqual({ key: '/news', score: expect.closeTo(40, 9) })
	expect(second).toEqual({ key: '/evergreen', score: expect.closeTo(25, 9) })
	expect((await counter.top())[0]?.key).toBe('/evergreen')
	await clock.advance(hour)
	void counter.hit('/evergreen', { by: 20 })
	expect((await counter.trending()).map(({ key, score }) => [key, Math.round(score * 1e6) / 1e6])).toEqual([
		['/evergreen', 32.5],
		['/news', 20],
	])
	expect(await counter.trending({ limit: 1 })).toHaveLength(1)
})

test('a list goes page by page through all keys, each once, in order', async () => {
	const { counter } = made({ partitions: 3 })
	const keys = Array.from({ length: 95 }, (_, n) => `/${String(n).padStart(3, '0')}`)
	for (const key of keys.toReversed()) void counter.hit(key)
	const seen: string[] = []
	let cursor: string | undefined
	do {
		const page = await counter.list({ limit: 10, ...(cursor !== undefined && { cursor }) })
		seen.push(...page.keys)
		cursor = page.cursor
	} while (cursor !== undefined)
	expect(seen).toEqual(keys)
	expect(await counter.list({ prefix: '/09', limit: 5 })).toEqual({ keys: ['/090', '/091', '/092', '/093', '/094'] })
})

test('past maxKeys further new keys count under (other), and the receipt says so', async () => {
	const { counter } = made({ maxKeys: 2 })
	expect((await counter.hit('/a')).key).toBe('/a')
	expect((await counter.hit('/b')).key).toBe('/b')
	expect(await counter.hit('/c', { by: 2 })).toEqual({ counted: true, key: otherKey })
	expect(await counter.hit('/d')).toEqual({ counted: true, key: otherKey })
	expect(await counter.hit('/a')).toEqual({ counted: true, key: '/a' })
	expect([await counter.count('/a'), await counter.count('/c'), await counter.count(otherKey)]).toEqual([2, 0, 3])
	expect(await counter.all.count()).toBe(6)
	await counter.delete('/b')
	expect((await counter.hit('/e')).key).toBe('/e')
})

test('a hit between delete() and its end keeps its key', async () => {
	const { counter, store, clock } = made({ maxKeys: 1 })
	await counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	const deleted = counter.delete('/a')
	expect((await counter.hit('/a')).key).toBe('/a')
	store.answerHung()
	await turned(
		clock,
		deleted.catch(() => false),
	)
	expect((await counter.hit('/b')).key).toBe(otherKey)
	expect((await counter.hit('/a')).key).toBe('/a')
})

test('a counter with maxKeys knows the keys that were stored before it, in every lane, however many', async () => {
	const memory = new MemoryStore()
	const clock = new ManualClock(noonish)
	const before = new Counter({ store: memory, clock })
	for (let n = 0; n < 2_500; n++) void before.hit(`/${n}`, n % 2 === 0 ? {} : { lane: 'bot' })
	await before.flush()
	const counter = new Counter({ store: memory, clock, maxKeys: 100 })
	await clock.advance(0)
	for (const n of [0, 1, 1_234, 2_499]) expect((await counter.hit(`/${n}`)).key).toBe(`/${n}`)
	expect((await counter.hit('/new')).key).toBe(otherKey)
})

test('stored keys keep their hits while they are still being read, and are known at once where the store answers at once', async () => {
	const { clock, memory, store, recount } = made()
	const before = recount()
	for (let n = 0; n < 1_500; n++) void before.hit(`/${n}`)
	await before.flush()
	const counter = new Counter({ store, clock, maxKeys: 1_000 })
	// The first page is on its way, the second one does not come.
	store.failNext('hang', { op: 'keys' })
	await clock.advance(0)
	expect(store.hung).toBe(1)
	for (const n of [0, 1_499]) expect((await counter.hit(`/${n}`)).key).toBe(`/${n}`)
	const atOnce = new Counter({ store: memory, clock, maxKeys: 1_000 })
	expect((await atOnce.hit('/new')).key).toBe(otherKey)
	expect((await atOnce.hit('/1499')).key).toBe('/1499')
})

test('when the stored keys cannot be read, they are as soon as the store takes something', async () => {
	const { clock, store, recount, errors } = made()
	void recount().hit('/known')
	await clock.advance(1_000)
	store.down = true
	const counter = new Counter({ store, clock, maxKeys: 1 })
	counter.on('error', (error) => errors.push(error))
	await clock.advance(0)
	expect(errors).toMatchObject([{ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' }])
	await counter.hit('/first')
	expect((await counter.hit('/known')).key).toBe(otherKey)
	store.heal()
	await counter.flush()
	await clock.advance(0)
	expect((await counter.hit('/known')).key).toBe('/known')
})

test('hostile random keys fill neither the memory nor the store', async () => {
	const { counter, recount } = made({ maxKeys: 50, faults: { sync: true } })
	for (let n = 0; n < 20_000; n++) void counter.hit(`/${Math.random()}`)
	await counter.flush()
	expect((await recount({ maxKeys: undefined }).list({ limit: 1_000 })).keys).toHaveLength(51)
	expect(await counter.count(otherKey)).toBe(20_000 - 50)
})
