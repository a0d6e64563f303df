/** Reading one lane: numbers, charts, lists. What the store says, or said a moment ago, and this process's own hits on top. */
import type { Time } from './clock.ts'
import { BadInputError, expected } from './errors.ts'
import { type Provenance, type ReadCache, slotOfAll, slotOfKey, slotOfLists } from './flow/read-cache.ts'
import { HitNumbers, List, VisitorSets } from './flow/readings.ts'
import type { WriteBatcher } from './flow/write-batcher.ts'
import { checkKey, checkNames, checkWhole } from './input.ts'
import type { Settings } from './options.ts'
import type { Lane, StoreSession } from './stores/store.ts'
import { type Bucket, type Granularity, granularities, lengthMs, startOf, total } from './time/granularity.ts'
import { boundsOf, cover, type Kept, oldestOf, type Range } from './time/range.ts'
import { momentsOf, type SeriesOptions, type SeriesPoint } from './time/series.ts'
import type { Estimate } from './visitors/tracker.ts'
import { trackerNames } from './visitors/trackers.ts'

/** One key's all-time numbers, and where they come from. */
export interface Stats {
	readonly key: string
	readonly hits: number
	/** undefined where uniques are off or not kept for all time. */
	readonly uniques: Estimate | undefined
	/** `'cache'`, or the store that was read: 'memory', 'redis:<name>'. */
	readonly servedBy: string
	/** The store cannot be reached and the number is past its time to live. This process's own hits are in it all the same. */
	readonly stale: boolean
	/** When the store was read. */
	readonly asOf: Date
}

export interface TopOptions {
	/** 1 to 10,000. @default 10 */
	readonly limit?: number | undefined
	/** @default 'hits' */
	readonly by?: 'hits' | 'uniques' | undefined
	/** The current bucket instead of all time. */
	readonly period?: Granularity | undefined
	readonly from?: Time | undefined
	readonly to?: Time | undefined
	/** Only keys that start with it. */
	readonly prefix?: string | undefined
}

export interface TopEntry {
	readonly key: string
	readonly hits: number
	/** There when ranked by uniques. */
	readonly uniques?: number
}

export interface TrendingEntry {
	readonly key: string
	/** The key's hits, each worth 2^(-age / half-life). */
	readonly score: number
}

export interface ListOptions {
	readonly prefix?: string | undefined
	/** 1 to 10,000. @default 100 */
	readonly limit?: number | undefined
	/** What the page before gave. */
	readonly cursor?: string | undefined
}

export interface ListPage<Key extends string = string> {
	/** In code point order. */
	readonly keys: Key[]
	/** Hand it in for the next page; not there on the last one. */
	readonly cursor?: string
}

/** Every key together: the site's own numbers, kept as hits come in. */
export interface AllView {
	/** Hits; all time without a range. */
	count(range?: Range): Promise<number>
	/** Distinct visitors of the site. Visitors of keys that were deleted stay in it. */
	uniques(range?: Range): Promise<Estimate>
	/** Zero-filled, oldest first. */
	series(options: SeriesOptions): Promise<SeriesPoint[]>
	/** Hits in the sliding window that ends now. */
	rate(options?: { readonly windowMs?: number | undefined }): Promise<number>
}

/** The reading methods over one lane. */
export interface CounterView<Key extends string = string> {
	/** Hits on a key; all time without a range. Throws `ERR_TALLYMARK_RANGE` for a range finer or older than what is kept. */
	count(key: Key, range?: Range): Promise<number>
	/** Distinct visitors of a key, or of several keys together (their union). */
	uniques(key: Key | readonly Key[], range?: Range): Promise<Estimate>
	stats(key: Key): Promise<Stats>
	/** A chart: zero-filled, oldest first. */
	series(key: Key, options: SeriesOptions): Promise<SeriesPoint[]>
	/**
	 * Hits in the sliding window of `windowMs` (60,000 to the retention of minutes, default 60,000) that ends now. The minute at its far edge counts
	 * in proportion to how much of it lies within, so the error is at most that minute's hits.
	 */
	rate(key: Key, options?: { readonly windowMs?: number | undefined }): Promise<number>
	/** Most first, ties by key in code point order. Keys without hits in the period are not listed. */
	top(options?: TopOptions): Promise<TopEntry[]>
	/** What is rising: hits decayed by `trendHalfLifeMs`, highest first. */
	trending(options?: { readonly limit?: number | undefined }): Promise<TrendingEntry[]>
	/** The keys, a page at a time. */
	list(options?: ListOptions): Promise<ListPage<Key>>
	readonly all: AllView
}

