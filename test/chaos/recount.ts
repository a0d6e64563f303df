/** Counts everything again, straight from the store, and compares it with the truth: how much of each level is lost and doubled. */
import { Counter } from '../../src/counter.ts'
import { settingsOf } from '../../src/options.ts'
import { type Lane, lanes, type StoreSession } from '../../src/stores/store.ts'
import { type Bucket, deadlineOf, type Granularity, granularities, lengthMs, startOf, total } from '../../src/time/granularity.ts'
import type { VisitorTracker } from '../../src/visitors/tracker.ts'
import { type Immortal, immortals } from './immortals.ts'
import type { Plan } from './plan.ts'
import { counterOptions, isComplete, openStore, type Place, type Target } from './target.ts'
import type { Between, KeyTruth, Truth, VisitorsBetween } from './truth.ts'
import type { Rollback } from './writer-log.ts'

/**
 * What is compared. all: all keys together; ids: hits with an id; keys: the list of keys and the top list; deadlines: what stays for ever and should not.
 */
export const levels = ['total', 'day', 'hour', 'minute', 'all', 'visitors', 'trend', 'keys', 'ids', 'deadlines'] as const

export type CountedLevel = (typeof levels)[number]

export interface Difference {
	lost: number
	doubled: number
}

export interface Recount {
	readonly differences: Readonly<Record<CountedLevel, Difference>>
	/** The first few differences, in words. */
	readonly details: readonly string[]
	/** Hits lost and reported. The sets of a hit report it each; it counts once, by those of all time, which have every hit. */
	readonly reported: number
	readonly compared: number
}

/** A minute that ends within this time may be gone while it is being read. */
const graceMs = 1_500
const detailsKept = 20

export interface RecountOptions {
	readonly target: Target
	readonly plan: Plan
	readonly start: number
	readonly place: Place
	readonly truth: Truth
	readonly rollbacks: readonly Rollback[]
	/** The writers that lived to the end, and keys of buckets that had no deadline before they closed. */
	readonly survivors: readonly string[]
	readonly immortal: readonly Immortal[]
}

export async function recount(options: RecountOptions): Promise<Recount> {
	const { target, plan, start, place } = options
	const asItIs = target === 'no-sequences' ? 'redis' : (target.replace('-no-sequences', '') as Target)
	const { store, end } = openStore(asItIs, place, { ...plan, timeoutMs: 10_000 })
	const settings = settingsOf(counterOptions(target, plan, start))
	const session = store.open({ ...settings, writer: 'recount000000000', report: () => {} })
	const counter = new Counter({ ...counterOptions(target, plan, start), store, cache: false })
	try {
		const run = new Run(options, session, counter, settings)
		run.ids()
		await run.hits()
		if (isComplete(target)) {
			await run.visitors()
			await run.lists()
			await run.deadlines()
		}
		return run
	} finally {
		await counter.close()
		await session.close()
		end()
	}
}

class Run implements Recount {
	readonly differences = Object.fromEntries(levels.map((level) => [level, { lost: 0, doubled: 0 }])) as Record<CountedLevel, Difference>
	readonly details: string[] = []
	reported = 0
	compared = 0
	readonly #options: RecountOptions
	readonly #session: StoreSession
	readonly #counter: Counter
	readonly #settings: ReturnType<typeof settingsOf>
	/** Lost hits of each set that were reported. */
	readonly #reports = new Map<string, number>()

	constructor(options: RecountOptions, session: StoreSession, counter: Counter, settings: ReturnType<typeof settingsOf>) {
		this.#options = options
		this.#session = session
		this.#counter = counter
		this.#settings = settings
		for (const { what, hits } of options.rollbacks) {
			this.#reports.set(what, (this.#reports.get(what) ?? 0) + hits)
			if (what === 'total' || what.endsWith(' total')) this.reported += hits
		}
	}

