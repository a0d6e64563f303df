import { expect, test } from 'vitest'
import { ManualClock } from '../../src/testing/manual-clock.ts'

test('starts with the year 2026 and stands still', async () => {
	const clock = new ManualClock()
	expect(new Date(clock.now()).toISOString()).toBe('2026-01-01T00:00:00.000Z')
	await new Promise((resolve) => setTimeout(resolve, 5))
	expect(clock.now()).toBe(Date.UTC(2026, 0, 1))
})

test('starts where it is told, by a Date or by milliseconds', () => {
	expect(new ManualClock(new Date(5_000)).now()).toBe(5_000)
	expect(new ManualClock(7_000).now()).toBe(7_000)
})

test('fires what falls due in the order of time, each at its own moment', async () => {
	const clock = new ManualClock(0)
	const fired: string[] = []
	const note = (name: string) => () => void fired.push(`${name} at ${clock.now()}`)
	clock.setTimer(note('late'), 300)
	clock.setTimer(note('early'), 100)
	clock.setTimer(note('early too'), 100)
	clock.setTimer(note('never'), 301)
	await clock.advance(99)
	expect(fired).toEqual([])
	await clock.advance(201)
	expect(fired).toEqual(['early at 100', 'early too at 100', 'late at 300'])
	expect(clock.now()).toBe(300)
	expect(clock.pendingTimers).toBe(1)
})

test('fires timers that are set on the way, by other timers or by promises they led to', async () => {
	const clock = new ManualClock(0)
	const fired: number[] = []
	const again = async () => {
		fired.push(clock.now())
		for (let i = 0; i < 20; i++) await Promise.resolve()
		if (fired.length < 5) clock.setTimer(again, 10)
	}
	clock.setTimer(again, 10)
	await clock.advance(35)
	expect(fired).toEqual([10, 20, 30])
	await clock.advance(100)
	expect(fired).toEqual([10, 20, 30, 40, 50])
})

test('a timer of 0 waits for a millisecond, so that one that sets itself again ends', async () => {
	const clock = new ManualClock(0)
	let fired = 0
	const again = () => {
		fired++
		clock.setTimer(again, 0)
	}
	clock.setTimer(again, 0)
	await clock.advance(0)
	expect(fired).toBe(0)
	await clock.advance(10)
	expect(fired).toBe(10)
})

test('promises settle before the time moves and after it has', async () => {
	const clock = new ManualClock(0)
	const seen: number[] = []
	const later = async () => {
		await Promise.resolve()
		seen.push(clock.now())
	}
	void later()
	clock.setTimer(() => void later(), 10)
	await clock.advance(10)
	expect(seen).toEqual([0, 10])
})

test('a cancelled timer does not fire, and cancelling again does nothing', async () => {
	const clock = new ManualClock(0)
	let fired = 0
	const first = clock.setTimer(() => fired++, 10)
	const second = clock.setTimer(() => fired++, 10)
	first.cancel()
	first.cancel()
	expect(clock.pendingTimers).toBe(1)
	await clock.advance(10)
	second.cancel()
	expect(fired).toBe(1)
})

test('setting the time lets none pass: timers stay as far off as they were', async () => {
	const clock = new ManualClock(1_000)
	let firedAt: number | undefined
	clock.setTimer(() => {
		firedAt = clock.now()
	}, 100)
	clock.set(new Date(50_000))
	expect(clock.now()).toBe(50_000)
	clock.set(500)
	await clock.advance(99)
	expect(firedAt).toBeUndefined()
	await clock.advance(1)
	expect(firedAt).toBe(600)
})

test('rejects with what a timer throws', async () => {
	const clock = new ManualClock()
	clock.setTimer(() => {
		throw new Error('broken')
	}, 1)
	await expect(clock.advance(1)).rejects.toThrow('broken')
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, undefined])('does not advance by %j', async (ms) => {
	await expect(new ManualClock().advance(ms as number)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT' })
})

test('does not start at an invalid date', () => {
	expect(() => new ManualClock(new Date(Number.NaN))).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_ARGUMENT' }))
})