/** What a view reads through; one for all lanes of a counter. */
export interface ViewContext {
	readonly settings: Settings
	readonly session: StoreSession
	readonly batcher: WriteBatcher
	readonly cache: ReadCache
	/** Throws ClosedError after close(). */
	assertOpen(): void
}

const longestKeyList = 10_000
/** How long a list waits for this process's own hits to be stored before it does without. */
const listFlushMs = 1_000
/** How long lists that are kept are not held up again after that. */
const listRestMs = 1_000

/** A lane of a counter; `Counter` reads through the one of `human`. */
export class LaneView<Key extends string = string> implements CounterView<Key> {
	readonly all: AllView
	readonly #context: ViewContext
	readonly #lane: Lane
	/** When a list last waited in vain for what waits to be stored. */
	#inVainAt = Number.NEGATIVE_INFINITY

	constructor(context: ViewContext, lane: Lane) {
		this.#context = context
		this.#lane = lane
		this.all = {
			count: async (range) => this.#sum(undefined, range),
			uniques: async (range) => this.#estimate(undefined, range),
			series: async (options) => this.#series(undefined, options),
			rate: async (options) => this.#rate(undefined, options),
		}
	}

	async count(key: Key, range?: Range): Promise<number> {
		return this.#sum(this.#checked(key), range)
	}

	async uniques(key: Key | readonly Key[], range?: Range): Promise<Estimate> {
		if (!Array.isArray(key)) return this.#estimate([this.#checked(key as Key)], range)
		if (key.length > longestKeyList) throw expected('ERR_TALLYMARK_ARGUMENT', 'key', `at most ${longestKeyList} keys`, `${key.length} keys`)
		return this.#estimate([...new Set(key.map((each: Key) => this.#checked(each)))], range)
	}

	async stats(key: Key): Promise<Stats> {
		this.#checked(key)
		const { tracker, uniquesPer } = this.#context.settings
		const [{ hits, from }, uniques] = await Promise.all([
			this.#hits(key, [total], ([hits], from) => ({ hits: hits!, from })),
			tracker !== undefined && uniquesPer.includes('total') ? this.#estimate([key], undefined) : undefined,
		])
		return { key, hits, uniques, servedBy: from.servedBy, stale: from.stale, asOf: new Date(from.asOf) }
	}

	async series(key: Key, options: SeriesOptions): Promise<SeriesPoint[]> {
		return this.#series(this.#checked(key), options)
	}

	async rate(key: Key, options?: { readonly windowMs?: number | undefined }): Promise<number> {
		return this.#rate(this.#checked(key), options)
	}

