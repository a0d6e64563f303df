import { expect, test } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { SessionSettings, Store, StoreEvent } from '../../src/stores/store.ts'
import { FaultyStore } from '../../src/testing/faulty-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { made, noonish, watched } from './support/made.ts'

/** A store that tells what the test lets it tell. */
class TellingStore extends MemoryStore {
	tell!: (event: StoreEvent) => void
	override open(settings: SessionSettings) {
		this.tell = settings.report
		return super.open(settings)
	}
}

test('a new counter is up and has nothing waiting', async () => {
	expect(await made().counter.health()).toEqual({
		status: 'up',
		store: 'memory',
		nodes: [{ name: 'memory', status: 'up', latencyMs: 0 }],
		pendingKeys: 0,
		pendingHits: 0,
		oldestPendingMs: 0,
		dropped: 0,
		rolledBack: 0,
		lastError: undefined,
	})
})

test('says how much waits, and for how long, under way or not', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a', { by: 2 })
	await clock.advance(400)
	void counter.hit('/b')
	void counter.hit('/a', { lane: 'bot' })
	expect(await counter.health()).toMatchObject({ pendingKeys: 3, pendingHits: 4, oldestPendingMs: 400 })
	store.failNext('hang', { op: 'apply' })
	await clock.advance(1_000)
	void counter.hit('/a')
	expect(await counter.health()).toMatchObject({ pendingKeys: 4, pendingHits: 5, oldestPendingMs: 1_400 })
	store.answerHung()
	await clock.advance(0)
	expect(await counter.health()).toMatchObject({ pendingKeys: 1, pendingHits: 1, oldestPendingMs: 0 })
	clock.set(noonish - 10_000)
	expect((await counter.health()).oldestPendingMs).toBe(0)
})

test('is degraded while something that was sent is not stored, and up again when it is', async () => {
	const { counter, store, clock } = made()
	store.failNext('before', { op: 'apply' })
	void counter.hit('/a')
	await clock.advance(1_000)
	expect(await counter.health()).toMatchObject({ status: 'degraded', lastError: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
	await clock.advance(100)
	expect(await counter.health()).toMatchObject({ status: 'up', lastError: undefined, pendingHits: 0 })
})

test('is down when the store cannot be asked, or does not answer within 2 s', async () => {
	const { counter, store, clock } = made()
	store.down = true
	expect(await counter.health()).toMatchObject({ status: 'down', nodes: [{ name: 'memory', status: 'down', latencyMs: undefined }] })
	store.down = false
	store.failNext('hang', { op: 'health' })
	const health = watched(counter.health())
	await clock.advance(1_999)
	expect(health.now.state).toBe('pending')
	await clock.advance(1)
	expect(health.now).toMatchObject({ value: { status: 'down', nodes: [{ reason: 'no answer within 2000 ms' }] } })
})

test('is degraded when one of several nodes is down', async () => {
	const inner = new MemoryStore()
	const store: Store = {
		name: 'memory',
		partitions: 1,
		open: (settings) =>
			Object.assign(Object.create(inner.open(settings)), {
				health: () => [
					{ name: 'a', status: 'up', latencyMs: 1 },
					{ name: 'b', status: 'down', latencyMs: undefined, reason: 'gone' },
				],
			}),
	}
	expect(await new Counter({ store }).health()).toMatchObject({ status: 'degraded', nodes: [{ name: 'a' }, { name: 'b', reason: 'gone' }] })
})

test('what the store tells of its own accord is emitted, and lost hits are counted', async () => {
	const store = new TellingStore()
	const counter = new Counter({ store })
	const told: [string, unknown][] = []
	for (const name of ['rollback', 'topology', 'error'] as const) counter.on(name, (event) => told.push([name, event]))
	const rollback: StoreEvent = { type: 'rollback', partition: 3, what: 'total', fromSequence: 1, toSequence: 4, hits: 7 }
	store.tell(rollback)
	store.tell({ type: 'topology', message: 'moved' })
	const error = new (await import('../../src/errors.ts')).StoreUnavailableError('gone')
	store.tell({ type: 'error', error })
	expect(told).toEqual([
		['rollback', rollback],
		['topology', { type: 'topology', message: 'moved' }],
		['error', error],
	])
	expect((await counter.health()).rolledBack).toBe(7)
})

test("a 'flush' says what was stored and how long that took", async () => {
	const { counter, store, clock } = made()
	const events: unknown[] = []
	counter.on('flush', (event) => events.push(event))
	store.failNext('hang-after', { op: 'apply' })
	void counter.hit('/a', { by: 2 })
	void counter.hit('/b')
	await clock.advance(1_250)
	store.answerHung()
	await clock.advance(0)
	expect(events).toEqual([{ partition: 0, keys: 2, hits: 3, attempts: 1, durationMs: 250 }])
	await counter.set('/a', 1)
	expect(events).toHaveLength(1)
})

test('an error is told once for a batch however often it fails, with its cause', async () => {
	const { counter, store, clock, errors } = made()
	const retries: unknown[] = []
	counter.on('retry', (event) => retries.push(event))
	store.failNext('before', { op: 'apply', times: 4 })
	void counter.hit('/a')
	await clock.advance(5_000)
	expect(errors).toHaveLength(1)
	expect(retries).toHaveLength(4)
	expect(retries[0]).toMatchObject({ partition: 0, attempt: 1, error: errors[0] })
})

test('listeners that throw stop nothing, and what they throw is told', async () => {
	const { counter, clock, errors, store, recount } = made()
	const boom = () => {
		throw new Error('of a listener')
	}
	counter.on('flush', boom).on('retry', boom).on('drop', boom).on('error', boom)
	store.failNext('before', { op: 'apply' })
	void counter.hit('/a')
	await clock.advance(5_000)
	void counter.hit('/a')
	await counter.flush()
	expect(await recount().count('/a')).toBe(2)
	expect(errors.map(({ message }) => message)).toEqual([
		expect.stringContaining('FaultyStore'),
		"A listener of 'retry' threw",
		"A listener of 'flush' threw",
		"A listener of 'flush' threw",
	])
	expect(errors[1]).toMatchObject({ cause: { message: 'of a listener' } })
})

test('an onError that throws stops nothing', async () => {
	const store = new FaultyStore(new MemoryStore())
	const clock = new ManualClock(noonish)
	const counter = new Counter({
		store,
		clock,
		onError() {
			throw new Error('of onError')
		},
	})
	store.failNext('before', { op: 'apply', times: 3 })
	void counter.hit('/a')
	await clock.advance(5_000)
	expect(await counter.count('/a')).toBe(1)
})

test('a listener that was taken off hears no more', async () => {
	const { counter } = made()
	let heard = 0
	const listener = () => {
		heard += 1
	}
	expect(counter.on('flush', listener).off('flush', listener)).toBe(counter)
	void counter.hit('/a')
	await counter.flush()
	expect(heard).toBe(0)
})
