import { expect, test } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { MismatchError, StoreRefusedError, StoreUnavailableError, TallymarkError } from '../../src/errors.ts'
import type { DropEvent, FlushEvent, RetryEvent } from '../../src/flow/batch-events.ts'
import { partitionOf } from '../../src/hash/partition.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { Batch, HitsBatch, Outcome, SessionSettings, Store, StoreSession } from '../../src/stores/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { made, minute, noonish, turned, watched } from '../counter/support/made.ts'

const hitsOf = (batch: Batch) => (batch as HitsBatch).groups.flatMap((group) => group.deltas.map(({ key, hits }) => [key, hits]))

/** A key of that partition. */
function keyIn(partition: number, partitions: number, more = ''): string {
	for (let n = 0; ; n++) if (partitionOf(`/${n}${more}`, partitions) === partition) return `/${n}${more}`
}

/** A store whose `apply` is the test's own. */
function answering(apply: (batch: Batch, inner: StoreSession) => Outcome | Promise<Outcome>, partitions = 1): Store {
	const inner = new MemoryStore({ partitions })
	return {
		name: 'memory',
		partitions,
		open(settings: SessionSettings) {
			const session = inner.open(settings)
			return new Proxy(session, {
				get: (target, name) => (name === 'apply' ? (batch: Batch) => apply(batch, target) : Reflect.get(target, name)?.bind(target)),
			})
		},
	}
}

test('hits on one key are one delta', async () => {
	const { counter, store } = made()
	for (let n = 0; n < 1000; n++) void counter.hit('/a')
	void counter.hit('/a', { by: 5 })
	void counter.hit('/b')
	await counter.flush()
	expect(store.batches).toHaveLength(1)
	expect(hitsOf(store.batches[0]!.batch)).toEqual([
		['/a', 1005],
		['/b', 1],
	])
})

test('nothing is sent, and no timer set, before there is a hit', async () => {
	const { counter, store, clock } = made()
	expect(clock.pendingTimers).toBe(0)
	void counter.hit('/a')
	expect(clock.pendingTimers).toBe(1)
	expect(store.calls()).toBe(0)
})

test('no timer is left when everything is stored', async () => {
	const { counter, clock } = made()
	void counter.hit('/a')
	await clock.advance(1_000)
	expect(clock.pendingTimers).toBe(0)
	void counter.hit('/a')
	await counter.flush()
	await clock.advance(1_000)
	expect(clock.pendingTimers).toBe(0)
})

test('a batch is cut when its oldest hit has waited for maxWaitMs, not before', async () => {
	const { counter, store, clock } = made({ batch: { maxWaitMs: 300 } })
	void counter.hit('/a')
	await clock.advance(200)
	void counter.hit('/b')
	await clock.advance(99)
	expect(store.batches).toHaveLength(0)
	await clock.advance(1)
	expect(hitsOf(store.batches[0]!.batch)).toEqual([
		['/a', 1],
		['/b', 1],
	])
	void counter.hit('/a')
	await clock.advance(299)
	expect(store.batches).toHaveLength(1)
	await clock.advance(1)
	expect(store.batches).toHaveLength(2)
})

test('a batch is cut when maxKeys keys wait, as soon as the request that brought the last of them has ended', async () => {
	const { counter, store, clock } = made({ batch: { maxKeys: 10, maxWaitMs: 60_000 } })
	for (let n = 0; n < 10; n++) void counter.hit(`/${n}`)
	expect(store.calls('apply')).toBe(0)
	await clock.advance(1)
	expect(store.calls('apply')).toBe(1)
	expect(await counter.health()).toMatchObject({ pendingKeys: 0 })
})

test('maxKeys counts the keys of all minutes and lanes together', async () => {
	const { counter, store, clock } = made({ batch: { maxKeys: 10, maxWaitMs: 60_000 } })
	for (let n = 0; n < 5; n++) void counter.hit('/a', { at: clock.now() - n * minute })
	for (let n = 0; n < 5; n++) void counter.hit('/a', { at: clock.now() - n * minute, lane: 'bot' })
	await clock.advance(1)
	expect(store.calls('apply')).toBe(1)
})