	async top(options: TopOptions = {}): Promise<TopEntry[]> {
		checkNames('top', options, ['limit', 'by', 'period', 'from', 'to', 'prefix'])
		const { limit = 10, by = 'hits', period, from, to, prefix = '' } = options
		checkWhole('limit', limit, 1, 10_000)
		if (by !== 'hits' && by !== 'uniques') throw expected('ERR_TALLYMARK_ARGUMENT', 'by', "'hits' or 'uniques'", by)
		if (typeof prefix !== 'string') throw expected('ERR_TALLYMARK_ARGUMENT', 'prefix', 'a string', prefix)
		const range = rangeOf(period, from, to)
		const buckets = this.#buckets(range, by === 'hits' ? this.#keptHits() : this.#keptUniques())
		if (by === 'uniques' && range === undefined) this.#assertTotalUniques()
		const query = { lane: this.#lane, buckets, by, limit, prefix }
		return this.#listed(`top ${by} ${limit} ${nameOf(buckets)} ${prefix}`, async (session) => {
			const { entries, servedBy } = await session.top(query)
			return new List(servedBy, entries)
		})
	}

	async trending(options: { readonly limit?: number | undefined } = {}): Promise<TrendingEntry[]> {
		checkNames('trending', options, ['limit'])
		const { limit = 10 } = options
		checkWhole('limit', limit, 1, 10_000)
		return this.#listed(`trending ${limit}`, async (session) => {
			const { entries, servedBy } = await session.trending({ lane: this.#lane, limit, now: this.#now() })
			return new List(servedBy, entries)
		})
	}

	async list(options: ListOptions = {}): Promise<ListPage<Key>> {
		checkNames('list', options, ['prefix', 'limit', 'cursor'])
		const { prefix = '', limit = 100, cursor } = options
		checkWhole('limit', limit, 1, 10_000)
		if (typeof prefix !== 'string') throw expected('ERR_TALLYMARK_ARGUMENT', 'prefix', 'a string', prefix)
		if (cursor !== undefined && (typeof cursor !== 'string' || cursor === ''))
			throw expected('ERR_TALLYMARK_ARGUMENT', 'cursor', 'what list() gave with the page before', cursor)
		const query = { lane: this.#lane, prefix, limit, after: cursor }
		const { cache, session } = this.#context
		await this.#flushed()
		return cache.read(
			undefined,
			'list',
			async () => {
				const { keys, more } = await session.list(query)
				return new List('', keys, more)
			},
			({ items, more }) => {
				const keys = items.slice() as Key[]
				return more ? { keys, cursor: keys.at(-1)! } : { keys }
			},
		)
	}

	/** A list of the store's: this process's own hits are stored first, which ends the lists that are kept without them. */
	async #listed<Item>(name: string, load: (session: StoreSession) => Promise<List<Item>>): Promise<Item[]> {
		this.#context.assertOpen()
		const { cache, session } = this.#context
		const waited = this.#isWorthWaiting()
		if (waited) await this.#flushed()
		return cache.read(
			slotOfLists(this.#lane),
			name,
			async () => {
				if (!waited) await this.#flushed()
				return load(session)
			},
			({ items }) => items.slice(),
		)
	}

	/** Whether hits wait that the store would take now. While it is down, a kept list must not be held up by them. */
	#isWorthWaiting(): boolean {
		const { batcher } = this.#context
		if (batcher.lastError !== undefined || !batcher.waits(this.#lane)) return false
		const rested = this.#now() - this.#inVainAt
		return rested < 0 || rested >= listRestMs
	}

	/** Stores what waits, if the store takes it soon. If it does not, the read that follows says what is wrong. */
	async #flushed(): Promise<void> {
		this.#context.assertOpen()
		await this.#context.batcher.flush(listFlushMs).catch(() => {
			this.#inVainAt = this.#now()
		})
	}

	#now(): number {
		return this.#context.settings.clock.now()
	}

	#checked(key: Key): Key {
		this.#context.assertOpen()
		checkKey(key, this.#context.settings.maxKeyBytes)
		return key
	}

	#keptHits(): Kept {
		const { retention } = this.#context.settings
		return { levels: granularities.filter((each) => retention[each] > 0), retention, what: 'hits' }
	}

	#keptUniques(): Kept {
		const { retention, tracker, uniquesPer } = this.#context.settings
		if (tracker === undefined) {
			throw new BadInputError(
				'ERR_TALLYMARK_ARGUMENT',
				`Expected a counter that tracks visitors (\`uniques\`: ${trackerNames.map((name) => `'${name}'`).join(', ')}), got one with \`uniques: false\``,
			)
		}
		return { levels: granularities.filter((each) => uniquesPer.includes(each)), retention, what: 'uniques' }
	}

	#assertTotalUniques(): void {
		if (!this.#context.settings.uniquesPer.includes('total')) {
			throw new BadInputError('ERR_TALLYMARK_RANGE', "Expected a range, or a counter whose `uniquesPer` has 'total', got neither")
		}
	}

	#buckets(range: Range | undefined, kept: Kept): readonly Bucket[] {
		if (range === undefined) return [total]
		const now = this.#now()
		const { from, to } = boundsOf(range, now)
		return cover(from, to, now, kept)
	}

	/** Hits of a key (or of all) per bucket. */
	#hits<T>(key: string | undefined, buckets: readonly Bucket[], use: (perBucket: Float64Array, from: Provenance) => T): Promise<T> {
		const { cache, session, batcher } = this.#context
		const slot = key === undefined ? slotOfAll(this.#lane) : slotOfKey(this.#lane, key)
		const query = { lane: this.#lane, keys: key === undefined ? ('all' as const) : [key], buckets }
		return cache.read(
			slot,
			`hits ${nameOf(buckets)}`,
			() => {
				const answer = session.hits(query)
				const wrap = (reading: Awaited<typeof answer>) => new HitNumbers(this.#lane, key, buckets, reading)
				return answer instanceof Promise ? answer.then(wrap) : wrap(answer)
			},
			(numbers, from) => use(numbers.withUnstored(batcher), from),
		)
	}

	async #sum(key: string | undefined, range: Range | undefined): Promise<number> {
		this.#context.assertOpen()
		const buckets = this.#buckets(range, this.#keptHits())
		return this.#hits(key, buckets, (perBucket) => perBucket.reduce((sum, value) => sum + value, 0))
	}

	/** Visitors of keys (or of all), an estimate per group of buckets. */
	#visitors(keys: readonly string[] | undefined, groups: readonly (readonly Bucket[])[]): Promise<Estimate[]> {
		const { cache, session, batcher } = this.#context
		const slot = keys === undefined ? slotOfAll(this.#lane) : keys.length === 1 ? slotOfKey(this.#lane, keys[0]!) : undefined
		const query = { lane: this.#lane, keys: keys ?? ('all' as const), groups }
		return cache.read(
			slot,
			`visitors ${groups.map(nameOf).join('|')}`,
			() => {
				const answer = session.visitors(query)
				const wrap = (reading: Awaited<typeof answer>) => new VisitorSets(this.#lane, keys, groups, reading)
				return answer instanceof Promise ? answer.then(wrap) : wrap(answer)
			},
			(sets) => sets.withUnstored(batcher).map((sketch) => sketch.estimate()),
		)
	}

	async #estimate(keys: readonly string[] | undefined, range: Range | undefined): Promise<Estimate> {
		this.#context.assertOpen()
		const kept = this.#keptUniques()
		if (range === undefined) this.#assertTotalUniques()
		const [estimate] = await this.#visitors(keys, [this.#buckets(range, kept)])
		return estimate!
	}

	async #series(key: string | undefined, options: SeriesOptions): Promise<SeriesPoint[]> {
		this.#context.assertOpen()
		const now = this.#now()
		const keptOf = (metric: SeriesOptions['metric']) => (metric === 'uniques' ? this.#keptUniques() : this.#keptHits())
		const moments = momentsOf(options, now, (metric) => oldestOf(keptOf(metric), now))
		const byUniques = options.metric === 'uniques'
		const kept = { ...keptOf(options.metric), hint: hintOf(options) }
		const starts = moments.slice(0, -1)
		const groups = starts.map((start, point) => cover(start, moments[point + 1]!, now, kept))
		if (byUniques) {
			const estimates = await this.#visitors(key === undefined ? undefined : [key], groups)
			return starts.map((start, point) => ({ start: new Date(start), value: estimates[point]!.value }))
		}
		return this.#hits(key, groups.flat(), (perBucket) => {
			let column = 0
			return starts.map((start, point) => {
				let value = 0
				for (let left = groups[point]!.length; left > 0; left--) value += perBucket[column++]!
				return { start: new Date(start), value }
			})
		})
	}

	async #rate(key: string | undefined, options: { readonly windowMs?: number | undefined } = {}): Promise<number> {
		this.#context.assertOpen()
		checkNames('rate', options, ['windowMs'])
		const { windowMs = lengthMs.minute } = options
		const { retention } = this.#context.settings
		if (retention.minute < lengthMs.minute)
			throw new BadInputError(
				'ERR_TALLYMARK_RANGE',
				'Expected a counter that keeps minutes (`retention.minute`) for rate(), got one that does not',
			)
		checkWhole('windowMs', windowMs, lengthMs.minute, retention.minute)
		const now = this.#now()
		const first = startOf('minute', now - windowMs)
		const buckets: Bucket[] = []
		for (let start = first; start <= now; start += lengthMs.minute) buckets.push({ level: 'minute', start })
		const within = (first + lengthMs.minute - (now - windowMs)) / lengthMs.minute
		return this.#hits(key, buckets, (perBucket) =>
			perBucket.reduce((sum, value, column) => sum + (column === 0 ? value * within : value), 0),
		)
	}
}

