/** A counter on a clock that is turned by hand and a store that fails on demand. */
import { Counter } from '../../../src/counter.ts'
import type { TallymarkError } from '../../../src/errors.ts'
import type { CounterOptions } from '../../../src/options.ts'
import { MemoryStore } from '../../../src/stores/memory.ts'
import { FaultyStore, type FaultyStoreOptions } from '../../../src/testing/faulty-store.ts'
import { ManualClock } from '../../../src/testing/manual-clock.ts'

export const minute = 60_000
export const hour = 60 * minute
export const day = 24 * hour

/** 2026-03-10T10:15:30Z, a Tuesday. */
export const noonish = Date.UTC(2026, 2, 10, 10, 15, 30)

export interface Given extends CounterOptions {
	readonly partitions?: number
	readonly faults?: FaultyStoreOptions
	readonly start?: number
}

export function made({ partitions = 1, faults, start = noonish, ...options }: Given = {}) {
	const clock = new ManualClock(start)
	const memory = new MemoryStore({ partitions })
	const store = new FaultyStore(memory, faults)
	const counter = new Counter({ store, clock, ...options })
	const errors: TallymarkError[] = []
	counter.on('error', (error) => errors.push(error))
	/** Another process on the same numbers: it reads what is stored, and nothing else. */
	const recount = (more: CounterOptions = {}) => new Counter({ ...options, store: memory, clock, cache: false, ...more })
	return { clock, memory, store, counter, errors, recount }
}

export type Settled<T> = { state: 'pending' } | { state: 'resolved'; value: T } | { state: 'rejected'; error: TallymarkError }

/** What a promise is at any time: look at it after `clock.advance(0)`. */
export function watched<T>(promise: Promise<T>): { now: Settled<T> } {
	const box: { now: Settled<T> } = { now: { state: 'pending' } }
	promise.then(
		(value) => {
			box.now = { state: 'resolved', value }
		},
		(error) => {
			box.now = { state: 'rejected', error }
		},
	)
	return box
}

/** Turns the clock until the promise settles, by at most `ms`. */
export async function turned<T>(clock: ManualClock, promise: Promise<T>, ms = 10 * minute): Promise<T> {
	const box = watched(promise)
	for (let passed = 0; box.now.state === 'pending' && passed < ms; passed += 250) await clock.advance(250)
	if (box.now.state === 'pending') throw new Error(`Still pending after ${ms} ms`)
	if (box.now.state === 'rejected') throw box.now.error
	return box.now.value
}
