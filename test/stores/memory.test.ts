import { describe, expect, test } from 'vitest'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { Batch, SessionSettings } from '../../src/stores/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { startOf, total } from '../../src/time/granularity.ts'
import { HyperLogLogTracker } from '../../src/visitors/hyperloglog.ts'
import type { VisitorSketch, VisitorTracker } from '../../src/visitors/tracker.ts'
import { createTracker } from '../../src/visitors/trackers.ts'

const minuteMs = 60_000
const hour = 3_600_000

let writers = 0
const made = (settings: Partial<SessionSettings> = {}): SessionSettings => ({
	namespace: 'test',
	writer: (++writers).toString(16).padStart(16, '0'),
	clock: new ManualClock(),
	tracker: createTracker('set'),
	uniquesPer: ['total', 'day'],
	retention: { minute: 24 * hour, hour: 31 * 24 * hour, day: 731 * 24 * hour },
	trendHalfLifeMs: 6 * hour,
	report: () => {},
	...settings,
})
const hits = (sequence: number, key: string, minute: number, by = 1, visitors?: readonly string[], tracker?: VisitorTracker): Batch => {
	const delta = tracker?.delta()
	for (const visitor of visitors ?? []) delta?.add(visitor)
	return { kind: 'hits', partition: 0, sequence, groups: [{ lane: 'human', minute, deltas: [{ key, hits: by, visitors: delta }] }] }
}
type Session = ReturnType<MemoryStore['open']>
const count = (session: Session, key: string) => session.hits({ lane: 'human', keys: [key], buckets: [total] }).values[0]

test.each([0, -1, 1.5, Number.NaN, 65_537, '4', null])('does not have %j partitions', (partitions) => {
	expect(() => new MemoryStore({ partitions: partitions as number })).toThrow(
		expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(/^Expected `partitions` to be .*, got /) }),
	)
})

test('answers at once, never with a promise', () => {
	const session = new MemoryStore().open(made())
	expect(session.apply(hits(1, '/home', 0))).toEqual({ status: 'applied' })
	expect(count(session, '/home')).toBe(1)
	expect(session.claim({ kind: 'id', partition: 0, name: '0123456789abcdef', ttlMs: 1 })).toBe(true)
	expect(session.health()).toEqual([{ name: 'memory', status: 'up', latencyMs: 0 }])
	expect(session.close()).toBeUndefined()
})

describe('a namespace in use', () => {
	test.each([
		['uniques', { tracker: createTracker('hyperloglog') }, 'set', 'hyperloglog'],
		['uniques', { tracker: undefined }, 'set', 'off'],
		['uniquesPer', { uniquesPer: ['total', 'hour'] }, 'total, day', 'total, hour'],
		['retention.minute', { retention: { minute: 0, hour: 31 * 24 * hour, day: 731 * 24 * hour } }, '86400000', '0'],
		['retention.day', { retention: { minute: 24 * hour, hour: 31 * 24 * hour, day: hour } }, '63158400000', '3600000'],
		['trendHalfLifeMs', { trendHalfLifeMs: hour }, '21600000', '3600000'],
	] as const)('refuses another %s, and names both', (setting, other, first, second) => {
		const store = new MemoryStore()
		store.open(made())
		expect(() => store.open(made(other))).toThrow(
			expect.objectContaining({
				code: 'ERR_TALLYMARK_MISMATCH',
				message: expect.stringMatching(new RegExp(`"test".*\`${setting}\` ${first}, .* ${second}$`)),
			}),
		)
	})

	test('takes the same settings in another order, and other namespaces with any', () => {
		const store = new MemoryStore()
		store.open(made())
		store.open(made({ uniquesPer: ['day', 'total', 'day'] }))
		store.open(made({ namespace: 'other', tracker: undefined }))
	})

	test('takes other settings once its sessions are closed, if they left nothing', () => {
		const store = new MemoryStore()
		const first = store.open(made())
		const second = store.open(made())
		first.close()
		first.close()
		expect(() => store.open(made({ trendHalfLifeMs: 1 }))).toThrow()
		second.close()
		const other = store.open(made({ trendHalfLifeMs: 1 }))
		other.apply(hits(1, '/home', 0))
		other.close()
		expect(() => store.open(made())).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_MISMATCH' }))
	})
})

test('two stores share nothing', () => {
	const [a, b] = [new MemoryStore().open(made()), new MemoryStore().open(made())]
	a.apply(hits(1, '/home', 0))
	expect([count(a, '/home'), count(b, '/home')]).toEqual([1, 0])
})

test('a writer that comes back after its session was closed is known by its sequences', () => {
	const store = new MemoryStore()
	const settings = made()
	const first = store.open(settings)
	first.apply(hits(1, '/home', 0))
	first.close()
	expect(store.open(settings).apply(hits(1, '/home', 0))).toEqual({ status: 'duplicate' })
})

test('applies a sequence that skips some, and none of the skipped ones later', () => {
	const session = new MemoryStore().open(made())
	expect(session.apply(hits(5, '/home', 0))).toEqual({ status: 'applied' })
	expect(session.apply(hits(3, '/home', 0))).toEqual({ status: 'duplicate' })
	expect(count(session, '/home')).toBe(1)
})

