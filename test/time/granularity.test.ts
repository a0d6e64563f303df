import { expect, test } from 'vitest'
import { deadlineOf, holds, isGranularity, startOf, total } from '../../src/time/granularity.ts'

const at = Date.UTC(2026, 2, 10, 10, 15, 30, 500)

test('a bucket begins on its bound, before 1970 too', () => {
	expect(startOf('minute', at)).toBe(Date.UTC(2026, 2, 10, 10, 15))
	expect(startOf('hour', at)).toBe(Date.UTC(2026, 2, 10, 10))
	expect(startOf('day', at)).toBe(Date.UTC(2026, 2, 10))
	expect(startOf('day', Date.UTC(2026, 2, 10))).toBe(Date.UTC(2026, 2, 10))
	expect(startOf('hour', -1)).toBe(-3_600_000)
})

test('a bucket holds its first moment and not the first one after it', () => {
	const bucket = { level: 'hour', start: Date.UTC(2026, 2, 10, 10) } as const
	expect([bucket.start - 1, bucket.start, bucket.start + 3_599_999, bucket.start + 3_600_000].map((time) => holds(bucket, time))).toEqual([
		false,
		true,
		true,
		false,
	])
	expect(holds(total, -5)).toBe(true)
})

test('a bucket lives to its end and its retention; all time lives for ever', () => {
	const retention = { minute: 5, hour: 7, day: 9 }
	expect(deadlineOf({ level: 'minute', start: 60_000 }, retention)).toBe(120_005)
	expect(deadlineOf({ level: 'day', start: 0 }, retention)).toBe(86_400_009)
	expect(deadlineOf(total, retention)).toBe(Number.POSITIVE_INFINITY)
})

test('names that every object has are no granularities', () => {
	expect(['minute', 'hour', 'day', 'week', 'toString', '__proto__', undefined, 5].filter(isGranularity)).toEqual(['minute', 'hour', 'day'])
})
