import { describe, expect, test } from 'vitest'
import { MemoryStore } from '../../src/stores/memory.ts'
import { storeContract } from '../../src/testing/store-contract.ts'

describe.each([1, 5])('the memory store with %i partitions', (partitions) => {
	for (const { name, run } of storeContract(() => new MemoryStore({ partitions }), { controlsTime: true })) test(name, run)
})

describe('the memory store by the system clock', () => {
	for (const { name, run } of storeContract(() => new MemoryStore({ partitions: 3 }), { trackers: ['hyperloglog', 'bloom'] }))
		test.concurrent(name, run)
})

test('the contract disposes of what was made for a case', async () => {
	let disposed = 0
	const cases = storeContract(() => ({ store: new MemoryStore(), dispose: () => void disposed++ }), { controlsTime: true })
	await cases[0]!.run()
	expect(disposed).toBe(1)
})
