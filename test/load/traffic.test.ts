import { expect, it } from 'vitest'
import { addressOf, trafficOf } from '../../examples/load/traffic.ts'

it('is half visits, two fifths readings, one tenth charts and lists', () => {
	const next = trafficOf({ pages: 10, users: 10 })
	const kinds = Array.from({ length: 1_000 }, (_, index) => next(index))
	const share = (kind: string) => kinds.filter((each) => each.kind === kind).length
	expect([share('visit'), share('visits'), share('analytics')]).toEqual([500, 400, 100])
	expect(new Set(kinds.filter(({ kind }) => kind === 'analytics').map(({ path }) => path)).size).toBe(3)
})

it('visits every page, the first twice as often as the second', () => {
	const pages = 4
	const next = trafficOf({ pages, users: 1 }, sweep(10_000))
	const visits = Array<number>(pages).fill(0)
	for (let index = 0; index < 10_000; index++) visits[next(0).page]! += 1
	const rare = visits[3]!
	for (const [page, factor] of [4, 2, 4 / 3, 1].entries()) expect(visits[page]! / rare).toBeCloseTo(factor, 1)
})

it('gives every user an address', () => {
	const users = 70_000
	expect(new Set(Array.from({ length: users }, (_, user) => addressOf(user))).size).toBe(users)
	expect(addressOf(65_536 + 513)).toBe('10.1.2.1')
})

/** Evenly spread numbers, each given twice: for the page, and for the user. */
function sweep(steps: number): () => number {
	let calls = 0
	return () => (Math.floor(calls++ / 2) + 0.5) / steps
}
