import { expect, describe as group, it } from 'vitest'
import { describe, runCampaign } from './campaign.ts'
import { clusterPlanOf } from './cluster-plan.ts'
import { clusterKinds } from './plan.ts'
import { levels } from './recount.ts'

const options = { moves: 6, failovers: 1, linkFaults: 5, loadMs: 5_000 }
const plans = (['takeOver', 'killMaster', 'hangMaster', 'handOver'] as const).map((surely, i) =>
	// With no replica waited for, the first two of these seeds lose hundreds of hits.
	clusterPlanOf(`ci:${6 + i}`, { ...options, surely, killsWriter: surely === 'takeOver' || surely === 'killMaster' }),
)

group('the fault campaign on a cluster', () => {
	it('finds no hit lost or doubled while slots move, masters change and connections break', { timeout: 180_000 }, async () => {
		const happens = new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))
		for (const kind of clusterKinds) expect(happens).toContain(kind)
		const deadly = plans.filter(({ faults }) => faults.some(({ killsWriter }) => killsWriter === true))
		expect(deadly.map(({ replicasToWaitFor }) => replicasToWaitFor)).toEqual([1, 1])
		const { totals, bad } = await runCampaign({ target: 'cluster', plans, parallel: 1 })
		expect(bad.map(describe)).toEqual([])
		for (const level of levels) expect(totals.levels[level]).toEqual({ lost: 0, doubled: 0 })
		expect(totals.hits).toBeGreaterThan(100_000)
		expect(totals.retries).toBeGreaterThan(20)
	})

	it('finds hits lost and doubled when the sequences are switched off', { timeout: 120_000 }, async () => {
		// Not every schedule hits it: a busy machine shifts the faults.
		for (let i = 0, found = 0; found === 0; i++) {
			const plan = clusterPlanOf(`cluster-no-sequences:${i}`, { ...options, surely: 'takeOver' })
			const { totals } = await runCampaign({ target: 'cluster-no-sequences', plans: [plan], parallel: 1 })
			found = totals.lost + totals.doubled
			if (i === 4) expect(found).toBeGreaterThan(0)
		}
	})
})
