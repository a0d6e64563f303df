/** Whether two stores hold the same numbers. */
import { type HitsQuery, type Lane, lanes, type SnapshotRecord, type Store, type VisitorsQuery } from '../stores/store.ts'
import { type Bucket, total } from '../time/granularity.ts'
import { BloomTracker } from '../visitors/bloom.ts'
import type { VisitorSketch, VisitorTracker } from '../visitors/tracker.ts'
import { type NumbersOptions, numbersOf, type Opened, opened, type StopSignal, throwIfStopped } from './opened.ts'
import { type CopyProgress, Tally } from './progress.ts'

export interface CompareOptions extends NumbersOptions {
	readonly from: Store
	readonly to: Store
	/** @default 'tm' */
	readonly namespace?: string | undefined
	/** @default as `namespace` */
	readonly toNamespace?: string | undefined
	readonly onProgress?: ((progress: CopyProgress) => void) | undefined
	readonly signal?: StopSignal | undefined
}

export interface CompareReport extends CopyProgress {
	/** Numbers and sketches that are not the same; those of all keys together included. */
	readonly different: number
	/** The first of them, in words. */
	readonly examples: readonly string[]
}

const EXAMPLES = 10
/** Of the highest scores, how many are compared. */
const SCORES = 1_000
/** What scores may differ by: they are scaled by powers of 2 that are rounded. */
const ROUNDING = 1e-9

/**
 * Looks up every number of `from` in `to`, and the sums and unions over all keys in both, so that a key that only `to` has is found too. Visitors are the
 * same when the sketches count the same, alone and united (of Bloom filters, when the same bits are set). Scores are the same to nine digits. What is
 * counted in between is a difference.
 *
 * Throws what `copy` throws, but for ERR_TALLYMARK_NOT_EMPTY.
 */
export async function compare(options: CompareOptions): Promise<CompareReport> {
	const { from, to, namespace = 'tm', toNamespace = namespace, onProgress, signal } = options
	const settings = numbersOf(namespace, options)
	return opened(from, namespace, settings, (source) =>
		opened(to, toNamespace, settings, async (target) => {
			const comparison = new Comparison(source, target)
			const tally = new Tally(from.partitions, onProgress)
			for (let partition = 0; partition < from.partitions; partition++) {
				for await (const record of source.transfer.snapshot(partition, settings.clock.now())) {
					throwIfStopped(signal)
					await comparison.compare(record)
					tally.add(record)
				}
				tally.reach(partition + 1)
			}
			await comparison.compareAll()
			return { ...tally.progress, different: comparison.different, examples: comparison.examples }
		}),
	)
}

class Comparison {
	different = 0
	readonly examples: string[] = []
	readonly #source: Opened
	readonly #target: Opened
	/** The buckets that the source has, by lane. */
	readonly #buckets = new Map<Lane, Map<string, Bucket>>()

	constructor(source: Opened, target: Opened) {
		this.#source = source
		this.#target = target
	}

	async compare(record: SnapshotRecord): Promise<void> {
		if (record.kind === 'trend' || record.kind === 'all-visitors') return
		const { lane, bucket } = record
		const buckets = this.#buckets.get(lane) ?? new Map<string, Bucket>()
		this.#buckets.set(lane, buckets.set(nameOf(bucket), bucket))
		if (record.kind === 'hits') {
			const { values } = await this.#target.session.hits({ lane, keys: record.entries.map(([key]) => key), buckets: [bucket] })
			for (const [i, [key, hits]] of record.entries.entries()) this.#check(hits === values[i], lane, bucket, key, hits, values[i])
			return
		}
		const { tracker } = this.#source.settings
		if (tracker === undefined) return
		await Promise.all(
			record.entries.map(async ([key, saved]) =>
				this.#checkSketches(tracker, lane, bucket, key, tracker.load(saved), await this.#visitors(this.#target, lane, bucket, [key])),
			),
		)
	}

	/** All keys together, and the highest scores. In every lane, and of all time in any case: the target may have what the source knows nothing of. */
	async compareAll(): Promise<void> {
		const { tracker, uniquesPer, clock } = this.#source.settings
		for (const lane of lanes) {
			const buckets = new Map([[nameOf(total), total], ...(this.#buckets.get(lane) ?? [])])
			for (const bucket of buckets.values()) {
				const [ours, theirs] = await Promise.all(
					[this.#source, this.#target].map((side) => sumOf(side, { lane, keys: 'all', buckets: [bucket] })),
				)
				this.#check(ours === theirs, lane, bucket, undefined, ours, theirs)
				if (tracker === undefined || !uniquesPer.includes(bucket.level)) continue
				const sides = await Promise.all([this.#source, this.#target].map((side) => this.#visitors(side, lane, bucket, 'all')))
				this.#checkSketches(tracker, lane, bucket, undefined, sides[0]!, sides[1]!)
			}
			const query = { lane, limit: SCORES, now: clock.now() }
			const [ours, theirs] = await Promise.all([this.#source.session.trending(query), this.#target.session.trending(query)])
			const scores = new Map(theirs.entries.map(({ key, score }) => [key, score]))
			const least = theirs.entries.length < SCORES ? 0 : theirs.entries.at(-1)!.score
			for (const { key, score } of ours.entries) {
				const other = scores.get(key) ?? least
				this.#tell(Math.abs(score - other) <= ROUNDING * score, `trend of ${JSON.stringify(key)} (${lane}): ${score} and ${other}`)
			}
		}
	}

	async #visitors(side: Opened, lane: Lane, bucket: Bucket, keys: VisitorsQuery['keys']): Promise<VisitorSketch> {
		const { sketches } = await side.session.visitors({ lane, keys, groups: [[bucket]] })
		return sketches[0]!
	}

	#checkSketches(
		tracker: VisitorTracker,
		lane: Lane,
		bucket: Bucket,
		key: string | undefined,
		source: VisitorSketch,
		target: VisitorSketch,
	): void {
		const [ours, theirs] = [source.estimate().value, target.estimate().value]
		this.#check(haveSame(tracker, source, target), lane, bucket, key, `${ours} visitors`, `${theirs} visitors`)
	}

	#check(same: boolean, lane: Lane, bucket: Bucket, key: string | undefined, ours: unknown, theirs: unknown): void {
		this.#tell(same, `${key === undefined ? 'all keys' : JSON.stringify(key)} (${lane}, ${nameOf(bucket)}): ${ours} and ${theirs}`)
	}

	#tell(same: boolean, example: string): void {
		if (same) return
		this.different++
		if (this.examples.length < EXAMPLES) this.examples.push(example)
	}
}

/** Whether two sketches are of the same visitors, as far as they can tell. */
function haveSame(tracker: VisitorTracker, one: VisitorSketch, other: VisitorSketch): boolean {
	if (tracker instanceof BloomTracker) {
		// What each counts depends on how it came about; which bits are set does not.
		const [bits, otherBits] = [tracker.toBitmap(one.save()), tracker.toBitmap(other.save())]
		return bits.every((byte, i) => byte === otherBits[i])
	}
	const together = tracker.union([one, other]).estimate().value
	return together === one.estimate().value && together === other.estimate().value
}

async function sumOf(side: Opened, query: HitsQuery): Promise<number> {
	const { values } = await side.session.hits(query)
	return values.reduce((sum, value) => sum + value, 0)
}

function nameOf({ level, start }: Bucket): string {
	return level === 'total' ? level : `${level} ${new Date(start).toISOString().slice(0, 16)}Z`
}
