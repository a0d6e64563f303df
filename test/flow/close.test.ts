import { expect, test } from 'vitest'
import { Counter } from '../../src/counter.ts'
import { made, turned, watched } from '../counter/support/made.ts'

test('close() stores what waits and says how much', async () => {
	const { counter, clock, recount } = made()
	void counter.hit('/a', { by: 3 })
	await clock.advance(1_000)
	void counter.hit('/a', { by: 4 })
	void counter.hit('/b')
	expect(await counter.close()).toEqual({ stored: 5, unstored: 0 })
	expect(await recount().all.count()).toBe(8)
	expect(clock.pendingTimers).toBe(0)
})

test('close() with a dead store says to the hit what was not stored, within its deadline, and leaves no timer', async () => {
	const { counter, store, clock, errors } = made({ partitions: 4 })
	for (let n = 0; n < 50; n++) void counter.hit(`/${n}`, { by: 2 })
	await clock.advance(900)
	store.down = true
	await clock.advance(1_000)
	void counter.hit('/late')
	const closed = watched(counter.close({ timeoutMs: 3_000 }))
	await clock.advance(2_600)
	expect(closed.now.state).toBe('pending')
	await clock.advance(400)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 0, unstored: 101 } })
	expect(errors.at(-1)?.code).toBe('ERR_TALLYMARK_STORE_UNAVAILABLE')
	expect(clock.pendingTimers).toBe(0)
})

test('close() is within its deadline although the store never answers anything, its own close included', async () => {
	const { counter, clock } = made({ faults: { plan: () => 'hang' } })
	void counter.hit('/a')
	const closed = watched(counter.close({ timeoutMs: 2_000 }))
	await clock.advance(2_000)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 0, unstored: 1 } })
})

test('a clock that is set back while closing does not move the deadline', async () => {
	const { counter, clock } = made({ faults: { plan: () => 'hang' }, cooldownMs: 1_000 })
	void counter.hit('/a', { visitor: 'ada' })
	const closed = watched(counter.close({ timeoutMs: 2_000 }))
	await clock.advance(500)
	clock.set(0)
	await clock.advance(4_000)
	expect(closed.now.state).toBe('resolved')
})

test('what some partitions stored and others did not is told apart', async () => {
	const { counter, store, clock } = made({ partitions: 8, faults: { plan: (op, n) => (op === 'apply' && n > 3 ? 'before' : undefined) } })
	for (let n = 0; n < 200; n++) void counter.hit(`/${n}`)
	const report = await turned(clock, counter.close({ timeoutMs: 5_000 }))
	const first = store.batches.slice(0, 3).map(({ batch }) => (batch.kind === 'hits' ? batch.groups[0]!.deltas.length : 0))
	expect(report.stored).toBe(first.reduce((sum, hits) => sum + hits))
	expect(report).toMatchObject({ unstored: 200 - report.stored })
})

test('close() a second time is the same promise', async () => {
	const { counter } = made()
	void counter.hit('/a')
	const closing = counter.close()
	expect(counter.close({ timeoutMs: 5 })).toBe(closing)
	expect(await closing).toEqual({ stored: 1, unstored: 0 })
	expect(counter.close()).toBe(closing)
})

