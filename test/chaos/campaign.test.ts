import { expect, describe as group, it } from 'vitest'
import { describe, runCampaign } from './campaign.ts'
import { type Kind, kinds, planOf } from './plan.ts'
import { levels } from './recount.ts'
import type { Target } from './target.ts'

/** Every kind at least once; what cannot happen in one schedule is apart. */
const together: readonly (readonly Kind[])[] = [
	['refuse', 'torn'],
	['cut', 'kill'],
	['stall', 'failover'],
	['blackhole', 'scriptFlush'],
	['halfOpen', 'pause'],
	['loseRequest', 'clientKill'],
	['loseReply', 'clientPause'],
	['partialRequest', 'maxmemory'],
	['partialReply', 'rewrite'],
	['killWriter', 'loseReply'],
	['torn', 'failover'],
	['wipe'],
]
/** Of a long campaign: visitors and sweeps that made each other go again, for ever. */
const endless = '9:93'
const plans = [
	...together.map((surely, i) => planOf(`ci:${i}`, { surely, loadMs: 1_500 })),
	planOf(endless, { surely: [kinds[93 % kinds.length]!] }),
	// With a crowd: batches that are cut into several scripts.
	planOf('ci:crowd:2', { surely: ['torn', 'failover'], loadMs: 1_500, crowds: true }),
]

group('the fault campaign', () => {
	it('finds no hit lost or doubled in the Redis store, whatever happens', { timeout: 200_000 }, async () => {
		expect(plans.some(({ crowd }) => crowd !== undefined)).toBe(true)
		expect(new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)))).toEqual(new Set(kinds))
		const { totals, bad } = await runCampaign({ target: 'redis', plans, parallel: 2 })
		expect(bad.map(describe)).toEqual([])
		for (const level of levels) expect(totals.levels[level]).toEqual({ lost: 0, doubled: 0 })
		expect(totals.schedules).toBe(plans.length)
		expect(totals.hits).toBeGreaterThan(50_000)
		// The faults had an effect, and what was wiped was told.
		expect(totals.retries).toBeGreaterThan(20)
		expect(totals.reported).toBeGreaterThan(0)
	})

	it('finds hits doubled and lost when the sequences are switched off', { timeout: 120_000 }, async () => {
		const found = await control('no-sequences', ['loseReply', 'partialReply', 'failover'], ({ doubled, lost }) => doubled > 0 && lost > 0)
		expect(found.doubled).toBeGreaterThan(0)
		expect(found.lost).toBeGreaterThan(0)
	})

	it('finds hits doubled when a failed pipeline of ZINCRBY is sent again', { timeout: 120_000 }, async () => {
		const found = await control('naive', ['loseReply', 'partialReply', 'kill'], ({ doubled }) => doubled > 0)
		expect(found.doubled).toBeGreaterThan(0)
	})
})

/** What the campaign finds in something that is wrong. Not every schedule hits it (a busy machine shifts the faults): a few pairs are tried. */
async function control(target: Target, surely: readonly Kind[], enough: (found: { doubled: number; lost: number }) => boolean) {
	const found = { doubled: 0, lost: 0 }
	for (let pair = 0; pair < 5 && !enough(found); pair++) {
		const plans = [0, 1].map((i) => planOf(`${target}:${2 * pair + i}`, { kinds: surely, surely, loadMs: 1_500 }))
		const { totals } = await runCampaign({ target, plans, parallel: 2 })
		found.doubled += totals.doubled
		found.lost += totals.lost
	}
	return found
}
