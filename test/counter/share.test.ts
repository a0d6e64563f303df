import { describe, expect, it } from 'vitest'
import { BadInputError, ClosedError, StoreUnavailableError } from '../../src/errors.ts'
import { Counter } from '../../src/index.ts'
import { day, made, turned } from './support/made.ts'

describe('share', () => {
	it('tells every counter of a namespace the text that came first, at once in memory', () => {
		const { memory, counter, clock } = made({ faults: { sync: true } })
		expect(counter.share({ name: 'salt', value: 'a', ttlMs: day })).toBe('a')
		expect(new Counter({ store: memory, clock }).share({ name: 'salt', value: 'b', ttlMs: day })).toBe('a')
		expect(new Counter({ store: memory, clock, namespace: 'other' }).share({ name: 'salt', value: 'b', ttlMs: day })).toBe('b')
	})

	it('the text ends when its time is over, and does not wait in memory for it to be asked for', async () => {
		const { counter, clock } = made({ faults: { sync: true } })
		void counter.share({ name: 'salt', value: 'a', ttlMs: day })
		await clock.advance(day - 1)
		expect(counter.share({ name: 'salt', value: 'b', ttlMs: day })).toBe('a')
		await clock.advance(1)
		expect(counter.share({ name: 'salt', value: 'c', ttlMs: day })).toBe('c')
	})

	it('rejects when the store fails, or does not answer in time', async () => {
		const { counter, clock, store } = made()
		store.failNext('before', { op: 'share' })
		await expect(counter.share({ name: 'salt', value: 'a', ttlMs: day })).rejects.toThrow(StoreUnavailableError)
		store.failNext('hang', { op: 'share' })
		await expect(turned(clock, Promise.resolve(counter.share({ name: 'salt', value: 'a', ttlMs: day })))).rejects.toThrow(/within 2000 ms/)
		store.answerHung()
		expect(await counter.share({ name: 'salt', value: 'b', ttlMs: day })).toBe('a')
	})

	it.each([
		[{ name: '', value: 'a', ttlMs: 1 }],
		[{ name: 'a b', value: 'a', ttlMs: 1 }],
		[{ name: 'x'.repeat(129), value: 'a', ttlMs: 1 }],
		[{ name: 'a', value: '', ttlMs: 1 }],
		[{ name: 'a', value: 'x'.repeat(4_097), ttlMs: 1 }],
		[{ name: 'a', value: 'a', ttlMs: 0 }],
		[{ name: 'a', value: 'a', ttlMs: 1.5 }],
		[{ name: 'a', value: 'a', ttlMs: 1, ttl: 1 } as never],
	])('refuses %j', (shared) => {
		expect(() => made().counter.share(shared)).toThrow(BadInputError)
	})

	it('is refused by a closed counter', async () => {
		const { counter } = made()
		await counter.close()
		expect(() => counter.share({ name: 'salt', value: 'a', ttlMs: 1 })).toThrow(ClosedError)
	})
})