	/** Whether hits were lost on purpose: then what was lost must be what was reported. */
	get #wiped(): boolean {
		return this.#options.plan.faults.some(({ kind }) => kind === 'wipe')
	}

	ids(): void {
		const { falseDuplicates, unanswered } = this.#options.truth
		if (falseDuplicates > 0) this.#differ('ids', falseDuplicates, 0, `${falseDuplicates} hits were taken for duplicates of themselves`)
		if (unanswered > 0) this.#differ('ids', unanswered, 0, `${unanswered} hits were never answered`)
	}

	async hits(): Promise<void> {
		const { truth, target } = this.#options
		for (const lane of lanes) {
			const truths = truth.lanes.get(lane) ?? new Map<string, KeyTruth>()
			const keys = [...truths.keys()]
			const buckets = this.#buckets([...truths.values()])
			const { values } = await this.#session.hits({ lane, keys, buckets })
			const all = isComplete(target) ? (await this.#session.hits({ lane, keys: 'all', buckets })).values : undefined
			for (const [column, bucket] of buckets.entries()) {
				const sum = { least: 0, most: 0 }
				let found = 0
				let lost = 0
				for (const [row, key] of keys.entries()) {
					const expected = expectedIn(bucket, truths.get(key)!)
					const value = values[row * buckets.length + column]!
					sum.least += expected.least
					sum.most += expected.most
					found += value
					if (this.#wiped) {
						lost += Math.max(0, expected.least - value)
						this.#compare(bucket.level, `${lane} ${key} ${nameOf(bucket)}`, { least: 0, most: expected.most }, value)
					} else this.#compare(bucket.level, `${lane} ${key} ${nameOf(bucket)}`, expected, value)
				}
				if (this.#wiped) this.#compareReports(lane, bucket, lost)
				if (all === undefined) continue
				let together = 0
				for (let row = column; row < all.length; row += buckets.length) together += all[row]!
				this.#compare('all', `${lane} all ${nameOf(bucket)}`, this.#wiped ? { least: found, most: found } : sum, together)
			}
		}
		if (!this.#wiped && this.#reports.size > 0) {
			for (const hits of this.#reports.values()) this.differences.all.lost += hits
			this.#note(`reported as lost: ${[...this.#reports].map(([what, hits]) => `${what} ${hits}`).join(', ')}`)
		}
	}

	async visitors(): Promise<void> {
		const { truth, plan } = this.#options
		const tracker = this.#settings.tracker!
		const asked: Promise<void>[] = []
		const ask = async (lane: Lane, keys: readonly string[] | 'all', days: ReadonlyMap<number, VisitorsBetween>) => {
			const starts = [...days.keys()]
			const groups = [[total], ...starts.map((start): Bucket[] => [{ level: 'day', start }])]
			const { sketches } = await this.#session.visitors({ lane, keys, groups })
			for (const [i, sketch] of sketches.entries()) {
				const sets = i === 0 ? [...days.values()] : [days.get(starts[i - 1]!)!]
				const most = estimateOf(
					tracker,
					sets.map((set) => set.most),
				)
				const least = this.#wiped
					? 0
					: estimateOf(
							tracker,
							sets.map((set) => set.least),
						)
				const what = `${lane} ${keys} ${plan.uniques} ${i === 0 ? 'total' : nameOf(groups[i]![0]!)}`
				this.#compare('visitors', what, { least, most }, sketch.estimate().value)
			}
		}
		for (const [lane, keys] of truth.lanes) {
			for (const [key, { visitors }] of keys) if (visitors.size > 0) asked.push(ask(lane, [key], visitors))
		}
		for (const [lane, days] of truth.everyone) asked.push(ask(lane, 'all', days))
		await Promise.all(asked)
	}

	/** As an application reads: through a counter. */
	async lists(): Promise<void> {
		const { truth, plan } = this.#options
		if (!this.#wiped) {
			for (const [lane, truths] of truth.lanes) {
				const view = this.#counter.lane(lane)
				const sure = [...truths].filter(
					([, { minutes, corrected }]) => corrected !== 0 || [...minutes.values()].some(({ least }) => least > 0),
				)
				const listed = new Set((await view.list({ limit: 10_000 })).keys)
				for (const [key] of sure) if (!listed.has(key)) this.#differ('keys', 1, 0, `${lane} ${JSON.stringify(key)} is not listed`)
				for (const key of listed) if (!truths.has(key)) this.#differ('keys', 0, 1, `${lane} ${JSON.stringify(key)} is listed`)
				for (const { key, hits } of await view.top({ limit: 10_000 }))
					this.#compare('keys', `${lane} top ${key}`, truths.get(key)?.total ?? { least: 0, most: 0 }, hits)
				await this.#trends(lane, truths)
			}
		}
		this.compared += plan.partitions
	}

	async deadlines(): Promise<void> {
		const { place, plan, survivors, immortal } = this.#options
		const killed = plan.writers.some(({ killedAtMs }) => killedAtMs !== undefined)
		const keys = new Map([...immortal, ...(await immortals(place))].map((each) => [each.name, each]))
		for (const { name, writers } of keys.values()) {
			// A writer may have died between the hits of a new bucket and its deadline; whoever writes there next mends that.
			if (killed && !(writers ?? []).some((writer) => survivors.includes(writer))) continue
			this.#differ('deadlines', 0, 1, `${name} has none`)
		}
	}

	async #trends(lane: Lane, truths: ReadonlyMap<string, KeyTruth>): Promise<void> {
		const now = Date.now()
		const { entries } = await this.#session.trending({ lane, limit: 10_000, now })
		const scores = new Map(entries.map(({ key, score }) => [key, score]))
		for (const [key, { minutes }] of truths) {
			const expected = { least: 0, most: 0 }
			for (const [minute, { least, most }] of minutes) {
				const weight = 2 ** ((minute - now) / this.#settings.trendHalfLifeMs)
				expected.least += least * weight
				expected.most += most * weight
			}
			this.#compare('trend', `${lane} ${key} trend`, expected, scores.get(key) ?? 0)
		}
	}

	/** What a set lost must be what was reported of it. */
	#compareReports(lane: Lane, bucket: Bucket, lost: number): void {
		const what = `${lane === 'human' ? '' : `${lane} `}${bucket.level === 'total' ? 'total' : nameOf(bucket)}`
		const reported = this.#reports.get(what) ?? 0
		if (lost !== reported)
			this.#differ(bucket.level, Math.max(0, lost - reported), Math.max(0, reported - lost), `${what}: lost ${lost}, reported ${reported}`)
	}

	#compare(level: CountedLevel, what: string, { least, most }: Between, value: number): void {
		this.compared += 1
		const rounding = level === 'trend' ? 1e-9 * most : 0
		const lost = value < least - rounding ? least - value : 0
		const doubled = value > most + rounding ? value - most : 0
		if (lost > 0 || doubled > 0)
			this.#differ(level, lost, doubled, `${what}: ${least === most ? least : `${least} to ${most}`}, found ${value}`)
	}

	#differ(level: CountedLevel, lost: number, doubled: number, detail: string): void {
		this.differences[level].lost += lost
		this.differences[level].doubled += doubled
		this.#note(`${level}: ${detail}`)
	}

	#note(detail: string): void {
		if (this.details.length < detailsKept) this.details.push(detail)
	}

	/** Those that hits fell in and that are still kept. */
	#buckets(truths: readonly KeyTruth[]): Bucket[] {
		const starts: Record<Granularity, Set<number>> = { minute: new Set(), hour: new Set(), day: new Set() }
		for (const { minutes } of truths)
			for (const minute of minutes.keys()) for (const level of granularities) starts[level].add(startOf(level, minute))
		const buckets = granularities.flatMap((level) => [...starts[level]].map((start): Bucket => ({ level, start })))
		return [total, ...buckets.filter((bucket) => deadlineOf(bucket, this.#settings.retention) > Date.now() + graceMs)]
	}
}

function expectedIn({ level, start }: Bucket, truth: KeyTruth): Between {
	return level === 'total' ? truth.total : truth.in(start, start + lengthMs[level])
}

function nameOf({ level, start }: Bucket): string {
	return level === 'total' ? level : `${level} ${new Date(start).toISOString().slice(0, 16)}Z`
}

/** What a tracker says of these visitors. */
function estimateOf(tracker: VisitorTracker, sets: readonly ReadonlySet<string>[]): number {
	const delta = tracker.delta()
	for (const set of sets) for (const visitor of set) delta.add(visitor)
	const sketch = tracker.sketch()
	sketch.apply(delta)
	const { value } = sketch.estimate()
	sketch.release()
	return value
}
