import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Move, planMoves } from '../../src/hash/placement-plan.ts'
import { Ring, type RingNode } from '../../src/hash/ring.ts'
import { loadsOf, ringNodes } from './ring-support.ts'

function apply(current: readonly string[], moves: readonly Move[]): string[] {
	const owners = [...current]
	for (const { partition, from, to } of moves) {
		expect(owners[partition]).toBe(from)
		expect(from).not.toBe(to)
		owners[partition] = to
	}
	return owners
}

function expectBalanced(owners: readonly string[], ring: Ring): void {
	const loads = loadsOf(owners)
	for (const { name, least, most } of ring.shares(owners.length)) {
		expect(loads.get(name) ?? 0).toBeLessThanOrEqual(most)
		expect(loads.get(name) ?? 0).toBeGreaterThanOrEqual(least)
	}
	for (const name of loads.keys()) expect(ring.names).toContain(name)
}

/** Any ring with any placement, of some of its nodes and some that were removed. */
const anything = ringNodes().chain((nodes) => {
	const owner = fc.constantFrom(...nodes.map(({ name }) => name), 'removed 1', 'removed 2')
	return fc.record({ nodes: fc.constant(nodes), current: fc.array(owner, { minLength: 1, maxLength: 200 }) })
})

test('every plan balances the placement with the fewest moves, and planning again gives nothing', () => {
	fc.assert(
		fc.property(anything, ({ nodes, current }) => {
			const ring = new Ring(nodes)
			const moves = planMoves(current, ring)
			const after = apply(current, moves)
			expectBalanced(after, ring)

			const loads = loadsOf(current)
			let leaving = current.filter((name) => !ring.names.includes(name)).length
			let arriving = 0
			for (const { name, least, most } of ring.shares(current.length)) {
				leaving += Math.max(0, (loads.get(name) ?? 0) - most)
				arriving += Math.max(0, least - (loads.get(name) ?? 0))
			}
			expect(moves).toHaveLength(Math.max(leaving, arriving))
			expect(planMoves(after, ring)).toEqual([])
			expect(planMoves(current, new Ring([...nodes].reverse()))).toEqual(moves)
		}),
		{ numRuns: 500 },
	)
})

test('a node that stays gives to those below their least; to others only when these are full, and only up to their exact share', () => {
	fc.assert(
		fc.property(anything, ({ nodes, current }) => {
			const ring = new Ring(nodes)
			const before = loadsOf(current)
			const moves = planMoves(current, ring)
			const after = loadsOf(apply(current, moves))
			const shares = ring.shares(current.length)
			const needy = shares.filter(({ name, least }) => (before.get(name) ?? 0) < least)
			const fromStaying = moves.filter(({ from }) => ring.names.includes(from))
			for (const { from, to } of fromStaying) {
				expect(moves.some((other) => other.to === from)).toBe(false)
				if (needy.some(({ name }) => name === to)) continue
				for (const { name, most } of needy) expect(after.get(name)).toBe(most)
				const taken = fromStaying.filter((other) => other.to === to).length
				expect((before.get(to) ?? 0) + taken - 1).toBeLessThan(shares.find(({ name }) => name === to)!.fair)
			}
		}),
		{ numRuns: 500 },
	)
})

const joining = fc.record({ nodes: ringNodes({ minLength: 2, maxLength: 12 }), partitions: fc.integer({ min: 1, max: 300 }) })

// Of unequal weights: where a bound of whole partitions shrinks for many small nodes at once, a large one may have to take what the newcomer cannot.
const joiningEquals = joining.map(({ nodes, partitions }) => ({ nodes: nodes.map(({ name }) => ({ name })), partitions }))

test('a node that joins its equals is the only one to receive; when it leaves again it is the only one to give, and the rest is balanced as before', () => {
	fc.assert(
		fc.property(joiningEquals, ({ nodes: [newcomer, ...others], partitions }) => {
			const without = new Ring(others)
			const all = new Ring([newcomer!, ...others])
			const first = without.place(partitions)
			expect(planMoves(first, without)).toEqual([])

			const join = planMoves(first, all)
			const joined = apply(first, join)
			for (const { to } of join) expect(to).toBe(newcomer!.name)

			const leave = planMoves(joined, without)
			for (const { from } of leave) expect(from).toBe(newcomer!.name)
			expect(leave).toHaveLength(loadsOf(joined).get(newcomer!.name) ?? 0)
			expectBalanced(apply(joined, leave), without)
		}),
		{ numRuns: 500 },
	)
})

test('the partitions of a removed node go to nodes that they prefer', () => {
	fc.assert(
		fc.property(joining, ({ nodes, partitions }) => {
			const before = new Ring(nodes).place(partitions)
			const ring = new Ring(nodes.slice(1))
			const after = loadsOf(apply(before, planMoves(before, ring)))
			const shares = ring.shares(partitions)
			const noneIsForced = shares.every(({ name, least }) => (after.get(name) ?? 0) > least)
			for (const { partition, to } of planMoves(before, ring)) {
				if (!noneIsForced || to === ring.owner(partition)) continue
				// Whom it preferred to where it went is full in the end.
				const preference = ring.preference(partition)
				for (const name of preference.slice(0, preference.indexOf(to)))
					expect(after.get(name)).toBe(shares.find((share) => share.name === name)!.most)
			}
		}),
	)
})

test('a node that grows receives from the others, and no other does', () => {
	const weighted = (weight: number): RingNode[] => [{ name: 'a', weight }, { name: 'b' }, { name: 'c' }, { name: 'd' }]
	const before = new Ring(weighted(1)).place(64)
	const moves = planMoves(before, new Ring(weighted(3)))
	expect(moves.length).toBeGreaterThan(0)
	expect(new Set(moves.map(({ to }) => to))).toEqual(new Set(['a']))
	const back = planMoves(apply(before, moves), new Ring(weighted(1)))
	expect(new Set(back.map(({ from }) => from))).toEqual(new Set(['a']))
})

test('one of twenty-one nodes gets its share though no other is above its bound', () => {
	const nodes = Array.from({ length: 21 }, (_, i) => ({ name: `n${i}` }))
	const even = Array.from({ length: 2000 }, (_, i) => `n${i % 20}`)
	const moves = planMoves(even, new Ring(nodes))
	expect(moves).toHaveLength(86) // 0.9 of 95.2, rounded up
	expect(new Set(moves.map(({ to }) => to))).toEqual(new Set(['n20']))
	const given = [...loadsOf(moves.map(({ from }) => from)).values()]
	expect(Math.max(...given) - Math.min(...given)).toBeLessThanOrEqual(1)
})

test('a placement that is balanced stays, though the ring would propose another one', () => {
	expect(planMoves(['a', 'b', 'a', 'b'], new Ring([{ name: 'a' }, { name: 'b' }]))).toEqual([])
})

test('an empty placement is refused', () => {
	expect(() => planMoves([], new Ring([{ name: 'a' }]))).toThrow(
		'Expected `partitions` to be a whole number from 1 to 1048576, got 0 (number)',
	)
})
