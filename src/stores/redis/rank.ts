/**
 * The highest keys of one partition by a sum over several sets, without reading more of them than it takes. Sorted sets are read from their top, page by
 * page; whatever a page shows is looked up in those others that have not been read to their end. What no page has shown yet is at most the sum of where
 * the pages end, so that reading stops as soon as enough keys are above that (Fagin's threshold algorithm). Hashes have no top: they are read whole, in
 * pages; and so are sorted sets when few of their keys have the prefix that is asked for, for then the server leaves the others out.
 */
import { compareCodePoints } from '../code-points.ts'
import { type Ranked, Ranking } from '../ranking.ts'
import { type Command, command } from './client.ts'
import { memberOf, type Shape } from './keys.ts'
import { hitsOf } from './read-hits.ts'
import { pairs } from './reader.ts'
import { steadyScans } from './steady-scans.ts'
import { chunks } from './visitor-form.ts'

export interface RankedSet {
	readonly key: string
	readonly shape: Shape
	/** What its numbers are multiplied by. */
	readonly weight: number
}

export interface RankQuery {
	readonly limit: number
	/** Only keys that begin with it. */
	readonly prefix: string
}

/** Sends commands to the server of the partition. */
type Ask = (commands: readonly Command[]) => Promise<readonly unknown[]>

const FIRST_PAGE = 50
const LONGEST_PAGE = 2_000
/** Members in one look-up, and look-ups in one go. */
const LOOKUP = 500
const LOOKUPS = 8
/** Elements in one piece of a scan, at most: a millisecond of the server's time. */
const LONGEST_PIECE = 2_000
/** ... and in all the pieces that are asked for at the same time. */
const ALL_PIECES = 32_000
/** With a prefix, a set is scanned as soon as it is not more than so many times as large as what was read from its top. */
const TIMES_THE_TOP = 64

/** How many elements each piece of a scan may have when so many are read at the same time. */
export function pieceOf(scans: number): number {
	return Math.max(50, Math.min(LONGEST_PIECE, Math.floor(ALL_PIECES / scans)))
}

/** A sorted set while it is read from its top. */
interface Opened extends RankedSet {
	read: number
	/** Where the pages end: what was not read is no higher, and among equals comes after `lastName`. 0: nothing is left. */
	bound: number
	lastName: string
	/** What was read, by name. */
	readonly scores: Map<string, number>
}

/** Answers at most `limit` keys above 0, highest first, ties by key. `partitions`: how many are ranked at the same time. */
export async function rank(sets: readonly RankedSet[], { limit, prefix }: RankQuery, ask: Ask, partitions: number): Promise<Ranked[]> {
	if (limit === 0) return []
	const sorted = sets
		.filter(({ shape }) => shape === 'sorted')
		.map((set): Opened => ({ ...set, read: 0, bound: Number.POSITIVE_INFINITY, lastName: '', scores: new Map() }))
	const hashed = await readWhole(
		sets.filter(({ shape }) => shape === 'hash'),
		prefix,
		ask,
		partitions,
	)
	if (sorted.length === 0) return highest(hashed, limit)
	const sums = new Map<string, number>()
	for (let page = Math.min(LONGEST_PAGE, Math.max(limit + 1, FIRST_PAGE)); ; page = Math.min(LONGEST_PAGE, page * 2)) {
		const open = sorted.filter(({ bound }) => bound > 0)
		const pages = open.map(({ key, read }) => command('zrange', key, read, read + page - 1, 'WITHSCORES'))
		// Whether there is anything that far down.
		const depths =
			prefix === '' ? [] : open.map(({ key, read }) => command('zrange', key, TIMES_THE_TOP * (read + page), TIMES_THE_TOP * (read + page)))
		const replies = await ask([...pages, ...depths])
		const fresh = new Set<string>()
		for (const [i, set] of open.entries())
			for (const name of take(set, pairs(replies[i]), page)) if (name.startsWith(prefix) && !sums.has(name)) fresh.add(name)
		await sum(fresh, sorted, hashed, sums, ask)
		let best = highest(sums, limit)
		const bound = sorted.reduce((all, set) => all + set.bound, 0)
		const least = best.length < limit ? 0 : best.at(-1)!.score
		const likely = [...hashed].filter(([name, value]) => !sums.has(name) && value + bound >= least).map(([name]) => name)
		if (likely.length > 0) {
			await sum(likely, sorted, hashed, sums, ask)
			best = highest(sums, limit)
		}
		if (isFinal(best, limit, sorted)) return best
		const isSmall = depths.length > 0 && replies.slice(pages.length).every((deep) => (deep as readonly unknown[]).length === 0)
		if (isSmall) return highest(await readWhole(sorted, prefix, ask, partitions, hashed), limit)
	}
}

