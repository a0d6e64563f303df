import { expect, test } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { ReadCache, type Reading } from '../../src/flow/read-cache.ts'
import { HitNumbers, List, VisitorSets } from '../../src/flow/readings.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { Store } from '../../src/stores/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { ExactDelta, ExactTracker } from '../../src/visitors/exact.ts'
import type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from '../../src/visitors/tracker.ts'
import { createTracker } from '../../src/visitors/trackers.ts'
import { hour, made, minute, noonish, turned, watched } from '../counter/support/made.ts'

test('an answer is kept for 5 s', async () => {
	const { counter, store, clock, recount } = made()
	const other = recount()
	expect(await counter.count('/a')).toBe(0)
	void other.hit('/a')
	await other.flush()
	await clock.advance(4_999)
	expect(await counter.count('/a')).toBe(0)
	expect(store.calls('hits')).toBe(1)
	await clock.advance(1)
	expect(await counter.count('/a')).toBe(1)
	expect(store.calls('hits')).toBe(2)
})

test('however many ask at the same time, the store is asked once for each thing', async () => {
	const { counter, store } = made()
	const answers = await Promise.all([
		...Array.from({ length: 100 }, () => counter.count('/a')),
		...Array.from({ length: 100 }, () => counter.count('/b')),
	])
	expect(answers).toEqual(Array(200).fill(0))
	expect(store.calls('hits')).toBe(2)
	await Promise.all(Array.from({ length: 100 }, () => counter.top()))
	expect(store.calls('top')).toBe(1)
})

test('hits that are not stored yet are in every answer at once, without asking again', async () => {
	const { counter, store, clock } = made({ uniques: 'set' })
	expect(await counter.count('/a')).toBe(0)
	for (let n = 1; n <= 5; n++) {
		void counter.hit('/a', { visitor: `v${n}` })
		expect(await counter.count('/a')).toBe(n)
		expect(await counter.count('/a', { period: 'minute' })).toBe(n)
		expect(await counter.count('/a', { from: noonish - 30_000 - hour - 15 * minute })).toBe(n)
		expect(await counter.all.count()).toBe(n)
		expect((await counter.uniques('/a')).value).toBe(n)
		expect((await counter.all.uniques()).value).toBe(n)
		expect((await counter.stats('/a')).hits).toBe(n)
		expect((await counter.series('/a', { granularity: 'minute', last: 2 })).map(({ value }) => value)).toEqual([0, n])
	}
	const asked = store.calls('read')
	await clock.advance(1_000)
	expect(await counter.count('/a')).toBe(5)
	expect(store.calls('read')).toBe(asked)
})

test('says where an answer comes from, how old it is, and whether it is stale', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	await counter.flush()
	expect(await counter.stats('/a')).toMatchObject({ hits: 1, servedBy: 'memory', stale: false, asOf: new Date(noonish) })
	await clock.advance(3_000)
	expect(await counter.stats('/a')).toMatchObject({ servedBy: 'cache', stale: false, asOf: new Date(noonish) })
	store.down = true
	await clock.advance(3_000)
	void counter.hit('/a')
	expect(await counter.stats('/a')).toMatchObject({ hits: 2, servedBy: 'cache', stale: true, asOf: new Date(noonish) })
	store.down = false
	await clock.advance(1_000)
	expect(await counter.stats('/a')).toMatchObject({ hits: 2, servedBy: 'memory', stale: false, asOf: new Date(noonish + 7_000) })
})

