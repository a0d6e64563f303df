import { expect, test } from 'vitest'
import type { Batch } from '../../src/stores/store.ts'
import { made, minute, watched } from '../counter/support/made.ts'

const kinds = (batches: readonly { batch: Batch }[]) => batches.map(({ batch }) => batch.kind)

test('set() overwrites the hits before it and adds up with those after it, although all of them wait', async () => {
	const { counter, recount } = made()
	void counter.hit('/a', { by: 5 })
	const set = counter.set('/a', 100)
	void counter.hit('/a', { by: 3 })
	await set
	expect(await counter.count('/a')).toBe(103)
	await counter.flush()
	expect(await recount().count('/a')).toBe(103)
	expect(await recount().all.count()).toBe(103)
})

test('set() keeps its place while batches before it are under way and fail', async () => {
	const { counter, store, clock, recount } = made()
	void counter.hit('/a')
	store.failNext('hang', { op: 'apply' })
	await clock.advance(1_000)
	void counter.hit('/a', { by: 10 })
	store.failNext('after', { op: 'apply', times: 2 })
	const set = watched(counter.set('/a', 50))
	void counter.hit('/a', { by: 2 })
	const again = watched(counter.set('/a', 70))
	void counter.hit('/a', { by: 4 })
	await clock.advance(100)
	expect([set.now.state, again.now.state]).toEqual(['pending', 'pending'])
	store.answerHung()
	await clock.advance(60_000)
	expect([set.now.state, again.now.state]).toEqual(['resolved', 'resolved'])
	await counter.flush()
	expect(await recount().count('/a')).toBe(74)
	expect([...new Set(store.batches.map(({ batch }) => batch))].map(({ kind }) => kind)).toEqual([
		'hits',
		'hits',
		'set',
		'hits',
		'set',
		'hits',
	])
	store.assertBatchesInOrder()
})

test('delete() forgets the hits before it, in every lane and bucket, and keeps those after it', async () => {
	const { counter, store, clock, recount } = made({ uniques: 'set' })
	void counter.hit('/a', { visitor: 'ada' })
	void counter.hit('/a', { lane: 'bot', by: 9 })
	void counter.hit('/b', { visitor: 'ada' })
	store.down = true
	await clock.advance(2_000)
	const deleted = watched(counter.delete('/a'))
	void counter.hit('/a', { visitor: 'bob', by: 2 })
	await clock.advance(5_000)
	expect(deleted.now.state).toBe('pending')
	store.heal()
	await counter.flush()
	expect(deleted.now).toEqual({ state: 'resolved', value: true })
	const stored = recount()
	expect(await stored.count('/a')).toBe(2)
	expect(await stored.count('/a', { period: 'hour' })).toBe(2)
	expect(await stored.lane('bot').count('/a')).toBe(0)
	expect(await stored.uniques('/a')).toMatchObject({ value: 1 })
	expect(await stored.all.count()).toBe(3)
	expect(await stored.list()).toEqual({ keys: ['/a', '/b'] })
})

test('delete() says whether there was anything, also when its answer was lost and it was sent again', async () => {
	const { counter, store, clock } = made()
	expect(await counter.delete('/nothing')).toBe(false)
	void counter.hit('/a')
	await counter.flush()
	store.failNext('after', { op: 'apply', times: 3 })
	const deleted = watched(counter.delete('/a'))
	await clock.advance(5_000)
	expect(deleted.now).toEqual({ state: 'resolved', value: true })
	expect(await counter.delete('/a')).toBe(false)
})

test('set() and delete() do not wait for a batch by age: they go at once, behind what waits', async () => {
	const { counter, store } = made({ batch: { maxWaitMs: 60 * minute } })
	void counter.hit('/a')
	await counter.set('/a', 5)
	expect(kinds(store.batches)).toEqual(['hits', 'set'])
	await counter.delete('/a')
	expect(kinds(store.batches)).toEqual(['hits', 'set', 'delete'])
})

test('a flush waits for the set() and delete() that were called before it', async () => {
	const { counter, store, clock } = made()
	store.failNext('hang', { op: 'apply' })
	const set = watched(counter.set('/a', 5))
	const flushed = watched(counter.flush())
	await clock.advance(0)
	expect([set.now.state, flushed.now.state]).toEqual(['pending', 'pending'])
	store.answerHung()
	await clock.advance(0)
	expect([set.now.state, flushed.now.state]).toEqual(['resolved', 'resolved'])
})

test('what is read after set() and delete() is what they left, kept answers or not', async () => {
	const { counter } = made()
	void counter.hit('/a', { by: 5 })
	void counter.hit('/b')
	expect([await counter.count('/a'), await counter.all.count(), await counter.top()]).toEqual([
		5,
		6,
		[
			{ key: '/a', hits: 5 },
			{ key: '/b', hits: 1 },
		],
	])
	await counter.set('/a', 0)
	expect([await counter.count('/a'), await counter.all.count(), await counter.top()]).toEqual([0, 1, [{ key: '/b', hits: 1 }]])
	expect((await counter.list()).keys).toEqual(['/a', '/b'])
	await counter.delete('/b')
	expect([await counter.count('/b'), await counter.all.count(), await counter.top()]).toEqual([0, 0, []])
	expect((await counter.list()).keys).toEqual(['/a'])
})