test('a delete whose answer was lost is told again whether the key existed', () => {
	const session = new MemoryStore().open(made())
	session.apply(hits(1, '/home', 0))
	const batch = { kind: 'delete', partition: 0, sequence: 2, key: '/home' } as const
	expect(session.apply(batch)).toEqual({ status: 'applied', existed: true })
	expect(session.apply(batch)).toEqual({ status: 'duplicate', existed: true })
	session.apply(hits(3, '/other', 0))
	expect(session.apply(batch)).toEqual({ status: 'duplicate' })
})

/** A tracker that knows how many of its sketches were not released yet. */
function countedTracker() {
	const inner = createTracker('set')
	const sketches = new Set<VisitorSketch>()
	const tracker: VisitorTracker = {
		kind: 'counted',
		delta: () => inner.delta(),
		load: (bytes) => inner.load(bytes),
		union: (all) => inner.union(all),
		sketch: () => {
			const sketch = inner.sketch()
			sketch.release = () => void sketches.delete(sketch)
			sketches.add(sketch)
			return sketch
		},
	}
	return { tracker, living: () => sketches.size }
}

test('a bucket is dropped, and its visitors released, when the minute of its deadline turns', () => {
	const clock = new ManualClock()
	const { tracker, living } = countedTracker()
	const session = new MemoryStore().open(
		made({ clock, tracker, uniquesPer: ['minute'], retention: { minute: 10 * minuteMs, hour: 0, day: 0 } }),
	)
	for (let i = 0; i < 30; i++) {
		session.apply(hits(i + 1, `/page/${i}`, clock.now(), 1, ['ada'], tracker))
		clock.set(clock.now() + minuteMs)
	}
	// For each of the 10 kept minutes and the running one: a sketch of the key and one of all keys together.
	expect(living()).toBe(2 * 11)
	clock.set(clock.now() + hour)
	session.list({ lane: 'human', prefix: '', limit: 1, after: undefined })
	expect(living()).toBe(0)
})

test('a hit for a bucket past its deadline does not make that bucket, not even until the minute turns', () => {
	const clock = new ManualClock()
	const { tracker, living } = countedTracker()
	const session = new MemoryStore().open(
		made({ clock, tracker, uniquesPer: ['minute'], retention: { minute: 10 * minuteMs, hour: 0, day: 0 } }),
	)
	for (let i = 1; i <= 100; i++) session.apply(hits(i, '/home', clock.now() - (10 + i) * minuteMs, 1, ['ada'], tracker))
	expect([count(session, '/home'), living()]).toEqual([100, 0])
})

test('deleting a key gives the place of its visitors in the pool back', () => {
	const tracker = new HyperLogLogTracker()
	const session = new MemoryStore().open(made({ tracker }))
	const visitors = Array.from({ length: 500 }, (_, i) => `visitor ${i}`)
	let sequence = 0
	const round = () => {
		for (let i = 0; i < 50; i++) session.apply(hits(++sequence, `/page/${i}`, 0, 1, visitors, tracker))
		for (let i = 0; i < 50; i++) session.apply({ kind: 'delete', partition: 0, sequence: ++sequence, key: `/page/${i}` })
	}
	round()
	const after = tracker.bytes
	for (let i = 0; i < 5; i++) round()
	expect(tracker.bytes).toBe(after)
})

test('reading visitors takes no place in the pool', () => {
	const tracker = new HyperLogLogTracker()
	const session = new MemoryStore().open(made({ tracker }))
	session.apply(hits(1, '/home', 0, 1, ['ada', 'bob', 'cyd'], tracker))
	const before = tracker.bytes
	for (let i = 0; i < 2_000; i++) session.visitors({ lane: 'human', keys: ['/home', '/none'], groups: [[total], []] })
	expect(tracker.bytes).toBe(before)
})

test('visitors of a namespace without a tracker are a mistake of the caller', () => {
	const session = new MemoryStore().open(made({ tracker: undefined }))
	const argument = expect.objectContaining({ code: 'ERR_TALLYMARK_ARGUMENT' })
	expect(() => session.visitors({ lane: 'human', keys: 'all', groups: [[total]] })).toThrow(argument)
	expect(() => session.top({ lane: 'human', buckets: [total], by: 'uniques', limit: 1, prefix: '' })).toThrow(argument)
})

test('a tracker that throws makes the batch refused, and what it counted does not count again', () => {
	const inner = createTracker('set')
	let broken = true
	const tracker: VisitorTracker = {
		kind: 'breakable',
		delta: () => inner.delta(),
		load: (bytes) => inner.load(bytes),
		union: (sketches) => inner.union(sketches),
		sketch: () => {
			if (broken) throw new Error('broken tracker')
			return inner.sketch()
		},
	}
	const session = new MemoryStore().open(made({ tracker }))
	const batch = hits(1, '/home', 0, 1, ['ada'], tracker)
	expect(session.apply(batch)).toMatchObject({
		status: 'refused',
		error: { code: 'ERR_TALLYMARK_STORE_REFUSED', cause: { message: 'broken tracker' } },
	})
	broken = false
	expect(session.apply(batch)).toEqual({ status: 'duplicate' })
	expect(count(session, '/home')).toBeLessThanOrEqual(1)
})