test('while the store is down, what is kept answers for staleMs past its ttl, and not longer', async () => {
	const { counter, store, clock } = made({ cache: { ttlMs: 1_000, staleMs: 10_000 } })
	expect(await counter.count('/a')).toBe(0)
	store.down = true
	await clock.advance(10_999)
	expect(await counter.count('/a')).toBe(0)
	await clock.advance(1)
	await expect(counter.count('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	store.down = false
	expect(await counter.count('/a')).toBe(0)
})

test('while the store is down, what is not kept is an error', async () => {
	const { counter, store } = made()
	store.down = true
	for (const read of [counter.count('/a'), counter.stats('/a'), counter.top(), counter.trending(), counter.list(), counter.all.count()]) {
		await expect(read).rejects.toMatchObject({ name: 'StoreUnavailableError', code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	}
})

test('a store that is down is asked once a second at most for what is kept', async () => {
	const { counter, store, clock } = made({ cache: { ttlMs: 1_000 } })
	await counter.count('/a')
	store.down = true
	await clock.advance(1_000)
	for (let n = 0; n < 10; n++) await counter.count('/a')
	expect(store.calls('hits')).toBe(2)
	await clock.advance(999)
	await counter.count('/a')
	expect(store.calls('hits')).toBe(2)
	await clock.advance(1)
	await counter.count('/a')
	expect(store.calls('hits')).toBe(3)
})

test('a read of a store that never answers ends after 2 s: stale where something is kept, an error where not', async () => {
	const { counter, store, clock } = made()
	await counter.stats('/a')
	await clock.advance(5_000)
	store.failNext('hang', { op: 'read', times: 100 })
	const [kept, missing, list] = [watched(counter.stats('/a')), watched(counter.count('/b')), watched(counter.top())]
	await clock.advance(1_999)
	expect([kept.now.state, missing.now.state, list.now.state]).toEqual(['pending', 'pending', 'pending'])
	await clock.advance(1)
	expect(kept.now).toMatchObject({ value: { stale: true } })
	expect(missing.now).toMatchObject({ error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
	expect(list.now).toMatchObject({ error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
})

test('a list does not hang when what waits cannot be stored, and shows what is', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	await counter.flush()
	void counter.hit('/b')
	store.failNext('hang', { op: 'apply' })
	const [top, list] = [watched(counter.top()), watched(counter.list())]
	await clock.advance(1_000)
	expect(top.now).toMatchObject({ value: [{ key: '/a', hits: 1 }] })
	expect(list.now).toMatchObject({ value: { keys: ['/a'] } })
})

test("lists have this process's own hits: those that wait are stored first, and a kept list ends when something is stored", async () => {
	const { counter, clock } = made()
	void counter.hit('/a')
	expect(await counter.top()).toEqual([{ key: '/a', hits: 1 }])
	void counter.hit('/b', { by: 2 })
	expect((await counter.list()).keys).toEqual(['/a', '/b'])
	expect((await counter.top())[0]).toEqual({ key: '/b', hits: 2 })
	void counter.hit('/c', { by: 3 })
	await clock.advance(1_000)
	expect((await counter.top())[0]).toEqual({ key: '/c', hits: 3 })
	expect((await counter.trending())[0]).toMatchObject({ key: '/c' })
})

test("a kept list has this process's own hits too, those that wait and those on their way", async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	expect(await counter.top()).toEqual([{ key: '/a', hits: 1 }])
	expect(await counter.trending()).toMatchObject([{ key: '/a' }])
	void counter.hit('/b', { by: 100 })
	expect((await counter.top())[0]).toEqual({ key: '/b', hits: 100 })
	expect((await counter.trending())[0]).toMatchObject({ key: '/b' })
	void counter.hit('/c', { by: 200 })
	store.failNext('hang', { op: 'apply' })
	await clock.advance(1_000)
	const top = watched(counter.top())
	await clock.advance(500)
	expect(top.now.state).toBe('pending')
	store.answerHung()
	await clock.advance(0)
	expect(top.now).toMatchObject({ value: [{ key: '/c', hits: 200 }, {}, {}] })
	// Hits of another lane are no reason to ask again.
	const asked = store.calls('top')
	void counter.hit('/d', { lane: 'bot' })
	await counter.top()
	expect(store.calls('top')).toBe(asked)
	expect(await counter.lane('bot').top()).toEqual([{ key: '/d', hits: 1 }])
})

test('a delete or set that is on its way is in a kept list', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	void counter.hit('/b', { by: 2 })
	expect(await counter.top({ limit: 1 })).toEqual([{ key: '/b', hits: 2 }])
	for (const [operate, hits] of [[() => counter.delete('/b'), 1] as const, [() => counter.set('/a', 7), 7] as const]) {
		store.failNext('hang', { op: 'apply' })
		void operate()
		const top = watched(counter.top({ limit: 1 }))
		await clock.advance(500)
		expect(top.now.state).toBe('pending')
		store.answerHung()
		await clock.advance(0)
		expect(top.now).toMatchObject({ value: [{ key: '/a', hits }] })
	}
})

test('while the store is down, a kept list is answered at once, whatever waits', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	const kept = [{ key: '/a', hits: 1 }]
	expect(await counter.top()).toEqual(kept)
	store.down = true
	void counter.hit('/b')
	await clock.advance(1_000)
	const fresh = watched(counter.top())
	await clock.advance(0)
	expect(fresh.now).toMatchObject({ value: kept })
	await clock.advance(10_000)
	// It is past its time: the store is asked again, which takes what the flush takes.
	expect(await turned(clock, counter.top(), 1_250)).toEqual(kept)
	const stale = watched(counter.top())
	await clock.advance(0)
	expect(stale.now).toMatchObject({ value: kept })
	store.heal()
	await clock.advance(1_000)
	expect(await turned(clock, counter.top())).toHaveLength(2)
})

test('while the store does not answer, a kept list is held up once in a while only', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	const kept = [{ key: '/a', hits: 1 }]
	expect(await counter.top()).toEqual(kept)
	store.failNext('hang', { times: 100 })
	void counter.hit('/b')
	const first = watched(counter.top())
	await clock.advance(999)
	expect(first.now.state).toBe('pending')
	await clock.advance(1)
	expect(first.now).toMatchObject({ value: kept })
	const second = watched(counter.top())
	await clock.advance(0)
	expect(second.now).toMatchObject({ value: kept })
})

test("cache: false asks the store each time, and has this process's own hits all the same", async () => {
	const { counter, store } = made({ cache: false })
	void counter.hit('/a')
	for (let n = 0; n < 3; n++) expect(await counter.count('/a')).toBe(1)
	expect(store.calls('hits')).toBe(3)
	expect(await counter.stats('/a')).toMatchObject({ servedBy: 'memory', stale: false })
	store.down = true
	await expect(counter.count('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
})

test("a mistake is the caller's, never covered by a kept answer", async () => {
	const { counter, clock } = made({ uniques: false })
	await counter.count('/a')
	await clock.advance(10_000)
	await expect(counter.uniques('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT' })
})

test('a clock that jumps back makes no answer fresh for ever, and no failure last', async () => {
	const { counter, store, clock } = made()
	await counter.count('/a')
	store.down = true
	await clock.advance(5_500)
	await counter.count('/a')
	store.down = false
	clock.set(noonish - hour)
	expect(await counter.stats('/a')).toMatchObject({ stale: false, servedBy: 'memory' })
	clock.set(noonish - 2 * hour)
	expect(await counter.stats('/a')).toMatchObject({ stale: false, servedBy: 'memory' })

	// The failure lies in the future now, the reading does not.
	await clock.advance(5_500)
	store.down = true
	await counter.count('/a')
	store.down = false
	clock.set(noonish - 2 * hour + 5_100)
	expect(await counter.stats('/a')).toMatchObject({ stale: false, servedBy: 'memory' })
})

/** A reading that says how it is used. */
class Marked implements Reading {
	readonly servedBy = 'memory'
	readonly size: number
	released = 0
	usedAfterRelease = 0
	constructor(size = 1) {
		this.size = size
	}
	fold(): void {
		if (this.released > 0) this.usedAfterRelease += 1
	}
	use(): number {
		if (this.released > 0) this.usedAfterRelease += 1
		return 1
	}
	release(): void {
		this.released += 1
	}
}

function cached(max: number, mostBytes?: number) {
	const clock = new ManualClock(noonish)
	const cache = new ReadCache({
		limits: { ttlMs: 1_000, max, staleMs: 1_000 },
		clock,
		storeName: 'memory',
		timeoutMs: 2_000,
		...(mostBytes === undefined ? {} : { mostBytes }),
	})
	const readings: Marked[] = []
	const load = (size?: number) => {
		const reading = new Marked(size)
		readings.push(reading)
		return reading
	}
	const read = (slot: string | undefined, name = 'x', how: () => Marked | Promise<Marked> = () => load()) =>
		cache.read(slot, name, how, (reading) => reading.use())
	return { clock, cache, readings, load, read }
}

test('no more keys are kept than `max`, those last used; what falls out is released once', async () => {
	const { read, readings } = cached(10)
	for (let n = 0; n < 100; n++) await read(`k${n}`)
	expect(readings.filter(({ released }) => released === 1)).toHaveLength(90)
	expect(readings.filter(({ released }) => released === 0)).toHaveLength(10)
	await read('k95')
	expect(readings).toHaveLength(100)
	await read('k5')
	expect(readings).toHaveLength(101)
})

test('a reading that is replaced by a newer one is released', async () => {
	const { read, readings, clock } = cached(10)
	for (let n = 0; n < 5; n++) {
		await read('k')
		await clock.advance(1_000)
	}
	expect(readings.map(({ released }) => released)).toEqual([1, 1, 1, 1, 0])
})

test('no more than 100 readings of one key are kept, however many ranges somebody thinks of', async () => {
	const { read, readings } = cached(10)
	for (let n = 0; n < 1_000; n++) await read('k', `range ${n}`)
	expect(readings.filter(({ released }) => released === 0)).toHaveLength(100)
	await read('k', 'range 999')
	expect(readings).toHaveLength(1_000)
})

test('readings are kept up to a sum of bytes: those of the keys last read', async () => {
	const { read, readings, load, clock } = cached(1_000, 100)
	const kept = () => readings.filter(({ released }) => released === 0)
	for (let n = 0; n < 50; n++) await read(`k${n}`, 'x', () => load(30))
	expect(kept()).toEqual(readings.slice(-3))
	await read('k47')
	await read('k50', 'x', () => load(30))
	expect(kept()).toHaveLength(3)
	expect(readings).toHaveLength(51)
	await read('k47')
	expect(readings).toHaveLength(51)
	// What is read anew counts once, and what is larger than all is answered and not kept.
	for (let n = 0; n < 5; n++) {
		await clock.advance(1_000)
		await read('k47', 'x', () => load(90))
	}
	expect(kept()).toHaveLength(1)
	await read('huge', 'x', () => load(101))
	expect(kept()).toHaveLength(0)
	for (let n = 0; n < 3; n++) await read('k', `${n}`, () => load(30))
	expect(kept()).toHaveLength(3)
	expect(readings.every(({ released, usedAfterRelease }) => released <= 1 && usedAfterRelease === 0)).toBe(true)
})

test('keys that nobody reads any more are let go of when another one is read', async () => {
	const { read, readings, clock } = cached(1_000)
	const kept = () => readings.filter(({ released }) => released === 0)
	for (let n = 0; n < 50; n++) await read(`k${n}`)
	await clock.advance(1_500)
	await read('k7')
	await clock.advance(501)
	expect(kept()).toHaveLength(50)
	await read('new')
	expect(kept()).toHaveLength(2)
})

test('a reading says about how much memory it takes', () => {
	const buckets = Array.from({ length: 1_000 }, (_, n) => ({ level: 'minute' as const, start: n * minute }))
	const numbers = { values: new Float64Array(1_000), applied: new Float64Array(1_000), servedBy: 'memory' }
	const { size } = new HitNumbers('human', '/a', buckets, numbers)
	expect(size).toBeGreaterThan(16_000)
	expect(size).toBeLessThan(200_000)
	expect(new List('memory', Array(10_000).fill('/a')).size).toBeGreaterThan(100_000)
	const sizes = (['set', 'hyperloglog', 'bloom'] as const).map((kind) => {
		const tracker = createTracker(kind)
		const delta = tracker.delta()
		for (let n = 0; n < 20_000; n++) delta.add(`visitor ${n}`)
		const [few, many] = [tracker.union([]), tracker.union([])]
		many.apply(delta)
		const of = (sketch: VisitorSketch) => new VisitorSets('human', ['/a'], [[]], { sketches: [sketch], servedBy: 'memory' }).size
		expect(of(few)).toBeLessThan(1_000)
		return of(many)
	})
	expect(sizes.every((each) => each > 10_000)).toBe(true)
})

test('readings are released once and not used afterwards, whatever falls out while they are loaded and used', async () => {
	const { read, readings, load, clock } = cached(2)
	const slow: ((reading: Marked) => void)[] = []
	const waiting: Promise<unknown>[] = []
	for (let n = 0; n < 30; n++) {
		waiting.push(
			read(`k${n % 5}`, `${n % 3}`, () => new Promise((resolve) => slow.push(resolve))),
			read(undefined),
			read(`k${n % 4}`),
		)
		if (n % 2 === 1) slow.shift()?.(load())
		if (n % 7 === 6) await clock.advance(600)
	}
	while (slow.length > 0) {
		for (const answer of slow.splice(0)) answer(load())
		await clock.advance(0)
	}
	await Promise.all(waiting)
	for (let n = 0; n < 2; n++) await read(`last${n}`)
	expect(readings.map(({ usedAfterRelease }) => usedAfterRelease)).toEqual(readings.map(() => 0))
	expect(readings.filter(({ released }) => released > 1)).toEqual([])
	expect(readings.filter(({ released }) => released === 0)).toHaveLength(2)
})

test('an answer that comes after its time-out is released', async () => {
	const { read, clock } = cached(2)
	let answer!: (reading: Marked) => void
	const late = watched(
		read(
			'k',
			'x',
			() =>
				new Promise((resolve) => {
					answer = resolve
				}),
		),
	)
	await clock.advance(2_000)
	expect(late.now.state).toBe('rejected')
	const reading = new Marked()
	answer(reading)
	await clock.advance(0)
	expect(reading).toMatchObject({ released: 1, usedAfterRelease: 0 })
	expect(clock.pendingTimers).toBe(0)
})

/** Sketches that know whether they were released. */
class CountedTracker implements VisitorTracker {
	readonly kind = 'set'
	readonly #exact = new ExactTracker()
	readonly breaches: string[] = []
	alive = 0

	delta(): VisitorDelta {
		return new ExactDelta()
	}

	sketch(): VisitorSketch {
		return this.#counted(this.#exact.sketch())
	}

	load(bytes: Uint8Array): VisitorSketch {
		return this.#counted(this.#exact.load(bytes))
	}

	union(sketches: readonly VisitorSketch[]): VisitorSketch {
		return this.#counted(this.#exact.union(sketches.map((sketch) => this.#inner.get(sketch)!)))
	}

	#counted(inner: VisitorSketch): VisitorSketch {
		let released = false
		this.alive += 1
		const checked = <T>(what: string, run: () => T): T => {
			if (released) this.breaches.push(what)
			return run()
		}
		const sketch: VisitorSketch = {
			apply: (delta) => checked('apply', () => inner.apply(delta)),
			merge: (other) => checked('merge', () => inner.merge(this.#inner.get(other)!)),
			estimate: (): Estimate => checked('estimate', () => inner.estimate()),
			save: () => checked('save', () => inner.save()),
			release: () =>
				checked('release', () => {
					released = true
					this.alive -= 1
				}),
		}
		this.#inner.set(sketch, inner)
		return sketch
	}

	readonly #inner = new Map<VisitorSketch, VisitorSketch>()
}

test('sketches that were read are released when their answers are no longer kept', async () => {
	const tracker = new CountedTracker()
	const clock = new ManualClock(noonish)
	const store: Store = new MemoryStore()
	const counter = new Counter({ store, clock, uniques: tracker, cache: { max: 5 } })
	for (let n = 0; n < 20; n++) void counter.hit(`/${n}`, { visitor: `v${n % 7}` })
	await counter.flush()
	const stored = tracker.alive
	for (let round = 0; round < 5; round++) {
		for (let n = 0; n < 20; n++) {
			await counter.uniques(`/${n}`)
			await counter.uniques([`/${n}`, '/0'])
			void counter.hit(`/${n}`, { visitor: `w${n}` })
		}
		await counter.all.uniques()
		await clock.advance(6_000)
	}
	expect(tracker.breaches).toEqual([])
	expect(tracker.alive).toBeLessThanOrEqual(stored + 5)
})
