import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { HitsBatch, SessionSettings } from '../../src/stores/store.ts'
import { FaultyStore } from '../../src/testing/faulty-store.ts'
import { total } from '../../src/time/granularity.ts'
import { createTracker } from '../../src/visitors/trackers.ts'

const tracker = createTracker('set')
const settings: SessionSettings = {
	namespace: 'test',
	writer: '0123456789abcdef',
	clock: systemClock,
	tracker,
	uniquesPer: ['total'],
	retention: { minute: 0, hour: 0, day: 0 },
	trendHalfLifeMs: 3_600_000,
	report: () => {},
}
const hit = (sequence: number, hits = 1, partition = 0): HitsBatch => ({
	kind: 'hits',
	partition,
	sequence,
	groups: [{ lane: 'human', minute: 0, deltas: [{ key: '/home', hits, visitors: undefined }] }],
})
const made = (options?: ConstructorParameters<typeof FaultyStore>[1]) => {
	const inner = new MemoryStore()
	const store = new FaultyStore(inner, options)
	const session = store.open(settings)
	const stored = async () => (await inner.open(settings).hits({ lane: 'human', keys: ['/home'], buckets: [total] })).values[0]
	return { store, session, stored }
}
const unanswered = async (call: Promise<unknown>) => {
	const pending = Symbol()
	const soon = new Promise((resolve) => setTimeout(resolve, 5, pending))
	return (await Promise.race([call, soon])) === pending
}

test('passes everything on, with promises', async () => {
	const { store, session, stored } = made()
	const answer = session.apply(hit(1))
	expect(answer).toBeInstanceOf(Promise)
	expect(await answer).toEqual({ status: 'applied' })
	expect(await session.list({ lane: 'human', prefix: '', limit: 10, after: undefined })).toEqual({ keys: ['/home'], more: false })
	expect(await session.claim({ kind: 'id', partition: 0, name: '00000000000000ff', ttlMs: 1_000 })).toBe(true)
	await session.release({ kind: 'id', partition: 0, name: '00000000000000ff', ttlMs: 1_000 })
	expect(await session.claim({ kind: 'id', partition: 0, name: '00000000000000ff', ttlMs: 1_000 })).toBe(true)
	expect(await session.health()).toMatchObject([{ status: 'up' }])
	await session.close()
	expect(await stored()).toBe(1)
	expect([store.name, store.partitions]).toEqual(['memory', 1])
	expect([store.calls(), store.calls('apply'), store.calls('read'), store.calls('claim')]).toEqual([7, 1, 1, 2])
})

test('answers at once where it is told to', () => {
	expect(made({ sync: true }).session.apply(hit(1))).toEqual({ status: 'applied' })
})

test('fails before the store hears of it', async () => {
	const { store, session, stored } = made()
	store.failNext('before')
	await expect(session.apply(hit(1))).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	expect(await stored()).toBe(0)
	expect(await session.apply(hit(1))).toEqual({ status: 'applied' })
})

test('fails after the store has done it', async () => {
	const { store, session, stored } = made()
	store.failNext('after')
	await expect(session.apply(hit(1))).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	expect(await stored()).toBe(1)
	expect(await session.apply(hit(1))).toEqual({ status: 'duplicate' })
})

test('hangs, and does what was asked when it is told to go on', async () => {
	const { store, session, stored } = made()
	store.failNext('hang')
	const first = Promise.resolve(session.apply(hit(1)))
	expect(await unanswered(first)).toBe(true)
	expect([await stored(), store.hung]).toEqual([0, 1])
	expect(await session.apply(hit(1))).toEqual({ status: 'applied' })
	store.answerHung()
	expect(await first).toEqual({ status: 'duplicate' })
	expect([await stored(), store.hung]).toEqual([1, 0])
})

test('does what was asked and hangs with the answer', async () => {
	const { store, session, stored } = made()
	store.failNext('hang-after')
	const first = Promise.resolve(session.apply(hit(1)))
	expect(await unanswered(first)).toBe(true)
	expect(await stored()).toBe(1)
	store.answerHung()
	expect(await first).toEqual({ status: 'applied' })
})