test('no batch by size is larger than maxKeys', async () => {
	const { counter, store, clock } = made({ batch: { maxKeys: 10 } })
	for (let n = 0; n < 95; n++) void counter.hit(`/${n}`)
	await clock.advance(2_000)
	const sizes = store.batches.map(({ batch }) => hitsOf(batch).length)
	expect(sizes).toEqual([...Array(9).fill(10), 5])
})

test('a loop that never yields loses none of two million keys', async () => {
	const counter = new Counter({ uniques: false, retention: { minute: 0, hour: 0, day: 0 } })
	let refused = 0
	counter.on('drop', ({ hits }) => {
		refused += hits
	})
	const keys = 2_000_000
	for (let n = 0; n < keys; n++) void counter.hit(`${n}`)
	expect(refused).toBe(0)
	await counter.flush()
	expect(await counter.all.count()).toBe(keys)
	// Those that filled a batch are the ones at risk.
	for (const n of [0, 9_999, 10_000, 19_999, 20_000, 39_999, keys - 1]) expect([n, await counter.count(`${n}`)]).toEqual([n, 1])
}, 60_000)

test('a loop that never yields does not pile up hits while the store answers at once', async () => {
	const { counter } = made({ batch: { maxKeys: 5 }, faults: { sync: true } })
	let stored = 0
	counter.on('flush', ({ hits }) => {
		stored += hits
	})
	for (let n = 0; n < 1_000; n++) {
		void counter.hit(`/${n}`)
		expect(n + 1 - stored).toBeLessThan(10)
	}
})

test('the hit that fills a batch is in it', async () => {
	const { counter, recount } = made({ batch: { maxKeys: 5 }, faults: { sync: true } })
	for (let n = 0; n < 100; n++) void counter.hit(`/${n}`, { by: 7 })
	await counter.flush()
	for (let n = 0; n < 100; n++) expect([n, await recount().count(`/${n}`)]).toEqual([n, 7])
})

test('a loop that never yields loses no visitor, however many, while the store answers at once', async () => {
	const { counter, recount } = made({ uniques: 'set', batch: { maxPendingKeys: 100 }, faults: { sync: true } })
	for (let n = 0; n < 1_000; n++) void counter.hit('/a', { visitor: `v${n}` })
	await counter.flush()
	expect(await recount().uniques('/a')).toEqual({ value: 1_000, exact: true, error: 0 })
	expect((await counter.health()).dropped).toBe(0)
})

test('a crowd of new visitors on one key is sent before it comes near maxPendingKeys', async () => {
	const { counter, store, clock } = made({ uniques: 'set', batch: { maxWaitMs: 3_600_000, maxPendingKeys: 80 } })
	for (let n = 0; n < 9; n++) void counter.hit('/a', { visitor: `visitor ${n}` })
	await clock.advance(1)
	// The key and nine visitors: the tenth waiting thing, an eighth of the bound, was the cue.
	expect(store.batches).toHaveLength(1)
	for (let n = 9; n < 200; n++) {
		expect((await counter.hit('/a', { visitor: `visitor ${n}` })).counted).toBe(true)
		await clock.advance(1)
	}
	await counter.flush()
	expect((await counter.uniques('/a')).value).toBe(200)
	expect((await counter.health()).dropped).toBe(0)
})

test('hits of many different minutes at once cost no more than those of few', async () => {
	const { counter, clock, recount } = made({ faults: { sync: true }, batch: { maxKeys: 1_000_000 } })
	const minutes = 150_000
	for (let n = 0; n < minutes; n++) void counter.hit('/a', { at: clock.now() - n * minute })
	await counter.flush()
	expect(await recount().count('/a')).toBe(minutes)
}, 10_000)

test('flush() sends what waits and resolves when it is stored', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang-after', { op: 'apply' })
	const flushed = watched(counter.flush())
	await clock.advance(0)
	expect(flushed.now.state).toBe('pending')
	store.answerHung()
	await clock.advance(0)
	expect(flushed.now.state).toBe('resolved')
	expect(await recount().count('/a')).toBe(1)
})

test('flush() with nothing to store resolves without asking the store', async () => {
	const { counter, store, clock } = made()
	await counter.flush()
	expect(store.calls()).toBe(0)
	expect(clock.pendingTimers).toBe(0)
})

