import { expect, describe as group, it } from 'vitest'
import { describe, runCampaign } from './campaign.ts'
import { clusterPlanOf } from './cluster-plan.ts'
import { clusterKinds } from './plan.ts'
import { levels } from './recount.ts'

const options = { moves: 6, failovers: 1, linkFaults: 5, loadMs: 5_000 }
const plans = (['takeOver', 'killMaster', 'hangMaster', 'handOver'] as const).map((surely, i) =>
	clusterPlanOf(`ci:${i}`, { ...options, surely }),
)

group('the fault campaign on a cluster', () => {
	it('finds no hit lost or doubled while slots move, masters change and connections break', { timeout: 180_000 }, async () => {
		const happens = new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))
		for (const kind of clusterKinds) expect(happens).toContain(kind)
		const { totals, bad } = await runCampaign({ target: 'cluster', plans, parallel: 1 })
		expect(bad.map(describe)).toEqual([])
		for (const level of levels) expect(totals.levels[level]).toEqual({ lost: 0, doubled: 0 })
		expect(totals.hits).toBeGreaterThan(100_000)
		expect(totals.retries).toBeGreaterThan(20)
	})

	it('finds hits lost and doubled when the sequences are switched off', { timeout: 120_000 }, async () => {
		const { totals } = await runCampaign({ target: 'cluster-no-sequences', plans: plans.slice(0, 1), parallel: 1 })
		expect(totals.lost + totals.doubled).toBeGreaterThan(0)
	})
})