/** What a chart in a time zone needs that one in UTC does not. */
function hintOf({ timeZone = 'UTC', metric }: SeriesOptions): string | undefined {
	if (timeZone === 'UTC') return undefined
	const option = metric === 'uniques' ? '`uniquesPer` and `retention`' : '`retention`'
	return `Days of a time zone are made of hours, and where it is off by half an hour of minutes: keep them for as long (${option})`
}

/** The range that the options of a list ask for; undefined for all time. */
function rangeOf(period: Granularity | undefined, from: Time | undefined, to: Time | undefined): Range | undefined {
	if (from === undefined && to !== undefined) {
		throw new BadInputError('ERR_TALLYMARK_RANGE', 'Expected `from` together with `to`, got only `to`')
	}
	if (period === undefined) return from === undefined ? undefined : { from, to }
	if (from !== undefined) throw new BadInputError('ERR_TALLYMARK_RANGE', 'Expected either `period` or `from` and `to`, got both')
	return { period }
}

/** A short name for buckets: runs of neighbours are written as one. */
function nameOf(buckets: readonly Bucket[]): string {
	let name = ''
	let runs = 0
	for (let at = 0; at < buckets.length; at++) {
		const { level, start } = buckets[at]!
		const before = buckets[at - 1]
		if (before !== undefined && level !== 'total' && before.level === level && before.start + lengthMs[level] === start) {
			runs += 1
			continue
		}
		if (runs > 0) name += `+${runs}`
		runs = 0
		name += ` ${level}${start}`
	}
	return runs > 0 ? `${name}+${runs}` : name
}
