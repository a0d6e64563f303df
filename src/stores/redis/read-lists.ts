/** Top lists, trends and the list of keys, over all partitions. */
import { BadInputError } from '../../errors.ts'
import { type Bucket, deadlineOf, total } from '../../time/granularity.ts'
import { compareCodePoints } from '../code-points.ts'
import { type Ranked, Ranking } from '../ranking.ts'
import type { Lane, ListQuery, ListReading, SessionSettings, TopQuery, TopReading, TrendingQuery, TrendingReading } from '../store.ts'
import { command } from './client.ts'
import { type Keys, memberOf, shapeOf } from './keys.ts'
import { escapeGlob, mergeRanked, pieceOf, type RankedSet, rank } from './rank.ts'
import { readVisitorsOf } from './read-visitors.ts'
import { pairs, type Reader } from './reader.ts'
import { steadyScans } from './steady-scans.ts'
import type { TrendEpochs } from './trend-epoch.ts'
import { visitorForm } from './visitor-form.ts'

export async function readTop(
	query: TopQuery,
	reader: Reader,
	keys: Keys,
	settings: SessionSettings,
	applied: Float64Array,
): Promise<TopReading> {
	const now = settings.clock.now()
	const buckets = query.buckets.filter((bucket) => now < deadlineOf(bucket, settings.retention))
	const setsOf = (partition: number): RankedSet[] =>
		buckets.map((bucket) => ({ key: keys.hits(partition, query.lane, bucket), shape: shapeOf(bucket), weight: 1 }))
	const entries =
		query.by === 'uniques' ? await topByUniques(query, buckets, setsOf, reader, keys, settings) : await topByHits(query, setsOf, reader)
	return { entries, applied, servedBy: reader.servedByAll }
}

async function topByHits(query: TopQuery, setsOf: (partition: number) => RankedSet[], reader: Reader) {
	const lists = await reader.each((partition) =>
		rank(setsOf(partition), query, (commands) => reader.ask(partition, commands), reader.partitions),
	)
	return mergeRanked(lists, query.limit).map(({ key, score }) => ({ key, hits: score }))
}

/** Keys of a partition whose visitors are counted at first, and at most. */
const FIRST_CANDIDATES = 50
const MOST_CANDIDATES = 20_000

/**
 * Nobody has more visitors than hits, so that keys are looked at by falling hits until the next one has fewer hits than the last of the list has visitors.
 * At most 20,000 keys of a partition: where a key of more hits than visitors is beyond those (its hits were set, say), it is missed.
 */
async function topByUniques(
	{ lane, limit, prefix }: TopQuery,
	buckets: readonly Bucket[],
	setsOf: (partition: number) => RankedSet[],
	reader: Reader,
	keys: Keys,
	settings: SessionSettings,
) {
	const { tracker } = settings
	if (tracker === undefined) {
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', 'Uniques are off for this namespace: nobody was tracked, so nobody can be counted')
	}
	const form = visitorForm(tracker)
	const uniques = new Map<string, number>()
	const hits = new Map<string, number>()
	let open = Array.from({ length: reader.partitions }, (_, partition) => partition)
	for (let candidates = Math.max(FIRST_CANDIDATES, limit); open.length > 0; candidates *= 4) {
		const lists = await Promise.all(
			open.map((partition) =>
				rank(setsOf(partition), { limit: candidates, prefix }, (commands) => reader.ask(partition, commands), reader.partitions),
			),
		)
		await Promise.all(
			open.map(async (partition, i) => {
				const fresh = lists[i]!.filter(({ key }) => !hits.has(key)).map(({ key }) => key)
				for (const { key, score } of lists[i]!) hits.set(key, score)
				const stored = fresh.map((key) => buckets.map((bucket) => keys.visitors(partition, lane, bucket, memberOf(key))))
				const commands = buckets.length === 0 ? [] : form.count(stored)
				const counts =
					commands !== undefined
						? (await reader.ask(partition, commands)).map(Number)
						: await Promise.all(
								stored.map(async (names) => {
									const sketch = await readVisitorsOf([[partition, names]], reader, tracker)
									return sketch.estimate().value
								}),
							)
				for (const [j, key] of fresh.entries()) uniques.set(key, counts[j] ?? 0)
			}),
		)
		const worst = rankingOf(uniques, limit)[limit - 1]
		open = open.filter((_, i) => {
			const list = lists[i]!
			return list.length === candidates && candidates < MOST_CANDIDATES && !isBehind(list.at(-1)!, worst)
		})
	}
	return rankingOf(uniques, limit).map(({ key, score }) => ({ key, hits: hits.get(key)!, uniques: score }))
}

