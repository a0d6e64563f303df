import { expect, test } from 'vitest'
import { StateSet } from './state-set.ts'

test('every state gets the number of its first appearance, and is found again by it', () => {
	const set = new StateSet(3)
	const numbers = new Map<string, number>()
	for (let i = 0; i < 200_000; i++) {
		const state = Uint8Array.of((i * i) % 61, (i >> 3) % 64, (i * 7) % 59)
		const key = state.join()
		if (!numbers.has(key)) numbers.set(key, numbers.size)
		if (set.add(state) !== numbers.get(key)) expect.fail(`state ${key} got another number`)
	}
	expect(set.size).toBe(numbers.size)
	expect([...numbers].filter(([key, number]) => set.get(number).join() !== key)).toEqual([])
})
