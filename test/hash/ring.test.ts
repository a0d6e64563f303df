import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashed, hashText } from '../../src/hash/murmur64.ts'
import { Ring, type RingNode } from '../../src/hash/ring.ts'
import { loadsOf, ringNodes } from './ring-support.ts'

const three: readonly RingNode[] = [{ name: 'a:6379' }, { name: 'b:6379' }, { name: 'c:6379', weight: 2 }]

test('a placement never changes: data is stored by it', () => {
	const ring = new Ring(three)
	const placed = ring.place(64).map((name) => name[0])
	expect(placed.join('')).toBe('bcbbcacbcaabccccabcaabcbcccccacaabccbcbccacccacbaccaacbccaacbcbc')
	expect(ring.preference(0)).toEqual(['b:6379', 'c:6379', 'a:6379'])
	expect(ring.preference(1)).toEqual(['c:6379', 'a:6379', 'b:6379'])
	expect(new Ring([{ name: 'é' }, { name: '😀' }, { name: 'z' }], { virtualNodes: 1 }).place(12).join('')).toBe('😀😀😀😀zzzézééé')
})

test('the order of the configuration does not matter', () => {
	fc.assert(
		fc.property(
			ringNodes().chain((nodes) => fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length }))),
			([nodes, shuffled]) => {
				expect(new Ring(shuffled).place(64)).toEqual(new Ring(nodes).place(64))
			},
		),
	)
})

test('the owner is the first of the preference, which names every node once', () => {
	fc.assert(
		fc.property(ringNodes(), fc.nat(2 ** 20), fc.integer({ min: 1, max: 40 }), (nodes, partition, virtualNodes) => {
			const ring = new Ring(nodes, { virtualNodes })
			const preference = ring.preference(partition)
			expect(preference[0]).toBe(ring.owner(partition))
			expect([...preference].sort()).toEqual(ring.names)
		}),
	)
})

test('without a bound, a node that joins takes partitions, and no other node does', () => {
	fc.assert(
		fc.property(ringNodes({ minLength: 2 }), ([joining, ...others]) => {
			const before = new Ring(others)
			const after = new Ring([joining!, ...others])
			for (let partition = 0; partition < 200; partition++)
				expect([before.owner(partition), joining!.name]).toContain(after.owner(partition))
		}),
	)
})

test('two nodes at one place: the lesser name comes first, in either order', () => {
	const names = ['n950', 'n202403'] as const
	const places = names.map((name) => {
		hashText(`${name}#0`)
		return hashed[1]
	})
	expect(places[0]).toBe(places[1])
	for (const nodes of [names, [...names].reverse()]) {
		const ring = new Ring(
			nodes.map((name) => ({ name })),
			{ virtualNodes: 1 },
		)
		for (let partition = 0; partition < 20; partition++) expect(ring.preference(partition)).toEqual(['n202403', 'n950'])
	}
})

test('a single node owns everything', () => {
	expect(new Ring([{ name: 'only' }]).place(5)).toEqual(['only', 'only', 'only', 'only', 'only'])
})

describe('the bounds', () => {
	test('are 0.9 and 1.1 of the exact share, or the whole numbers around it', () => {
		expect(new Ring(three).shares(64)).toEqual([
			{ name: 'a:6379', points: 160, fair: 16, least: 15, most: 17 },
			{ name: 'b:6379', points: 160, fair: 16, least: 15, most: 17 },
			{ name: 'c:6379', points: 320, fair: 32, least: 29, most: 35 },
		])
		expect(new Ring(three.slice(0, 2)).shares(7)[0]).toMatchObject({ fair: 3.5, least: 3, most: 4 })
		expect(new Ring(three.slice(0, 2)).shares(1)[0]).toMatchObject({ fair: 0.5, least: 0, most: 1 })
	})

	test('are whole numbers of points, so that rounding never lets one more in', () => {
		// 0.1 + 0.1 + 0.1 is not 0.3 in binary; 16 points of 48 are a third.
		const thirds = new Ring([1, 2, 3].map((i) => ({ name: `n${i}`, weight: 0.1 })))
		expect(thirds.shares(30)[0]).toEqual({ name: 'n1', points: 16, fair: 10, least: 9, most: 11 })
	})

	test('hold for every placement', () => {
		fc.assert(
			fc.property(ringNodes(), fc.integer({ min: 1, max: 300 }), (nodes, partitions) => {
				const ring = new Ring(nodes)
				const loads = loadsOf(ring.place(partitions))
				for (const { name, fair, least, most } of ring.shares(partitions)) {
					expect(most).toBeLessThanOrEqual(Math.max(1.1 * fair + 1e-9, Math.ceil(fair)))
					expect(loads.get(name) ?? 0).toBeLessThanOrEqual(most)
					expect(loads.get(name) ?? 0).toBeGreaterThanOrEqual(least)
				}
			}),
		)
	})
})

test('a node that joins changes the owner of about 1/n of the partitions', () => {
	const partitions = 1024
	for (const count of [3, 5, 9]) {
		let moved = 0
		for (let run = 0; run < 10; run++) {
			const nodes = Array.from({ length: count }, (_, i) => ({ name: `redis-${run}-${i}:6379` }))
			const before = new Ring(nodes.slice(1)).place(partitions)
			moved += new Ring(nodes).place(partitions).filter((name, i) => name !== before[i]).length / partitions / 10
		}
		// Measured: 1.00, 1.05 and 1.09 times the ideal.
		expect(moved * count).toBeGreaterThan(0.9)
		expect(moved * count).toBeLessThan(1.2)
	}
})

describe('what cannot be right is refused', () => {
	test.each([
		[[], {}, 'Expected `nodes` to be an array of 1 to 1000 nodes, got 0 (number)'],
		['a', {}, 'Expected `nodes` to be an array of 1 to 1000 nodes, got "a" (string)'],
		[[{ name: '' }], {}, 'Expected `nodes[0].name` to be a string that is not empty, got "" (string)'],
		[[null], {}, 'Expected `nodes[0].name` to be a string that is not empty, got undefined'],
		[[{ name: 'a' }, { name: 'a' }], {}, 'Expected `nodes[1].name` to be a name that no other node has, got "a" (string)'],
		[[{ name: 'a', weight: 0 }], {}, 'Expected `nodes[0].weight` to be a number above 0 and up to 100, got 0 (number)'],
		[[{ name: 'a', weight: Number.NaN }], {}, 'Expected `nodes[0].weight` to be a number above 0 and up to 100, got NaN (number)'],
		[[{ name: 'a', weight: '2' }], {}, 'Expected `nodes[0].weight` to be a number above 0 and up to 100, got "2" (string)'],
		[[{ name: 'a' }], { virtualNodes: 0 }, 'Expected `virtualNodes` to be a whole number from 1 to 1000, got 0 (number)'],
		[[{ name: 'a' }], { virtualNodes: 1.5 }, 'Expected `virtualNodes` to be a whole number from 1 to 1000, got 1.5 (number)'],
	])('%j with %j', (nodes, options, message) => {
		expect(() => new Ring(nodes as never, options)).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message }))
	})

	test.each([0, -1, 1.5, Number.NaN, 2 ** 20 + 1])('%d partitions', (partitions) => {
		expect(() => new Ring(three).place(partitions)).toThrow('Expected `partitions` to be a whole number from 1 to 1048576')
	})
})