/** Whether what comes after `last` in a list by hits comes after `worst` in one by visitors: it has as many hits at most, and among equals a later name. */
function isBehind(last: Ranked, worst: Ranked | undefined): boolean {
	if (worst === undefined) return false
	return last.score < worst.score || (last.score === worst.score && compareCodePoints(worst.key, last.key) <= 0)
}

function rankingOf(numbers: ReadonlyMap<string, number>, limit: number): Ranked[] {
	const ranking = new Ranking(limit)
	for (const [key, number] of numbers) if (number > 0) ranking.offer(key, number)
	return ranking.entries()
}

export async function readTrending(
	{ lane, limit, now }: TrendingQuery,
	reader: Reader,
	keys: Keys,
	epochs: TrendEpochs,
): Promise<TrendingReading> {
	const lists = await reader.each((partition) => {
		const sets = epochs
			.at(now)
			.map((epoch): RankedSet => ({ key: keys.trend(partition, lane, epoch), shape: 'sorted', weight: epochs.fading(epoch, now) }))
		return rank(sets, { limit, prefix: '' }, (commands) => reader.ask(partition, commands), reader.partitions)
	})
	return { entries: mergeRanked(lists, limit), servedBy: reader.servedByAll }
}

/** Every key of the lane, in no order: one walk through each partition, all at the same time, a piece at a time. */
export async function* readKeys(lane: Lane, reader: Reader, keys: Keys): AsyncGenerator<readonly string[]> {
	let open = Array.from({ length: reader.partitions }, (_, partition) => ({
		key: keys.hits(partition, lane, total),
		cursor: '0',
		ask: steadyScans((commands) => reader.ask(partition, commands)),
	}))
	while (open.length > 0) {
		const piece = pieceOf(open.length)
		const pages = await Promise.all(open.map(({ key, cursor, ask }) => ask([command('zscan', key, cursor, 'COUNT', piece)])))
		for (const [page] of pages) yield keysIn((page as [string, unknown])[1])
		open = open.flatMap((walk, i) => {
			const cursor = String((pages[i]![0] as [string, unknown])[0])
			return cursor === '0' ? [] : [{ ...walk, cursor }]
		})
	}
}

/** The keys of a page of a sorted set, but for those that were deleted. */
function keysIn(members: unknown): string[] {
	const keys: string[] = []
	for (const [member, score] of pairs(members)) if (score <= 0 && member.startsWith('=')) keys.push(member.slice(1))
	return keys
}

/**
 * The keys come in no order from the partitions, which are read through in pages: work for each key of the lane, memory for a page of the list. An index
 * in the order of the keys would make it work for a page only, and cost another 33 to 110 bytes a key; a list is rare, keys are many.
 */
export async function readList({ lane, prefix, limit, after }: ListQuery, reader: Reader, keys: Keys): Promise<ListReading> {
	// Without a prefix what is no key comes along: it is little.
	const match = prefix === '' ? [] : ['MATCH', `${memberOf(escapeGlob(prefix))}*`]
	const piece = pieceOf(reader.partitions)
	// One for all partitions: what is beyond the page in one of them is seen so in the others.
	const first = new First(limit + 1)
	await reader.each(async (partition) => {
		const key = keys.hits(partition, lane, total)
		const ask = steadyScans((commands) => reader.ask(partition, commands))
		let cursor = '0'
		do {
			const [page] = await ask([command('zscan', key, cursor, ...match, 'COUNT', piece)])
			const [next, members] = page as [string, unknown]
			for (const name of keysIn(members)) if (after === undefined || compareCodePoints(name, after) > 0) first.offer(name)
			cursor = String(next)
		} while (cursor !== '0')
	})
	const names = first.names()
	return { keys: names.slice(0, limit), more: names.length > limit }
}

/** The first few of many names, each once though it may be offered twice. */
class First {
	readonly #limit: number
	#names: string[] = []
	/** Of those that were kept when there were too many, the last. */
	#last: string | undefined

	constructor(limit: number) {
		this.#limit = limit
	}

	offer(name: string): void {
		// Almost every offer ends here.
		if (this.#last !== undefined && compareCodePoints(name, this.#last) >= 0) return
		this.#names.push(name)
		if (this.#names.length < 2 * this.#limit + 100) return
		this.#names = this.names()
		this.#last = this.#names[this.#limit - 1]
	}

	/** In their order. */
	names(): string[] {
		const sorted = this.#names.sort(compareCodePoints)
		return sorted.filter((name, i) => name !== sorted[i - 1]).slice(0, this.#limit)
	}
}
