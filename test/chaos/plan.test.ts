import { describe, expect, it } from 'vitest'
import { partitionOf } from '../../src/hash/partition.ts'
import { CHUNK } from '../../src/stores/redis/position.ts'
import { tickOf } from './hits.ts'
import { kinds, planOf } from './plan.ts'

const seeds = Array.from({ length: 300 }, (_, i) => String(i))

describe('planOf', () => {
	it('gives the same schedule and the same hits for the same seed, and others for others', () => {
		expect(planOf('7')).toEqual(planOf('7'))
		expect(planOf('7')).not.toEqual(planOf('8'))
		const plan = planOf('7')
		expect(tickOf(plan, plan.writers[1]!, 3)).toEqual(tickOf(planOf('7'), plan.writers[1]!, 3))
		expect(tickOf(plan, plan.writers[1]!, 3)).not.toEqual(tickOf(plan, plan.writers[1]!, 4))
	})

	it('has every kind of fault', () => {
		const seen = new Set(seeds.flatMap((seed) => planOf(seed).faults.map(({ kind }) => kind)))
		expect([...seen].sort()).toEqual([...kinds].sort())
	})

	it.each(kinds)('makes %s happen when asked', (kind) => {
		for (const seed of seeds.slice(0, 20)) expect(planOf(seed, { surely: [kind] }).faults.map(({ kind }) => kind)).toContain(kind)
	})

	it('never takes back what a killed writer had stored', () => {
		for (const seed of seeds) {
			const found = planOf(seed).faults.map(({ kind }) => kind)
			if (found.includes('killWriter'))
				expect(found).not.toEqual(expect.arrayContaining([expect.stringMatching(/^(kill|torn|failover|wipe)$/)]))
		}
	})

	it('has schedules, where asked, with more names at once in each partition than go into a script; all others stay as they are', () => {
		let crowded = 0
		for (const seed of seeds) {
			const { crowd, ...plan } = planOf(seed, { crowds: true })
			const { maxKeys, timeoutMs, ...rest } = planOf(seed)
			expect(plan).toEqual(crowd === undefined ? { maxKeys, timeoutMs, ...rest } : { maxKeys: 10_000, timeoutMs: 1_000, ...rest })
			if (crowd === undefined) continue
			crowded++
			const writer = plan.writers[0]!
			const most = Array.from({ length: plan.partitions }, () => 0)
			for (let tick = 0; tick < writer.ticks; tick++) {
				const sizes = most.map(() => 0)
				const names = new Set(tickOf({ ...plan, crowd }, writer, tick).hits.map(({ key }) => key))
				for (const name of names) sizes[partitionOf(name, plan.partitions)]!++
				for (const [i, size] of sizes.entries()) most[i] = Math.max(most[i]!, size)
			}
			for (const size of most) expect(size).toBeGreaterThan(CHUNK)
		}
		expect(crowded).toBeGreaterThan(seeds.length / 6)
	})

	it('keeps to the kinds it was given, and within the load', () => {
		for (const seed of seeds) {
			const { faults, loadMs } = planOf(seed, { kinds: ['torn', 'cut'] })
			expect(faults.length).toBeGreaterThan(0)
			for (const { kind, atMs } of faults) {
				expect(['torn', 'cut']).toContain(kind)
				expect(atMs).toBeGreaterThan(0)
				expect(atMs).toBeLessThan(loadMs)
			}
		}
	})
})
