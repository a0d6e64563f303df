/** Top lists, trends and the list of keys, over all partitions. */
import { BadInputError } from '../../errors.ts'
import { type Bucket, deadlineOf, total } from '../../time/granularity.ts'
import { compareCodePoints } from '../code-points.ts'
import { type Ranked, Ranking } from '../ranking.ts'
import type { ListQuery, ListReading, SessionSettings, TopQuery, TopReading, TrendingQuery, TrendingReading } from '../store.ts'
import { command } from './client.ts'
import { type Keys, memberOf, shapeOf } from './keys.ts'
import { escapeGlob, mergeRanked, type RankedSet, rank } from './rank.ts'
import { readVisitorsOf } from './read-visitors.ts'
import { pairs, type Reader } from './reader.ts'
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
	const lists = await reader.each((partition) => rank(setsOf(partition), query, (commands) => reader.ask(partition, commands)))
	return mergeRanked(lists, query.limit).map(({ key, score }) => ({ key, hits: score }))
}

/** Keys of a partition whose visitors are counted at first, and at most. */
const FIRST_CANDIDATES = 200
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
			open.map((partition) => rank(setsOf(partition), { limit: candidates, prefix }, (commands) => reader.ask(partition, commands))),
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
		const ranking = rankingOf(uniques, limit)
		const least = ranking.length < limit ? 0 : ranking.at(-1)!.score
		open = open.filter((_, i) => lists[i]!.length === candidates && candidates < MOST_CANDIDATES && lists[i]!.at(-1)!.score >= least)
	}
	return rankingOf(uniques, limit).map(({ key, score }) => ({ key, hits: hits.get(key)!, uniques: score }))
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
		return rank(sets, { limit, prefix: '' }, (commands) => reader.ask(partition, commands))
	})
	return { entries: mergeRanked(lists, limit), servedBy: reader.servedByAll }
}

/**
 * The keys come in no order from the partitions, which are read through in pages: work for each key of the lane, memory for a page of the list. An index
 * in the order of the keys would make it work for a page only, and cost another 33 to 110 bytes a key; a list is rare, keys are many.
 */
export async function readList({ lane, prefix, limit, after }: ListQuery, reader: Reader, keys: Keys): Promise<ListReading> {
	const lists = await reader.each(async (partition) => {
		// The first of all, by their order alone.
		const first = new Ranking(limit + 1)
		const seen = new Set<string>()
		const key = keys.hits(partition, lane, total)
		let cursor = '0'
		do {
			const [page] = await reader.ask(partition, [command('zscan', key, cursor, 'MATCH', `=${escapeGlob(prefix)}*`, 'COUNT', 1_000)])
			const [next, members] = page as [string, unknown]
			for (const [member, score] of pairs(members)) {
				const name = member.slice(1)
				if (score > 0 || seen.has(name) || (after !== undefined && compareCodePoints(name, after) <= 0)) continue
				seen.add(name)
				first.offer(name, 0)
			}
			cursor = String(next)
		} while (cursor !== '0')
		return first.entries()
	})
	const names = mergeRanked(lists, limit + 1).map(({ key }) => key)
	return { keys: names.slice(0, limit), more: names.length > limit }
}