test('flush() joins the one that is under way', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	const both = [watched(counter.flush()), watched(counter.flush())]
	await clock.advance(0)
	expect(store.calls('apply')).toBe(1)
	store.answerHung()
	await clock.advance(0)
	expect(both.map(({ now }) => now.state)).toEqual(['resolved', 'resolved'])
	expect(store.calls('apply')).toBe(1)
})

test('flush() waits for the hits that came while another batch was under way', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	void counter.flush()
	await clock.advance(0)
	void counter.hit('/a')
	const second = watched(counter.flush())
	await clock.advance(0)
	expect(store.calls('apply')).toBe(1)
	store.answerHung()
	await clock.advance(0)
	expect(second.now.state).toBe('resolved')
	expect(await recount().count('/a')).toBe(2)
})

test('flush() ends although hits keep coming', async () => {
	const { counter, clock } = made({ batch: { maxKeys: 2 } })
	let n = 0
	// More than a batch by size takes: whoever waited for the last of them would wait for ever.
	counter.on('flush', () => {
		for (let more = 0; more < 5 && n < 1_000; more++) void counter.hit(`/more/${n++}`)
	})
	for (let more = 0; more < 5; more++) void counter.hit(`/first/${more}`)
	let came = Number.NaN
	const flushed = counter.flush().then(() => {
		came = n
	})
	await turned(clock, flushed)
	expect(came).toBeLessThanOrEqual(20)
})

test('flush() rejects after its time-out and keeps the hits', async () => {
	const { counter, store, clock, recount } = made()
	store.down = true
	void counter.hit('/a')
	const flushed = watched(counter.flush({ timeoutMs: 3_000 }))
	await clock.advance(2_999)
	expect(flushed.now.state).toBe('pending')
	await clock.advance(1)
	expect(flushed.now).toMatchObject({ state: 'rejected', error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
	expect(await counter.health()).toMatchObject({ pendingHits: 1 })
	store.heal()
	await counter.flush()
	expect(await recount().count('/a')).toBe(1)
})

test('flush() tries at once what waits for its next attempt', async () => {
	const { counter, store, clock } = made()
	void counter.hit('/a')
	store.failNext('before', { op: 'apply', times: 8 })
	// The next one would come 2.5 s later at the earliest: waits are random.
	while (store.calls('apply') < 8) await clock.advance(50)
	expect(store.calls('apply')).toBe(8)
	await counter.flush()
	expect(store.calls('apply')).toBe(9)
})

test('a batch that failed is sent again as it was, and what came meanwhile follows in the next one', async () => {
	const { counter, store, clock, recount } = made({ uniques: 'set' })
	void counter.hit('/a', { visitor: 'ada' })
	store.failNext('after', { op: 'apply', times: 4 })
	await clock.advance(1_000)
	void counter.hit('/a', { visitor: 'bob' })
	void counter.hit('/b')
	await clock.advance(10_000)
	store.assertBatchesInOrder()
	expect(store.batches.map(({ batch }) => batch.sequence)).toEqual([1, 1, 1, 1, 1, 2])
	expect(new Set(store.batches.slice(0, 5).map(({ batch }) => batch)).size).toBe(1)
	expect(await recount().count('/a')).toBe(2)
	expect(await recount().uniques('/a')).toMatchObject({ value: 2 })
})

test('waits between attempts as backoff says: from 25 to 50 ms at first, from 2.5 to 5 s at last', async () => {
	const { counter, store, clock } = made()
	const waits: RetryEvent[] = []
	counter.on('retry', (event) => waits.push(event))
	store.down = true
	void counter.hit('/a')
	await clock.advance(60_000)
	expect(waits.map(({ attempt }) => attempt)).toEqual(waits.map((_, index) => index + 1))
	for (const { attempt, delayMs } of waits) {
		const full = Math.min(5_000, 50 * 2 ** (attempt - 1))
		expect(delayMs).toBeGreaterThanOrEqual(full / 2)
		expect(delayMs).toBeLessThanOrEqual(full)
	}
	expect(waits.length).toBeGreaterThanOrEqual(15)
	expect(waits.length).toBeLessThanOrEqual(30)
})

test('a store that never answers is asked again after 15 s', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	await clock.advance(1_000 + 14_999)
	expect(store.calls('apply')).toBe(1)
	await clock.advance(1 + 50)
	expect(store.calls('apply')).toBe(2)
	store.answerHung()
	await clock.advance(0)
	expect(await recount().count('/a')).toBe(1)
})

test('an answer to an earlier attempt settles the batch', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang-after', { op: 'apply', times: 2 })
	const flushed = watched(counter.flush())
	await clock.advance(15_100)
	expect([store.calls('apply'), store.hung]).toEqual([2, 2])
	store.answerHung()
	await clock.advance(0)
	expect(flushed.now.state).toBe('resolved')
	void counter.hit('/a')
	await counter.flush()
	expect(await recount().count('/a')).toBe(2)
	store.assertBatchesInOrder()
})

