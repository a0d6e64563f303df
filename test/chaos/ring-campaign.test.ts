import { expect, describe as group, it } from 'vitest'
import { describe, runCampaign } from './campaign.ts'
import type { Kind } from './plan.ts'
import { levels } from './recount.ts'
import { ringPlanOf } from './ring-plan.ts'

/** Of every sort some; the kinds are those of one server, for which all of them are tried. */
const together: readonly (readonly Kind[])[] = [
	['torn', 'cut'],
	['failover', 'loseReply'],
	['killWriter', 'partialReply'],
	['kill', 'stall'],
	['maxmemory', 'pause'],
	['wipe', 'clientKill'],
]
const plans = together.map((surely, i) => {
	// Late enough for something to be lost that nobody can send again, on a busy machine too.
	const loadMs = surely.includes('wipe') ? 3_000 : 1_500
	return ringPlanOf(`ci:${i}`, { surely, kinds: surely, rebalances: surely.includes('torn') ? 1 : 3, fsync: 'always', loadMs })
})

group('the fault campaign on a ring', () => {
	it('finds no hit lost or doubled while servers and the ways to them fail, and partitions move', { timeout: 180_000 }, async () => {
		const { totals, bad } = await runCampaign({ target: 'ring', plans, parallel: 3 })
		expect(bad.map(describe)).toEqual([])
		for (const level of levels) expect(totals.levels[level]).toEqual({ lost: 0, doubled: 0 })
		expect(totals.hits).toBeGreaterThan(40_000)
		// The faults had an effect, partitions moved, and what was wiped was told.
		expect(totals.retries).toBeGreaterThan(20)
		expect(totals.moves).toBeGreaterThan(10)
		expect(totals.reported).toBeGreaterThan(0)
	})

	it('finds hits doubled when the sequences are switched off', { timeout: 120_000 }, async () => {
		const kinds = ['loseReply', 'partialReply'] as const
		// Not every schedule hits it: a busy machine shifts the faults.
		for (let i = 0, doubled = 0; doubled === 0; i++) {
			const plan = ringPlanOf(`ring-no-sequences:${i}`, { kinds, surely: kinds, rebalances: 0, loadMs: 1_500 })
			doubled = (await runCampaign({ target: 'ring-no-sequences', plans: [plan], parallel: 1 })).totals.doubled
			if (i === 10) expect(doubled).toBeGreaterThan(0)
		}
	})
})