/** Enters a page of a set; answers its names. */
function take(set: Opened, entries: readonly (readonly [member: string, score: number])[], page: number): string[] {
	const names: string[] = []
	for (const [member, score] of entries) {
		if (score >= 0 || !member.startsWith('=')) continue
		const name = member.slice(1)
		set.scores.set(name, -score * set.weight)
		names.push(name)
	}
	const [lastMember, lastScore] = entries.at(-1) ?? ['', 0]
	set.read += entries.length
	set.bound = entries.length < page || lastScore >= 0 ? 0 : -lastScore * set.weight
	// What is no key comes before all keys.
	set.lastName = lastMember.startsWith('=') ? lastMember.slice(1) : ''
	return names
}

/** Gives keys their whole sum: what a set has not shown, but may have, is looked up. */
async function sum(
	names: Iterable<string>,
	sorted: readonly Opened[],
	hashed: ReadonlyMap<string, number>,
	sums: Map<string, number>,
	ask: Ask,
): Promise<void> {
	for (const some of chunks([...names], LOOKUP * LOOKUPS)) {
		const asked = sorted
			.filter(({ bound }) => bound > 0)
			.flatMap((set) =>
				chunks(
					some.filter((name) => !set.scores.has(name)),
					LOOKUP,
				).map((unknown) => ({ set, unknown })),
			)
		const replies = await ask(asked.map(({ set, unknown }) => command('zmscore', set.key, ...unknown.map(memberOf))))
		for (const [i, { set, unknown }] of asked.entries()) {
			const scores = replies[i] as readonly unknown[]
			for (const [j, name] of unknown.entries()) set.scores.set(name, hitsOf(Number(scores[j]), true) * set.weight)
		}
		for (const name of some)
			sums.set(
				name,
				sorted.reduce((all, { scores }) => all + (scores.get(name) ?? 0), hashed.get(name) ?? 0),
			)
	}
}

/** Whether nothing that was not read can be among the best. */
function isFinal(best: readonly Ranked[], limit: number, sorted: readonly Opened[]): boolean {
	const open = sorted.filter(({ bound }) => bound > 0)
	if (open.length === 0) return true
	const worst = best[limit - 1]
	if (worst === undefined) return false
	const bound = open.reduce((all, set) => all + set.bound, 0)
	if (worst.score !== bound) return worst.score > bound
	// Of one set only, what comes later with the same number comes later by its name.
	return open.length === 1 && compareCodePoints(worst.key, open[0]!.lastName) <= 0
}

/** Merges what `rank` gave for several partitions. */
export function mergeRanked(lists: readonly (readonly Ranked[])[], limit: number): Ranked[] {
	return lists
		.flat()
		.sort((a, b) => b.score - a.score || compareCodePoints(a.key, b.key))
		.slice(0, limit)
}

function highest(sums: ReadonlyMap<string, number>, limit: number): Ranked[] {
	const ranking = new Ranking(limit)
	for (const [key, sum] of sums) if (sum > 0) ranking.offer(key, sum)
	return ranking.entries()
}

/** The sums of whole sets, on top of `before`. */
async function readWhole(
	sets: readonly RankedSet[],
	prefix: string,
	ask: Ask,
	partitions: number,
	before?: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
	const sums = new Map(before)
	const steady = steadyScans(ask)
	// Where all keys are asked for, what is none comes along: it is little, and a page that lacks nothing shows the order that it is in.
	const match = prefix === '' ? [] : ['MATCH', `${memberOf(escapeGlob(prefix))}*`]
	// An element can come twice in a scan.
	let open = sets.map((set) => ({ ...set, cursor: '0', seen: new Map<string, number>() }))
	while (open.length > 0) {
		const piece = pieceOf(open.length * partitions)
		const replies = await steady(
			open.map(({ key, shape, cursor }) => command(shape === 'hash' ? 'hscan' : 'zscan', key, cursor, ...match, 'COUNT', piece)),
		)
		open = open.flatMap((scan, i) => {
			const [cursor, elements] = replies[i] as [string, unknown]
			for (const [member, value] of pairs(elements))
				if (member.startsWith('=')) scan.seen.set(member.slice(1), hitsOf(value, scan.shape === 'sorted'))
			if (String(cursor) !== '0') return [{ ...scan, cursor: String(cursor) }]
			for (const [name, value] of scan.seen) if (value > 0) sums.set(name, (sums.get(name) ?? 0) + value * scan.weight)
			return []
		})
	}
	return sums
}

/** A text as a pattern that matches itself only. */
export function escapeGlob(text: string): string {
	return text.replace(/[\\*?[\]^-]/g, '\\$&')
}