test('a request that comes late, after its batch and the next were stored, changes nothing', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	await clock.advance(16_100)
	void counter.hit('/a')
	await counter.flush()
	expect(store.hung).toBe(1)
	store.answerHung()
	await clock.advance(0)
	expect(await recount().count('/a')).toBe(2)
})

test('a partition that cannot be reached holds up no other', async () => {
	const partitions = 4
	const keys = Array.from({ length: partitions }, (_, partition) => keyIn(partition, partitions))
	let dead = true
	const store = answering((batch, inner) => {
		if (dead && batch.partition === 2) throw new StoreUnavailableError('dead')
		return inner.apply(batch)
	}, partitions)
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock })
	const flushes: FlushEvent[] = []
	counter.on('flush', (event) => flushes.push(event))
	for (let round = 0; round < 5; round++) {
		for (const key of keys) void counter.hit(key)
		await clock.advance(1_000)
	}
	for (const partition of [0, 1, 3]) expect(flushes.filter((event) => event.partition === partition)).toHaveLength(5)
	expect(flushes.filter((event) => event.partition === 2)).toEqual([])
	expect(await counter.health()).toMatchObject({ status: 'degraded', pendingHits: 5, pendingKeys: 2, lastError: { message: 'dead' } })
	dead = false
	await counter.flush()
	expect(flushes.filter((event) => event.partition === 2).map(({ hits }) => hits)).toEqual([1, 4])
	expect(await counter.health()).toMatchObject({ status: 'up', pendingHits: 0, lastError: undefined })
})

test('without batching, a hit does not wait for a partition that cannot be reached, unless it is its own', async () => {
	const [dead, alive] = [keyIn(0, 2), keyIn(1, 2)]
	const store = answering((batch, inner) => (batch.partition === 0 ? new Promise(() => {}) : inner.apply(batch)), 2)
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock, batch: false })
	const stuck = watched(counter.hit(dead))
	await clock.advance(0)
	const fine = watched(counter.hit(alive))
	await clock.advance(0)
	expect([stuck.now.state, fine.now.state]).toEqual(['pending', 'resolved'])
	await clock.advance(30_000)
	expect(stuck.now).toMatchObject({ state: 'rejected', error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
})

test('past maxPendingKeys hits on new keys are refused: a receipt, an event, a number; those on waiting keys still count', async () => {
	const { counter, store, clock, recount } = made({ batch: { maxPendingKeys: 100 }, uniques: 'set' })
	store.down = true
	const drops: DropEvent[] = []
	counter.on('drop', (event) => drops.push(event))
	const receipts = await Promise.all(Array.from({ length: 150 }, (_, n) => counter.hit(`/${n}`, { by: 2 })))
	expect(receipts.filter(({ counted }) => counted)).toHaveLength(100)
	expect(receipts[120]).toEqual({ counted: false, key: '/120', reason: 'overflow' })
	expect(drops).toHaveLength(50)
	expect(drops[0]).toEqual({ key: '/100', hits: 2, reason: 'overflow' })
	expect(await counter.health()).toMatchObject({ pendingKeys: 100, pendingHits: 200, dropped: 100 })

	// The first hundred are in a batch that is frozen by now: a hit on one of them would be a new entry.
	expect(await counter.hit('/3')).toMatchObject({ counted: false, reason: 'overflow' })
	await clock.advance(60_000)
	store.heal()
	await counter.flush()
	expect(await recount().all.count()).toBe(200)
	expect(await counter.hit('/120')).toEqual({ counted: true, key: '/120' })
})

