import { expect, test } from 'vitest'
import { otherKey } from '../../src/key-budget.ts'
import { hour, made, minute, turned, watched } from './support/made.ts'

test('a visitor counts once on a key within the cooldown, and again after it', async () => {
	const { counter, clock } = made({ cooldownMs: 30 * minute })
	const hit = () => counter.hit('/a', { visitor: 'ada' })
	expect(await hit()).toEqual({ counted: true, key: '/a' })
	expect(await hit()).toEqual({ counted: false, key: '/a', reason: 'cooldown' })
	await clock.advance(30 * minute - 1)
	expect(await hit()).toMatchObject({ counted: false })
	await clock.advance(1)
	expect(await hit()).toMatchObject({ counted: true })
	expect(await counter.count('/a')).toBe(2)
})

test('a clock that is put back makes no cooldown and no id last longer', async () => {
	const { counter, clock } = made({ cooldownMs: minute, idMemoryMs: minute })
	const cool = () => counter.hit('/a', { visitor: 'ada' })
	const once = () => counter.hit('/b', { id: '1' })
	await Promise.all([cool(), once()])
	clock.set(clock.now() - 24 * hour)
	for (const hit of [cool, once]) expect(await hit()).toMatchObject({ counted: false })
	await clock.advance(minute)
	for (const hit of [cool, once]) expect(await hit()).toMatchObject({ counted: true })
})

test('a cooldown is of the visitor and the key and the lane together', async () => {
	const { counter } = made({ cooldownMs: hour })
	for (const [key, visitor, lane] of [
		['/a', 'ada', 'human'],
		['/b', 'ada', 'human'],
		['/a', 'bob', 'human'],
		['/a', 'ada', 'bot'],
		// What would read the same with no length in it.
		['/aa', 'da', 'human'],
	] as const) {
		expect(await counter.hit(key, { visitor, lane })).toMatchObject({ counted: true })
		expect(await counter.hit(key, { visitor, lane })).toMatchObject({ reason: 'cooldown' })
	}
})

test('hits without a visitor have no cooldown', async () => {
	const { counter } = made({ cooldownMs: hour })
	for (let n = 0; n < 5; n++) expect(await counter.hit('/a')).toMatchObject({ counted: true })
	expect(await counter.count('/a')).toBe(5)
})

test('keys past maxKeys have their own cooldowns, although they are counted together', async () => {
	const { counter } = made({ cooldownMs: hour, maxKeys: 1 })
	await counter.hit('/a')
	expect(await counter.hit('/b', { visitor: 'ada' })).toEqual({ counted: true, key: otherKey })
	expect(await counter.hit('/c', { visitor: 'ada' })).toEqual({ counted: true, key: otherKey })
	expect(await counter.hit('/c', { visitor: 'ada' })).toEqual({ counted: false, key: otherKey, reason: 'cooldown' })
})

test('the same id counts once, whatever the key, in every process, and again when it is forgotten', async () => {
	const { counter, clock, recount } = made({ idMemoryMs: hour, partitions: 4 })
	expect(await counter.hit('/a', { id: 'order 5' })).toEqual({ counted: true, key: '/a' })
	expect(await counter.hit('/a', { id: 'order 5' })).toEqual({ counted: false, key: '/a', reason: 'duplicate' })
	expect(await counter.hit('/b', { id: 'order 5' })).toMatchObject({ reason: 'duplicate' })
	expect(await recount().hit('/c', { id: 'order 5' })).toMatchObject({ reason: 'duplicate' })
	expect(await counter.hit('/a', { id: 'order 6' })).toMatchObject({ counted: true })
	await clock.advance(hour)
	expect(await counter.hit('/b', { id: 'order 5' })).toMatchObject({ counted: true })
	expect([await counter.count('/a'), await counter.count('/b')]).toEqual([2, 1])
})

test('the same id at the same time counts once', async () => {
	const { counter } = made()
	const receipts = await Promise.all(Array.from({ length: 20 }, () => counter.hit('/a', { id: '1' })))
	expect(receipts.filter(({ counted }) => counted)).toHaveLength(1)
	expect(await counter.count('/a')).toBe(1)
})

test('a hit refused by its cooldown leaves its id free', async () => {
	const { counter, clock } = made({ cooldownMs: minute })
	await counter.hit('/a', { visitor: 'ada' })
	expect(await counter.hit('/a', { visitor: 'ada', id: '1' })).toMatchObject({ reason: 'cooldown' })
	await clock.advance(minute)
	expect(await counter.hit('/a', { visitor: 'ada', id: '1' })).toMatchObject({ counted: true })
})

test('a hit refused by its id starts no cooldown', async () => {
	const { counter } = made({ cooldownMs: hour })
	await counter.hit('/a', { id: '1' })
	expect(await counter.hit('/a', { visitor: 'ada', id: '1' })).toMatchObject({ reason: 'duplicate' })
	expect(await counter.hit('/a', { visitor: 'ada' })).toMatchObject({ counted: true })
})

