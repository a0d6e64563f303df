import { expect, it } from 'vitest'
import { paced } from '../../examples/load/pace.ts'

it('sends each request when it is due, and none before', async () => {
	const sent: { index: number; dueAt: number; early: boolean }[] = []
	await paced({ rate: 1_000, requests: 50, send: (index, dueAt) => sent.push({ index, dueAt, early: performance.now() < dueAt }) })
	expect(sent.map(({ index }) => index)).toEqual(Array.from({ length: 50 }, (_, index) => index))
	for (const [index, { dueAt, early }] of sent.entries()) {
		expect(dueAt - sent[0]!.dueAt).toBeCloseTo(index, 6)
		expect(early).toBe(false)
	}
})

it('leaves due what became due while it was busy: a delay shows in every request that it delayed', async () => {
	const late: number[] = []
	await paced({
		rate: 1_000,
		requests: 40,
		send: (index, dueAt) => {
			late.push(performance.now() - dueAt)
			if (index === 10) for (const until = performance.now() + 25; performance.now() < until; );
		},
	})
	// Those due 1 to 15 ms after the delay began were sent at its end.
	for (let after = 1; after <= 15; after++) expect(late[10 + after]).toBeGreaterThanOrEqual(25 - after)
})
