import { expect, test } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { TallymarkError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import { lanes } from '../../src/stores/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { day, hour, made, minute, noonish, turned, watched } from './support/made.ts'

test('three lines count a hit and its visitor', async () => {
	const counter = new Counter()
	expect(await counter.hit('/home', { visitor: 'ada' })).toEqual({ counted: true, key: '/home' })
	expect(await counter.count('/home')).toBe(1)
	expect(await counter.uniques('/home')).toEqual({ value: 1, exact: true, error: 0 })
	await counter.close()
})

test('reading counts nothing', async () => {
	const { counter, store } = made()
	for (const key of ['/a', '/b']) {
		await counter.count(key)
		await counter.stats(key)
		await counter.uniques(key)
		await counter.rate(key)
		await counter.series(key, { granularity: 'day' })
	}
	await counter.flush()
	expect(store.calls('apply')).toBe(0)
	expect(await counter.list()).toEqual({ keys: [] })
})

test('hits on a known key share one receipt: nothing is allocated for them', () => {
	const { counter } = made({ partitions: 4 })
	const first = counter.hit('/a')
	for (let n = 0; n < 10; n++) expect(counter.hit('/a')).toBe(first)
	const visited = counter.hit('/b', { visitor: 'ada' })
	expect(counter.hit('/b', { visitor: 'bob' })).toBe(visited)
	expect(counter.hit('/b')).toBe(visited)
})

test('a receipt cannot be changed by who gets it', async () => {
	const receipt = await made().counter.hit('/a')
	expect(() => {
		;(receipt as { counted: boolean }).counted = false
	}).toThrow(TypeError)
})

test('`by` counts several hits at once', async () => {
	const { counter } = made()
	void counter.hit('/a', { by: 5 })
	void counter.hit('/a', { by: 1 })
	void counter.hit('/a', { by: undefined })
	expect(await counter.count('/a')).toBe(7)
})

test('times are Dates or numbers, and a hit counts in the buckets of its own time', async () => {
	const { counter } = made()
	void counter.hit('/a', { at: new Date(noonish - 2 * hour) })
	void counter.hit('/a', { at: noonish - 2 * hour, by: 2 })
	void counter.hit('/a', { at: noonish + 0.5, by: 4 })
	void counter.hit('/a', { at: noonish + day, by: 8 })
	void counter.hit('/a', { at: 0, by: 16 })
	expect(await counter.count('/a')).toBe(31)
	expect(await counter.count('/a', { period: 'hour' })).toBe(4)
	expect(await counter.count('/a', { period: 'day' })).toBe(7)
	expect(await counter.count('/a', { from: new Date(noonish - 2 * hour - 30_000), to: noonish - 2 * hour + 30_000 })).toBe(3)
	expect(await counter.count('/a', { from: Date.UTC(2026, 2, 11), to: Date.UTC(2026, 2, 12) })).toBe(8)
})

test('hits that come late and out of order count where they belong', async () => {
	const { counter, clock } = made({ batch: { maxWaitMs: 100 } })
	const ago = [0, 50, 3, 120, 7, 49, 0, 1, 2, 200, 50]
	for (const minutes of ago) {
		void counter.hit('/a', { at: clock.now() - minutes * minute })
		await clock.advance(60)
	}
	const points = await counter.series('/a', { granularity: 'minute', last: 201 })
	const expected = points.map((_, index) => ago.filter((minutes) => minutes === points.length - 1 - index).length)
	expect(points.map(({ value }) => value)).toEqual(expected)
})

test('with batch: false a hit resolves when it is stored', async () => {
	const { counter, store, clock, recount } = made({ batch: false })
	store.failNext('hang', { op: 'apply' })
	const hit = watched(counter.hit('/a'))
	await clock.advance(100)
	expect(hit.now.state).toBe('pending')
	store.answerHung()
	await clock.advance(0)
	expect(hit.now).toEqual({ state: 'resolved', value: { counted: true, key: '/a' } })
	expect(await recount().count('/a')).toBe(1)
	store.failNext('after', { op: 'apply', times: 3 })
	expect(await turned(clock, counter.hit('/a'))).toMatchObject({ counted: true })
	expect(await recount().count('/a')).toBe(2)
})

test('with batch: false hits at the same time are stored together', async () => {
	const { counter, store, recount } = made({ batch: false })
	await Promise.all(Array.from({ length: 500 }, (_, n) => counter.hit(`/${n % 10}`)))
	expect(await recount().all.count()).toBe(500)
	expect(store.calls('apply')).toBeLessThan(20)
})

test('two counters of one namespace on one store share their numbers; other namespaces do not', async () => {
	const store = new MemoryStore()
	const clock = new ManualClock(noonish)
	const [one, two, other] = ['site', 'site', 'blog'].map(
		(namespace) => new Counter({ store, clock, namespace, cooldownMs: hour, cache: false }),
	)
	void one!.hit('/a', { visitor: 'ada' })
	void two!.hit('/a', { visitor: 'bob' })
	void other!.hit('/a', { visitor: 'ada' })
	expect(await two!.hit('/a', { visitor: 'ada' })).toMatchObject({ reason: 'cooldown' })
	for (const counter of [one, two, other]) await counter!.flush()
	expect([await one!.count('/a'), await two!.count('/a'), await other!.count('/a')]).toEqual([2, 2, 1])
	expect((await one!.uniques('/a')).value).toBe(2)
})

test('a counter of other settings on a namespace in use is a mismatch, which names both sides', () => {
	const store = new MemoryStore()
	new Counter({ store })
	for (const options of [
		{ uniques: 'set' },
		{ uniques: false },
		{ uniquesPer: ['total'] },
		{ retention: { hour: 5 } },
		{ trendHalfLifeMs: hour },
	] as const) {
		let error: unknown
		try {
			new Counter({ store, ...options })
		} catch (thrown) {
			error = thrown
		}
		expect(error).toMatchObject({ name: 'MismatchError', code: 'ERR_TALLYMARK_MISMATCH' })
	}
	expect(() => new Counter({ store, uniques: 'set' })).toThrow(/hyperloglog.*set/)
	new Counter({ store, cooldownMs: 5, namespace: 'tm' })
})

test('lanes are counted apart', async () => {
	const { counter } = made({ uniques: 'set' })
	lanes.forEach((lane, index) => {
		void counter.hit('/a', { lane, by: index + 1, visitor: `of ${lane}` })
		void counter.hit('/a', { lane, visitor: 'both' })
	})
	for (const [index, lane] of lanes.entries()) {
		const view = counter.lane(lane)
		expect(await view.count('/a')).toBe(index + 2)
		expect(await view.uniques('/a')).toMatchObject({ value: 2 })
		expect(await view.all.count({ period: 'day' })).toBe(index + 2)
		expect(await view.top()).toEqual([{ key: '/a', hits: index + 2 }])
		expect((await view.list()).keys).toEqual(['/a'])
		expect(await view.rate('/a')).toBe(index + 2)
	}
	expect(await counter.count('/a')).toBe(2)
	expect(await counter.lane('bot').list()).toEqual({ keys: ['/a'] })
	for (const lane of ['robot', '__proto__', undefined, null]) {
		expect(() => counter.lane(lane as never)).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_ARGUMENT' }))
	}
})

test('keys that look like something else are keys', async () => {
	const keys = [
		'__proto__',
		'constructor',
		'toString',
		'{a}b',
		'a:b*',
		'@all',
		'=x',
		'#x',
		'😀',
		'ü',
		'\n',
		'\u0000',
		' ',
		'(other)',
		'é',
		'e\u0301',
		'𐀀',
		'￿',
	]
	const { counter, recount } = made({ partitions: 7, uniques: 'set' })
	keys.forEach((key, index) => {
		void counter.hit(key, { by: index + 1, visitor: key })
	})
	await counter.flush()
	const stored = recount()
	for (const [index, key] of keys.entries()) {
		expect([key, await stored.count(key)]).toEqual([key, index + 1])
		expect([key, (await stored.uniques(key)).value]).toEqual([key, 1])
	}
	expect((await stored.list()).keys).toHaveLength(keys.length)
	expect((await stored.top({ limit: 100 })).map(({ key }) => key)).toEqual(keys.toReversed())
	for (const key of keys) expect(await counter.delete(key)).toBe(true)
	expect(await stored.all.count()).toBe(0)
})

test.each<[string, (counter: Counter) => Promise<unknown>, string, RegExp]>([
	['an empty key', (counter) => counter.hit(''), 'KEY', /^Expected `key` to be .*, got "" \(string\)$/],
	['no key', (counter) => counter.hit(undefined as never), 'KEY', /^Expected `key` to be .*, got undefined$/],
	[
		'a key of 513 bytes',
		(counter) => counter.hit('ü'.repeat(257)),
		'KEY',
		/^Expected `key` to be at most 512 bytes of UTF-8, got "ü+…" \(string\)$/,
	],
	['a lone surrogate', (counter) => counter.hit('a\ud800'), 'KEY', /^Expected `key` to be well-formed Unicode/],
	['by 0', (counter) => counter.hit('/a', { by: 0 }), 'ARGUMENT', /^Expected `by` to be a safe integer of at least 1, got 0 \(number\)$/],
	['by of a half', (counter) => counter.hit('/a', { by: 0.5 }), 'ARGUMENT', /`by`/],
	['by beyond 2^53', (counter) => counter.hit('/a', { by: 2 ** 53 }), 'ARGUMENT', /`by`/],
	[
		'an invalid Date',
		(counter) => counter.hit('/a', { at: new Date(Number.NaN) }),
		'ARGUMENT',
		/^Expected `at` to be .*, got "Invalid Date"/,
	],
	[
		'more than a day ahead',
		(counter) => counter.hit('/a', { at: noonish + day + 1 }),
		'ARGUMENT',
		/^Expected `at` to be from 1970 to a day ahead/,
	],
	['before 1970', (counter) => counter.hit('/a', { at: -1 }), 'ARGUMENT', /`at`/],
	[
		'an unknown lane',
		(counter) => counter.hit('/a', { lane: 'robot' as never }),
		'ARGUMENT',
		/^Expected `lane` to be one of 'human', 'bot'/,
	],
	['an empty visitor', (counter) => counter.hit('/a', { visitor: '' }), 'ARGUMENT', /^Expected `visitor` to be a string of 1 to 4096/],
	['a visitor that is a number', (counter) => counter.hit('/a', { visitor: 7 as never }), 'ARGUMENT', /`visitor`/],
	['an endless id', (counter) => counter.hit('/a', { id: 'x'.repeat(4_097) }), 'ARGUMENT', /`id`/],
	['an option that nobody knows', (counter) => counter.hit('/a', { vistor: 'ada' } as never), 'ARGUMENT', /`vistor`/],
	[
		'options that are null',
		(counter) => counter.hit('/a', null as never),
		'ARGUMENT',
		/^Expected `options` to be an object for hit, got null$/,
	],
	['options that are a text', (counter) => counter.hit('/a', 'ada' as never), 'ARGUMENT', /`options`/],
	['a count of nothing', (counter) => counter.count(''), 'KEY', /`key`/],
	['uniques of a list with a bad key', (counter) => counter.uniques(['/a', '']), 'KEY', /`key`/],
	['uniques of too many keys', (counter) => counter.uniques(Array(10_001).fill('/a')), 'ARGUMENT', /at most 10000 keys/],
	['a range that is a name', (counter) => counter.count('/a', 'day' as never), 'RANGE', /`range`/],
	['an unknown period', (counter) => counter.count('/a', { period: 'week' } as never), 'RANGE', /`period`/],
	[
		'a range finer than a minute',
		(counter) => counter.count('/a', { from: noonish, to: noonish + 1 }),
		'RANGE',
		/^Expected the range to be/,
	],
	[
		'a range older than what is kept',
		(counter) => counter.count('/a', { from: noonish - 800 * day, to: noonish }),
		'RANGE',
		/^Expected the range to be/,
	],
	[
		'uniques per hour, which are not kept',
		(counter) => counter.uniques('/a', { period: 'hour' }),
		'RANGE',
		/kept for uniques \(days for 731 days/,
	],
	['a series of nothing', (counter) => counter.series('/a', undefined as never), 'RANGE', /`options`/],
	['an unknown granularity', (counter) => counter.series('/a', { granularity: 'week' } as never), 'RANGE', /`granularity`/],
	['a rate of a second', (counter) => counter.rate('/a', { windowMs: 1_000 }), 'ARGUMENT', /`windowMs`/],
	['a rate with another option', (counter) => counter.rate('/a', { window: 60_000 } as never), 'ARGUMENT', /`window`/],
	['a top of none', (counter) => counter.top({ limit: 0 }), 'ARGUMENT', /`limit`/],
	['a top by likes', (counter) => counter.top({ by: 'likes' as never }), 'ARGUMENT', /`by`/],
	['a top with an end only', (counter) => counter.top({ to: noonish }), 'RANGE', /`from`/],
	['a top with an option that nobody knows', (counter) => counter.top({ max: 5 } as never), 'ARGUMENT', /`max`/],
	['a trend of too many', (counter) => counter.trending({ limit: 10_001 }), 'ARGUMENT', /`limit`/],
	['a list with an empty cursor', (counter) => counter.list({ cursor: '' }), 'ARGUMENT', /`cursor`/],
	['a list with a prefix that is no text', (counter) => counter.list({ prefix: 5 as never }), 'ARGUMENT', /`prefix`/],
	['a set to less than nothing', (counter) => counter.set('/a', -1), 'ARGUMENT', /`hits`/],
	['a delete of nothing', (counter) => counter.delete(''), 'KEY', /`key`/],
	['a flush that ends before it begins', (counter) => counter.flush({ timeoutMs: -1 }), 'ARGUMENT', /`timeoutMs`/],
])('%s is refused, in a sentence that says what was expected and what came', async (_, call, code, message) => {
	const { counter, store } = made()
	const promise = call(counter)
	expect(promise).toBeInstanceOf(Promise)
	const error: TallymarkError = await promise.then(
		() => expect.fail('was taken'),
		(reason) => reason,
	)
	expect(error).toBeInstanceOf(TallymarkError)
	expect(error).toMatchObject({ code: `ERR_TALLYMARK_${code}`, message: expect.stringMatching(message) })
	// Nothing was counted, and nothing asked of the store.
	expect(await counter.health()).toMatchObject({ pendingKeys: 0, pendingHits: 0 })
	expect(store.calls('read') + store.calls('apply') + store.calls('claim')).toBe(0)
})

test('a refused hit is told to the listeners and to onError, once each', async () => {
	const told: unknown[] = []
	const { counter, errors } = made({ onError: (error) => told.push(error) })
	await expect(counter.hit('')).rejects.toThrow(TallymarkError)
	expect(errors).toHaveLength(1)
	expect(told).toEqual(errors)
})

test('a clock that jumps back and forth loses nothing', async () => {
	const { counter, clock, recount } = made({ retention: { minute: 40 * day } })
	let expected = 0
	for (const jump of [0, -hour, 2 * hour, -3 * day, 5 * day, -1, minute, -minute, 0]) {
		clock.set(noonish + jump)
		for (let n = 0; n < 3; n++) void counter.hit('/a', { visitor: `${n}` })
		void counter.hit('/a', { at: clock.now() - hour })
		expected += 4
		expect(await counter.count('/a')).toBe(expected)
		await clock.advance(n(jump))
	}
	await counter.flush()
	expect(await recount().count('/a')).toBe(expected)
	expect(await counter.close()).toMatchObject({ unstored: 0 })

	function n(jump: number): number {
		return jump > 0 ? 10 : 2_000
	}
})