test('fails as often, and for such calls, as it was told', async () => {
	const { store, session } = made()
	store.failNext('before', { times: 2, op: 'apply' })
	store.failNext('before', { op: 'read' })
	expect(await session.health()).toHaveLength(1)
	await expect(session.top({ lane: 'human', buckets: [total], by: 'hits', limit: 1, prefix: '' })).rejects.toThrow('top')
	await session.trending({ lane: 'human', limit: 1, now: 0 })
	await expect(session.apply(hit(1))).rejects.toThrow()
	await expect(session.apply(hit(1))).rejects.toThrow()
	expect(await session.apply(hit(1))).toEqual({ status: 'applied' })
})

test('fails by plan, each operation numbered from 1', async () => {
	const asked: string[] = []
	const { session } = made({
		plan: (operation, n) => {
			asked.push(`${operation} ${n}`)
			return operation === 'apply' && n === 2 ? 'before' : undefined
		},
	})
	await session.apply(hit(1))
	await session.health()
	await expect(session.apply(hit(2))).rejects.toThrow()
	await session.apply(hit(2))
	expect(asked).toEqual(['apply 1', 'health 1', 'apply 2', 'apply 3'])
})

test('rejects everything while it is down, and nothing once healed', async () => {
	const { store, session, stored } = made()
	store.down = true
	store.failNext('after', { times: 10 })
	await expect(session.apply(hit(1))).rejects.toThrow()
	await expect(session.health()).rejects.toThrow()
	expect(await stored()).toBe(0)
	store.heal()
	expect(await session.apply(hit(1))).toEqual({ status: 'applied' })
})

test('records every batch that was sent', async () => {
	const { store, session } = made()
	store.failNext('before')
	await expect(session.apply(hit(1))).rejects.toThrow()
	await session.apply(hit(1))
	await session.apply(hit(2))
	expect(store.batches.map(({ writer, batch }) => [writer, batch.sequence])).toEqual([
		['0123456789abcdef', 1],
		['0123456789abcdef', 1],
		['0123456789abcdef', 2],
	])
	store.assertBatchesInOrder()
})

test('tells when a sequence came with other hits', async () => {
	const { store, session } = made()
	await session.apply(hit(1, 3))
	store.assertBatchesInOrder()
	await session.apply(hit(1, 4))
	expect(() => store.assertBatchesInOrder()).toThrow(/sequence 1: was .*3.* is now .*4/)
})

test('tells when the visitors of a batch grew in place', async () => {
	const { store, session } = made()
	const visitors = tracker.delta()
	visitors.add('ada')
	const batch = (): HitsBatch => ({
		...hit(1),
		groups: [{ lane: 'human', minute: 0, deltas: [{ key: '/home', hits: 1, visitors }] }],
	})
	await session.apply(batch())
	await session.apply(batch())
	store.assertBatchesInOrder()
	visitors.add('bob')
	await session.apply(batch())
	expect(() => store.assertBatchesInOrder()).toThrow('sequence 1')
})

test('tells when a batch is sent before the one before it was answered', async () => {
	const { store, session } = made()
	const first = session.apply(hit(1))
	const second = session.apply(hit(2))
	await Promise.all([first, second])
	expect(() => store.assertBatchesInOrder()).toThrow('sequence 2: sent while 0 is the last that was answered')
})

test.each([
	[{ kind: 'set', partition: 0, sequence: 1, lane: 'human', key: 'a', hits: 1 } as const, 'hits', 2],
	[{ kind: 'delete', partition: 0, sequence: 1, key: 'a' } as const, 'key', 'b'],
])('tells when a %j batch changed', async (batch, field, value) => {
	const { store, session } = made()
	await session.apply(batch)
	await session.apply({ ...batch, [field]: value })
	expect(() => store.assertBatchesInOrder()).toThrow('sequence 1')
})
