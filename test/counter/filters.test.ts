import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { BloomTracker, Counter, type MembershipFilter, pluggedFilter } from '../../src/index.ts'

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `visitor ${from + at}`)

async function visit(counter: Counter, key: string, visitors: readonly string[]): Promise<void> {
	for (const visitor of visitors) await counter.hit(key, { visitor })
}

describe("uniques: 'bloom'", () => {
	it('is exact for few visitors, and within its stated error for many', async () => {
		const counter = new Counter({ uniques: 'bloom' })
		await visit(counter, '/few', numbered(0, 768))
		expect(await counter.uniques('/few')).toEqual({ value: 768, exact: true, error: 0 })
		await visit(counter, '/many', numbered(0, 20_000))
		await visit(counter, '/many', numbered(0, 20_000))
		const { value, exact, error } = await counter.uniques('/many')
		expect(exact).toBe(false)
		expect(error).toBeLessThan(0.01)
		expect(Math.abs(value - 20_000)).toBeLessThan(5 * error * 20_000)
	})

	it('is a union over keys and buckets, with what waits and what is stored, never a sum', async () => {
		const counter = new Counter({ uniques: new BloomTracker({ capacity: 100_000 }), uniquesPer: ['total', 'hour', 'day'] })
		await visit(counter, '/a', numbered(0, 3_000))
		await counter.flush()
		await visit(counter, '/b', numbered(1_000, 4_000))
		const close = (value: number, truth: number) => expect(Math.abs(value - truth) / truth).toBeLessThan(0.01)
		close((await counter.uniques(['/a', '/b'])).value, 4_000)
		close((await counter.uniques(['/a', '/b'], { period: 'day' })).value, 4_000)
		close((await counter.all.uniques({ period: 'hour' })).value, 4_000)
		close((await counter.uniques('/a', { period: 'day' })).value, 3_000)
	})
})

describe('pluggedFilter', () => {
	// Its ESM build has no named exports in Node.
	const { BloomFilter } = createRequire(import.meta.url)('bloom-filters') as {
		BloomFilter: { create(size: number, errorRate: number): MembershipFilter }
	}
	const uniques = () => pluggedFilter({ kind: 'bloom-filters', create: () => BloomFilter.create(2_000, 0.001), errorRate: 0.001 })

	it('counts by a filter of the bloom-filters package', async () => {
		const counter = new Counter({ uniques: uniques() })
		await visit(counter, '/a', numbered(0, 1_000))
		await counter.flush()
		await visit(counter, '/a', numbered(500, 1_500))
		const { value, exact, error } = await counter.uniques('/a')
		expect(exact).toBe(false)
		expect(error).toBe(0.001)
		expect(value).toBeGreaterThan(1_490)
		expect(value).toBeLessThanOrEqual(1_500)
		// Once more after the flush: who is in the filter by now is not counted beside it.
		await counter.flush()
		expect((await counter.uniques('/a')).value).toBe(value)
	})

	it('refuses what a foreign filter cannot answer, and says why', async () => {
		const counter = new Counter({ uniques: uniques() })
		await visit(counter, '/a', ['ada'])
		await visit(counter, '/b', ['bob'])
		expect(await counter.uniques('/a')).toEqual({ value: 1, exact: true, error: 0 })
		await counter.flush()
		await expect(counter.uniques(['/a', '/b'])).rejects.toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT', message: /cannot be united/ })
	})

	it.each([
		[{ kind: '', create: () => new Set() as never, errorRate: 0.1 }, 'kind'],
		[{ kind: 'x', create: 1, errorRate: 0.1 }, 'create'],
		[{ kind: 'x', create: () => new Set() as never, errorRate: 2 }, 'errorRate'],
	])('refuses %j', (options, name) => {
		expect(() => pluggedFilter(options as never)).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION' }))
		expect(() => pluggedFilter(options as never)).toThrow(`\`${name}\``)
	})

	it('refuses a filter without add and has', async () => {
		const counter = new Counter({ uniques: pluggedFilter({ kind: 'x', create: () => ({}) as never, errorRate: 0 }) })
		const errors: unknown[] = []
		counter.on('error', (error) => errors.push(error))
		await counter.hit('/a', { visitor: 'ada' })
		await expect(counter.flush()).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_REFUSED' })
		expect(errors).toHaveLength(1)
	})
})