describe('what trends', () => {
	const trending = (session: Session, now: number) => session.trending({ lane: 'human', limit: 10, now }).entries

	test('is forgotten when it has long faded, and no sooner', () => {
		const clock = new ManualClock()
		const session = new MemoryStore().open(made({ clock, trendHalfLifeMs: minuteMs }))
		session.apply(hits(1, 'old', clock.now()))
		for (let i = 0; i < 400; i++) {
			clock.set(clock.now() + minuteMs)
			session.apply(hits(2 + i, 'steady', clock.now(), 3))
		}
		expect(trending(session, clock.now()).map(({ key }) => key)).toEqual(['steady', 'old'])
		clock.set(clock.now() + 600 * minuteMs)
		session.apply(hits(1_000, 'new', clock.now()))
		// 2^-600 of 6, and 2^-1000.
		expect(trending(session, clock.now())).toEqual([{ key: 'new', score: 1 }])
	})

	test('takes hits of the future as hits of now', () => {
		const clock = new ManualClock()
		const session = new MemoryStore().open(made({ clock, trendHalfLifeMs: minuteMs }))
		session.apply(hits(1, 'now', clock.now(), 3))
		session.apply(hits(2, 'tomorrow', clock.now() + 24 * hour, 2))
		expect(trending(session, clock.now())).toEqual([
			{ key: 'now', score: 3 },
			{ key: 'tomorrow', score: 2 },
		])
	})

	test.each([600 * 60, 20])('is listed after a clock was %i minutes ahead and came back', (minutes) => {
		const clock = new ManualClock()
		const session = new MemoryStore().open(made({ clock, trendHalfLifeMs: minuteMs }))
		const now = startOf('minute', clock.now())
		clock.set(now + minutes * minuteMs)
		session.apply(hits(1, 'ahead', clock.now(), 2))
		clock.set(now)
		// What it was a half-life earlier, at most, until something is counted.
		expect(trending(session, now)).toEqual([{ key: 'ahead', score: expect.closeTo(4, 9) }])
		session.apply(hits(2, 'late', now - 700 * minuteMs, 9))
		session.apply(hits(3, 'now', now, 3))
		expect(trending(session, now).slice(0, 2)).toEqual([
			{ key: 'now', score: 3 },
			{ key: 'ahead', score: 2 },
		])
		const scores = [...session.transfer().snapshot(0, now)].flatMap((each) => (each.kind === 'trend' ? each.entries : []))
		expect(scores.every(([, score]) => score > 0 && score <= 3)).toBe(true)
		clock.set(now + minuteMs)
		expect(trending(session, clock.now())[0]!.score).toBeCloseTo(1.5, 12)
	})

	test('is as exact after a year of hits as after the first', () => {
		const clock = new ManualClock()
		const session = new MemoryStore().open(made({ clock, trendHalfLifeMs: hour }))
		let expected = 0
		for (let i = 0; i < 2_000; i++) {
			clock.set(clock.now() + 4 * hour)
			session.apply(hits(i + 1, 'steady', startOf('minute', clock.now())))
			expected = expected / 16 + 1
		}
		expect(trending(session, clock.now())[0]!.score).toBeCloseTo(expected, 12)
	})
})

test('a million keys: counted, ranked and listed within some seconds', { timeout: 60_000 }, () => {
	const session = new MemoryStore().open(made({ tracker: undefined, retention: { minute: 0, hour: 0, day: 24 * hour } }))
	const minute = startOf('minute', new ManualClock().now())
	for (let b = 0; b < 100; b++) {
		const deltas = Array.from({ length: 10_000 }, (_, i) => ({
			key: `/article/${b * 10_000 + i}`,
			hits: 1 + (i % 97),
			visitors: undefined,
		}))
		session.apply({ kind: 'hits', partition: 0, sequence: b + 1, groups: [{ lane: 'human', minute, deltas }] })
	}
	const sum = 100 * Array.from({ length: 10_000 }, (_, i) => 1 + (i % 97)).reduce((a, b) => a + b)
	expect(session.hits({ lane: 'human', keys: 'all', buckets: [total] })).toMatchObject({ values: Float64Array.of(sum) })
	expect(session.top({ lane: 'human', buckets: [total], by: 'hits', limit: 2, prefix: '' })).toMatchObject({
		entries: [
			{ key: '/article/100096', hits: 97 },
			{ key: '/article/100193', hits: 97 },
		],
	})
	const list = () => session.list({ lane: 'human', prefix: '/article/99999', limit: 3, after: undefined })
	expect(list()).toEqual({ keys: ['/article/99999', '/article/999990', '/article/999991'], more: true })
	session.apply(hits(101, '/article/99999/', minute))
	expect(list()).toEqual({ keys: ['/article/99999', '/article/99999/', '/article/999990'], more: true })
})