test('a hit on a key that waits outside the batch under way counts, however full it is', async () => {
	const { counter, store, clock, recount } = made({ batch: { maxPendingKeys: 10 } })
	void counter.hit('/first')
	store.failNext('hang', { op: 'apply' })
	await clock.advance(1_000)
	for (let n = 0; n < 20; n++) void counter.hit(`/${n}`)
	expect(await counter.hit('/0')).toEqual({ counted: true, key: '/0' })
	expect(await counter.hit('/0', { by: 10 })).toEqual({ counted: true, key: '/0' })
	expect(await counter.hit('/19')).toMatchObject({ counted: false, reason: 'overflow' })
	store.answerHung()
	await counter.flush()
	expect(await recount().count('/0')).toBe(12)
	expect(await recount().count('/19')).toBe(0)
})

test('visitors count for maxPendingKeys too', async () => {
	const { counter, store } = made({ batch: { maxPendingKeys: 100 }, uniques: 'set' })
	store.down = true
	const receipts = await Promise.all(Array.from({ length: 150 }, (_, n) => counter.hit('/a', { visitor: `v${n}` })))
	expect(receipts.filter(({ counted }) => counted)).toHaveLength(99)
	expect(await counter.uniques('/a').catch(({ code }) => code)).toBe('ERR_TALLYMARK_STORE_UNAVAILABLE')
})

test('what is stored makes room again', async () => {
	const { counter, clock } = made({ batch: { maxPendingKeys: 10 }, uniques: 'set' })
	for (let round = 0; round < 20; round++) {
		for (let n = 0; n < 5; n++) expect(await counter.hit(`/${round}/${n}`, { visitor: 'ada' })).toMatchObject({ counted: true })
		await clock.advance(1_000)
	}
	expect((await counter.health()).dropped).toBe(0)
})

test('a batch that the store refuses rejects the flush, is reported and counted as dropped, and the next one goes on', async () => {
	let refuse = true
	const store = answering((batch, inner) =>
		refuse ? { status: 'refused', error: new StoreRefusedError('wrong type') } : inner.apply(batch),
	)
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock })
	const drops: DropEvent[] = []
	const errors: unknown[] = []
	counter.on('drop', (event) => drops.push(event)).on('error', (error) => errors.push(error))
	void counter.hit('/a', { by: 3 })
	await expect(counter.flush()).rejects.toThrow(StoreRefusedError)
	expect(drops).toEqual([{ key: undefined, hits: 3, reason: 'refused' }])
	expect(errors).toMatchObject([{ code: 'ERR_TALLYMARK_STORE_REFUSED' }])
	expect(await counter.health()).toMatchObject({ dropped: 3, pendingHits: 0 })
	refuse = false
	void counter.hit('/a')
	await counter.flush()
	expect(await counter.count('/a')).toBe(1)
})

test('a flush of which something is refused waits for the rest', async () => {
	const [refused, slow] = [keyIn(0, 2), keyIn(1, 2)]
	let answer = () => {}
	const store = answering((batch, inner) => {
		if (batch.partition === 0) return { status: 'refused', error: new StoreRefusedError('wrong type') }
		return new Promise((resolve) => {
			answer = () => resolve(inner.apply(batch) as Outcome)
		})
	}, 2)
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock })
	void counter.hit(refused)
	void counter.hit(slow)
	const closed = watched(counter.close())
	await clock.advance(1_000)
	expect(closed.now.state).toBe('pending')
	answer()
	await clock.advance(0)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 1, unstored: 0 } })
})

test.each([
	['a difference in the settings', () => new MismatchError('other partitions'), 'ERR_TALLYMARK_MISMATCH'],
	['a missing client', () => new TallymarkError('ERR_TALLYMARK_SETUP', 'no client'), 'ERR_TALLYMARK_SETUP'],
])('%s is told at once to whoever waits; the hits are kept, and stored when that was cured', async (_, errorOf, code) => {
	let wrong = true
	const store = answering(async (batch, inner) => {
		if (wrong) throw errorOf()
		return inner.apply(batch)
	})
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock, batch: false, cache: false })
	const waiting = [
		() => counter.hit('/a'),
		() => counter.hit('/a', { by: 2 }),
		() => counter.flush(),
		() => counter.set('/b', 5),
		() => counter.delete('/c'),
	].map((call) => watched<unknown>(call()))
	await clock.advance(0)
	for (const { now } of waiting) expect(now).toMatchObject({ state: 'rejected', error: { code } })
	expect(await counter.health()).toMatchObject({ status: 'degraded', pendingHits: 3, dropped: 0, lastError: { code } })
	wrong = false
	await clock.advance(10_000)
	expect(await counter.health()).toMatchObject({ status: 'up', pendingHits: 0, lastError: undefined })
	expect([await counter.count('/a'), await counter.count('/b')]).toEqual([3, 5])
})

