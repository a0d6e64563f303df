/** Many schedules, some at a time, and what came of them. */

import type { Kind, Plan } from './plan.ts'
import type { CountedLevel } from './recount.ts'
import { levels } from './recount.ts'
import { ringNodes } from './ring-plan.ts'
import { runSchedule, type ScheduleResult } from './schedule.ts'
import type { Target } from './target.ts'
import { bundleWriter } from './writer-process.ts'

export interface CampaignOptions {
	readonly target: Target
	readonly plans: readonly Plan[]
	/** Schedules at a time. */
	readonly parallel: number
	/** Told after each schedule. */
	readonly onResult?: (result: ScheduleResult, soFar: Totals) => void
}

export interface Counts {
	lost: number
	doubled: number
}

/** Sums over schedules. */
export class Totals {
	schedules = 0
	bad = 0
	faults = 0
	hits = 0
	compared = 0
	retries = 0
	duplicates = 0
	/** Partitions of a ring that moved. */
	moves = 0
	/** Lost with a report, which only a wiped server may cause. */
	reported = 0
	readonly levels = Object.fromEntries(levels.map((level) => [level, { lost: 0, doubled: 0 }])) as Record<CountedLevel, Counts>

	add({ plan, recount, hits, retries, duplicates, moves, complaints }: ScheduleResult): void {
		this.schedules += 1
		this.faults += plan.faults.length
		this.hits += hits
		this.retries += retries
		this.duplicates += duplicates
		this.moves += moves
		if (complaints.length > 0) this.bad += 1
		if (recount === undefined) return
		this.compared += recount.compared
		this.reported += recount.reported
		for (const level of levels) {
			this.levels[level].lost += recount.differences[level].lost
			this.levels[level].doubled += recount.differences[level].doubled
		}
	}

	/** Of the all-time hits: every other level counts the same hits once more. */
	get lost(): number {
		return this.levels.total.lost
	}

	get doubled(): number {
		return this.levels.total.doubled
	}
}

export interface CampaignResult {
	readonly totals: Totals
	readonly bad: readonly ScheduleResult[]
	/** Sums over the schedules in which a kind of fault happened, and how often it did in those that came to their end. */
	readonly byKind: ReadonlyMap<Kind, { readonly happened: number; readonly totals: Totals }>
	readonly ms: number
}

export async function runCampaign({ target, plans, parallel, onResult }: CampaignOptions): Promise<CampaignResult> {
	const began = Date.now()
	const { script, remove } = await bundleWriter()
	const totals = new Totals()
	const bad: ScheduleResult[] = []
	const byKind = new Map<Kind, { happened: number; totals: Totals }>()
	try {
		const left = plans.values()
		const work = async () => {
			for (const plan of left) {
				const result = await runSchedule(plan, target, script)
				totals.add(result)
				if (result.complaints.length > 0) bad.push(result)
				for (const kind of new Set(plan.faults.map(({ kind }) => kind))) {
					const row = byKind.get(kind) ?? { happened: 0, totals: new Totals() }
					byKind.set(kind, row)
					if (result.recount !== undefined) row.happened += plan.faults.filter((fault) => fault.kind === kind).length
					row.totals.add(result)
				}
				onResult?.(result, totals)
			}
		}
		await Promise.all(Array.from({ length: parallel }, work))
	} finally {
		remove()
	}
	return { totals, bad, byKind, ms: Date.now() - began }
}

/** A bad schedule in words: how to have it again, what befell it, what is wrong. */
export function describe({ plan, complaints }: ScheduleResult): string {
	const { seed, partitions, uniques, fsync, maxWaitMs, timeoutMs, faults } = plan
	const settings = `partitions ${partitions}, uniques ${uniques}, fsync ${fsync}, maxWaitMs ${maxWaitMs}, timeoutMs ${timeoutMs}`
	const happened = faults
		.map(({ kind, atMs, forMs, times, node }) => {
			const where = node === undefined ? '' : ` of ${ringNodes[node]}`
			return `${kind}${where} at ${atMs} ms for ${forMs} ms x${times}`
		})
		.join('; ')
	return [`schedule ${seed}: ${settings}`, `  ${happened}`, ...complaints.map((complaint) => `  - ${complaint}`)].join('\n')
}
