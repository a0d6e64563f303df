import fc from 'fast-check'
import type { RingNode } from '../../src/hash/ring.ts'

/** Some nodes, most of weight 1. */
export function ringNodes({ minLength = 1, maxLength = 9 } = {}): fc.Arbitrary<RingNode[]> {
	const weight = fc.oneof(
		{ weight: 3, arbitrary: fc.constant(1) },
		{ weight: 1, arbitrary: fc.constantFrom(0.01, 0.1, 0.5, 1.5, 2, 3.3, 10) },
	)
	const node = fc.record({ name: fc.string({ minLength: 1, maxLength: 12 }), weight })
	return fc.uniqueArray(node, { minLength, maxLength, selector: ({ name }) => name })
}

/** How many partitions each node owns; nodes without any are left out. */
export function loadsOf(owners: readonly string[]): Map<string, number> {
	const loads = new Map<string, number>()
	for (const name of owners) loads.set(name, (loads.get(name) ?? 0) + 1)
	return loads
}