test('close() refuses a time-out that is none, and the counter stays open', async () => {
	const { counter, recount } = made()
	for (const options of [{ timeoutMs: -1 }, { timeoutMs: Number.NaN }, { timeout: 5 }, null]) {
		await expect(counter.close(options as never)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT' })
	}
	expect(await counter.hit('/a')).toMatchObject({ counted: true })
	expect(await counter.close()).toEqual({ stored: 1, unstored: 0 })
	expect(await recount().count('/a')).toBe(1)
})

test('`await using` closes the counter', async () => {
	const { counter, recount } = made()
	{
		await using used = counter
		void used.hit('/a')
	}
	expect(await recount().count('/a')).toBe(1)
	await expect(counter.hit('/a')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
})

test('every call but health(), close(), on() and lane() is refused after close(), the quick way for a hit on a known key too', async () => {
	const { counter, recount } = made()
	void counter.hit('/a', { visitor: 'ada' })
	const closing = counter.close()
	const calls: (() => Promise<unknown>)[] = [
		() => counter.hit('/a'),
		() => counter.hit('/a', { visitor: 'ada' }),
		() => counter.hit('/a', { id: '1' }),
		() => counter.count('/a'),
		() => counter.uniques('/a'),
		() => counter.stats('/a'),
		() => counter.series('/a', { granularity: 'day' }),
		() => counter.rate('/a'),
		() => counter.top(),
		() => counter.trending(),
		() => counter.list(),
		() => counter.set('/a', 1),
		() => counter.delete('/a'),
		() => counter.flush(),
		() => counter.all.count(),
		() => counter.all.uniques(),
		() => counter.all.series({ granularity: 'day' }),
		() => counter.all.rate(),
		() => counter.lane('bot').count('/a'),
	]
	for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
	await closing
	for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
	expect(await counter.health()).toMatchObject({ status: 'down', nodes: [{ reason: 'this counter is closed' }], pendingHits: 0 })
	expect(await recount().count('/a')).toBe(1)
})

test('a listener that is called while closing finds the counter closed', async () => {
	const counter = new Counter()
	const answers: unknown[] = []
	let again: Promise<unknown> | undefined
	counter.on('flush', () => {
		counter.hit('/late').catch(({ code }) => answers.push(code))
		again = counter.close()
	})
	void counter.hit('/a')
	const closing = counter.close()
	expect(await closing).toEqual({ stored: 1, unstored: 0 })
	expect(again).toBe(closing)
	expect(answers).toEqual(['ERR_TALLYMARK_CLOSED'])
})

test('hits whose marks are under way at close() are waited for, and counted', async () => {
	const { counter, store, clock, recount } = made({ cooldownMs: 60_000 })
	store.failNext('hang', { op: 'claim', times: 2 })
	const hits = [watched(counter.hit('/a', { visitor: 'ada', id: '1' })), watched(counter.hit('/a', { visitor: 'bob' }))]
	const closed = watched(counter.close())
	await clock.advance(3_000)
	expect(closed.now.state).toBe('pending')
	store.answerHung()
	await clock.advance(0)
	expect(hits.map(({ now }) => now)).toMatchObject([{ value: { counted: true } }, { value: { counted: true } }])
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 2, unstored: 0 } })
	expect(await recount({ cooldownMs: 0 }).count('/a')).toBe(2)
})

test('a mark that comes while closing brings its own hit in, and no other', async () => {
	const fails = (op: string) => (op === 'apply' ? 'before' : op === 'claim' ? 'hang' : undefined)
	const { counter, store, clock } = made({ faults: { plan: fails } })
	void counter.hit('/a')
	await clock.advance(1_000)
	const slow = watched(counter.hit('/b', { id: '1' }))
	const closed = watched(counter.close({ timeoutMs: 5_000 }))
	await clock.advance(100)
	store.answerHung()
	await clock.advance(0)
	expect(slow.now).toMatchObject({ value: { counted: true } })
	// It waits behind the batch that fails: the quick way would find it.
	await expect(counter.hit('/b')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
	await clock.advance(4_900)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 0, unstored: 2 } })
	await expect(counter.hit('/b')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
})

test('a mark that comes after the deadline is taken back, and its hit refused', async () => {
	const { counter, store, clock, recount } = made()
	store.failNext('hang', { op: 'claim' })
	const hit = watched(counter.hit('/a', { id: '1' }))
	const closed = watched(counter.close({ timeoutMs: 1_000 }))
	await clock.advance(1_000)
	expect(closed.now).toEqual({ state: 'resolved', value: { stored: 0, unstored: 0 } })
	store.answerHung()
	await clock.advance(0)
	expect(hit.now).toMatchObject({ value: { counted: false, reason: 'overflow' } })
	expect(await recount().hit('/a', { id: '1' })).toMatchObject({ counted: true })
})

test('a store that fails while it lets go is reported; the numbers are right all the same', async () => {
	const { counter, store, errors, recount } = made()
	void counter.hit('/a')
	store.failNext('before', { op: 'close' })
	expect(await counter.close()).toEqual({ stored: 1, unstored: 0 })
	expect(errors).toMatchObject([{ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' }])
	expect(await recount().count('/a')).toBe(1)
})

test('a store that fails during close() and recovers in time loses nothing', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('before', { op: 'apply', times: 2 })
	store.failNext('after', { op: 'apply', times: 2 })
	expect(await turned(clock, counter.close())).toEqual({ stored: 1, unstored: 0 })
	expect(await recount().count('/a')).toBe(1)
})

test('whoever waits for something when the counter closes without it is told', async () => {
	const { counter, store, clock } = made({ batch: false })
	store.down = true
	const waiting = [watched(counter.hit('/a')), watched(counter.set('/b', 1)), watched(counter.delete('/c')), watched(counter.flush())]
	await clock.advance(10)
	const closed = watched(counter.close({ timeoutMs: 1_000 }))
	await clock.advance(1_000)
	expect(closed.now).toMatchObject({ value: { unstored: 1 } })
	for (const { now } of waiting) expect(now).toMatchObject({ state: 'rejected', error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
})