test('a hit refused because too much waits leaves no mark: sent again later, it counts', async () => {
	const { counter, store, clock } = made({ batch: { maxPendingKeys: 2 }, cooldownMs: hour })
	store.failNext('before', { op: 'apply', times: 1_000 })
	await Promise.all([counter.hit('/1'), counter.hit('/2')])
	expect(await counter.hit('/a', { id: '1', visitor: 'ada' })).toMatchObject({ reason: 'overflow' })
	expect(store.calls('claim')).toBe(0)
	store.heal()
	await turned(clock, counter.flush())
	expect(await counter.hit('/a', { id: '1', visitor: 'ada' })).toMatchObject({ counted: true })
	expect((await counter.health()).dropped).toBe(1)
})

test('a mark that was set when too much came to wait meanwhile is taken back', async () => {
	const { counter, store, clock } = made({ batch: { maxPendingKeys: 2 } })
	store.failNext('before', { op: 'apply', times: 1_000 })
	store.failNext('hang', { op: 'claim' })
	const hit = watched(counter.hit('/a', { id: '1' }))
	await clock.advance(0)
	await Promise.all([counter.hit('/1'), counter.hit('/2')])
	store.answerHung()
	await clock.advance(0)
	expect(hit.now).toMatchObject({ value: { reason: 'overflow' } })
	store.heal()
	await counter.flush()
	expect(await counter.hit('/a', { id: '1' })).toMatchObject({ counted: true })
})

test('an id is remembered however much waits: on a key that waits already too', async () => {
	const { counter, store, recount, clock } = made({ batch: { maxPendingKeys: 2 } })
	store.failNext('hang', { op: 'apply' })
	void counter.hit('/first')
	await clock.advance(1_000)
	void counter.hit('/a')
	expect(await counter.hit('/b')).toMatchObject({ reason: 'overflow' })
	expect(await counter.hit('/a', { id: '1' })).toMatchObject({ counted: true })
	expect(await counter.hit('/a', { id: '1' })).toMatchObject({ reason: 'duplicate' })
	store.answerHung()
	await counter.flush()
	expect(await recount().count('/a')).toBe(2)
})

test.each(['before', 'after'] as const)(
	'a mark that could not be asked for (%s) rejects the hit; the same hit sent again counts, once',
	async (mode) => {
		for (const failing of [1, 2]) {
			const { counter, errors, recount } = made({
				cooldownMs: hour,
				faults: { plan: (op, n) => (op === 'claim' && n === failing ? mode : undefined) },
			})
			const hit = () => counter.hit('/a', { id: '1', visitor: 'ada' })
			await expect(hit()).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
			expect(errors).toHaveLength(1)
			expect(await hit()).toEqual({ counted: true, key: '/a' })
			expect(await hit()).toMatchObject({ reason: 'duplicate' })
			await counter.flush()
			expect(await recount().count('/a')).toBe(1)
		}
	},
)

test('a mark that nobody answers for is given up after 15 s, and taken back when the answer comes', async () => {
	const { counter, store, clock, errors } = made()
	store.failNext('hang', { op: 'claim' })
	const hit = watched(counter.hit('/a', { id: '1' }))
	await clock.advance(14_999)
	expect(hit.now.state).toBe('pending')
	await clock.advance(1)
	expect(hit.now).toMatchObject({ state: 'rejected', error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
	expect(errors).toHaveLength(1)
	store.answerHung()
	await clock.advance(0)
	expect(await counter.hit('/a', { id: '1' })).toMatchObject({ counted: true })
})

test('hits that wait for their marks are bounded like those that wait to be stored', async () => {
	const { counter, store, clock } = made({ batch: { maxPendingKeys: 10 }, faults: { plan: (op) => (op === 'claim' ? 'hang' : undefined) } })
	const hits = Array.from({ length: 25 }, (_, n) => watched(counter.hit('/a', { id: `${n}` })))
	await clock.advance(0)
	expect(hits.filter(({ now }) => now.state === 'resolved' && !now.value.counted && now.value.reason === 'overflow')).toHaveLength(15)
	store.answerHung()
	await clock.advance(0)
	expect(hits.filter(({ now }) => now.state === 'resolved' && now.value.counted)).toHaveLength(10)
})

test('ids and cooldowns work without batching', async () => {
	const { counter, clock, recount } = made({ batch: false, cooldownMs: hour })
	expect(await turned(clock, counter.hit('/a', { id: '1', visitor: 'ada' }))).toMatchObject({ counted: true })
	expect(await counter.hit('/a', { id: '1' })).toMatchObject({ reason: 'duplicate' })
	expect(await counter.hit('/a', { visitor: 'ada' })).toMatchObject({ reason: 'cooldown' })
	expect(await recount().count('/a')).toBe(1)
})
