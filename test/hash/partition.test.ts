import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partitionOf } from '../../src/hash/partition.ts'
import { murmur64Reference } from './murmur64-reference.ts'

test.each([
	['/home', 16, 11],
	['/home', 64, 11],
	['/home', 5, 1],
	['/about', 16, 11],
	['', 16, 2],
	['hello world', 16, 7],
	['😀', 64, 13],
	['__proto__', 16, 0],
	['/home', 1000, 451],
] as const)('the partition of %j among %i never changes: data was stored by it', (key, partitions, partition) => {
	expect(partitionOf(key, partitions)).toBe(partition)
})

test('the one partition holds every key', () => {
	expect(partitionOf('anything', 1)).toBe(0)
})

test('the partition is the unsigned 64-bit hash modulo the number of partitions', () => {
	fc.assert(
		fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 2 ** 20 }), (key, partitions) => {
			const hash = BigInt.asUintN(64, murmur64Reference(new TextEncoder().encode(key)))
			return BigInt(partitionOf(key, partitions)) === hash % BigInt(partitions)
		}),
	)
})

test('partitions get near-equal shares of the keys', () => {
	const counts = new Array(16).fill(0)
	for (let i = 0; i < 160_000; i++) counts[partitionOf(`/article/${i}`, 16)]++
	// Binomial with mean 10,000 and deviation 97.
	for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(97 * 5)
})