test('close() does not wait for what no waiting cures, but for the rest', async () => {
	const [wrong, slow] = [keyIn(0, 2), keyIn(1, 2)]
	let away = true
	const store = answering(async (batch, inner) => {
		if (batch.partition === 0) throw new MismatchError('other partitions')
		if (away) throw new StoreUnavailableError('away')
		return inner.apply(batch)
	}, 2)
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock })
	void counter.hit(wrong)
	void counter.hit(slow)
	const closed = watched(counter.close())
	await clock.advance(500)
	expect(closed.now.state).toBe('pending')
	away = false
	await clock.advance(1_000)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 1, unstored: 1 } })
	expect(clock.pendingTimers).toBe(0)

	const other = new Counter({ store, clock })
	void other.hit(wrong)
	const ended = watched(other.close())
	await clock.advance(0)
	expect(ended.now).toEqual({ state: 'resolved', value: { stored: 0, unstored: 1 } })
})

test('an error at once is a failed attempt like any other', async () => {
	let failures = 3
	const store = answering((batch, inner) => {
		if (failures-- > 0) throw new Error('busy')
		return inner.apply(batch)
	})
	const clock = new ManualClock(noonish)
	const counter = new Counter({ store, clock })
	const errors: unknown[] = []
	counter.on('error', (error) => errors.push(error))
	void counter.hit('/a')
	await clock.advance(2_000)
	expect(await counter.count('/a')).toBe(1)
	// Told once, with its first failure; the others are 'retry' events.
	expect(errors).toMatchObject([
		{ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE', message: "The store 'memory' failed: busy", cause: { message: 'busy' } },
	])
})

test('hits go into the batch of their own minute when the minute turns while they wait', async () => {
	const { counter, store, clock, recount } = made({ batch: { maxWaitMs: 120_000 } })
	void counter.hit('/a')
	await clock.advance(29_999)
	void counter.hit('/a')
	await clock.advance(1)
	void counter.hit('/a', { by: 10 })
	await counter.flush()
	const { groups } = store.batches[0]!.batch as HitsBatch
	expect(groups.map((group) => [group.minute, group.deltas[0]!.hits])).toEqual([
		[noonish - 30_000, 2],
		[noonish + 30_000, 10],
	])
	expect(await recount().count('/a', { period: 'minute' })).toBe(10)
	expect(await recount().count('/a', { from: noonish - 30_000, to: noonish + 30_000 })).toBe(2)
})

/** Asks of the clock. */
class AskedClock extends ManualClock {
	asked = 0
	override now(): number {
		this.asked += 1
		return super.now()
	}
}

test('a hit on a known key asks for the time once, whatever hits of other minutes came before', async () => {
	const clock = new AskedClock(noonish)
	const counter = new Counter({ clock, batch: { maxWaitMs: 3_600_000 } })
	const cost = (hit: () => unknown) => {
		const before = clock.asked
		hit()
		return clock.asked - before
	}
	void counter.hit('/a', { visitor: 'ada' })
	void counter.hit('/a', { at: noonish + 20 * 3_600_000 })
	void counter.hit('/a', { at: noonish - 5 * 3_600_000 })
	expect(cost(() => counter.hit('/a'))).toBe(1)
	expect(cost(() => counter.hit('/a', { visitor: 'bob' }))).toBe(1)
	clock.set(noonish - 3_600_000)
	void counter.hit('/a')
	expect(cost(() => counter.hit('/a'))).toBe(1)
	clock.set(noonish + 3_600_000)
	void counter.hit('/a')
	expect(cost(() => counter.hit('/a'))).toBe(1)
	await counter.flush()
	expect(await counter.count('/a')).toBe(9)
})
