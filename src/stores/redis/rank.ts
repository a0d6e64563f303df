/**
 * The highest keys of one partition by a sum over several sets, without reading more of them than it takes. Sorted sets are read from their top, page by
 * page; whatever a page shows is looked up in the others. What no page has shown yet is at most the sum of where the pages end, so that reading stops
 * as soon as enough keys are above that (Fagin's threshold algorithm). Hashes have no top: they are read whole, in pages.
 */
import { compareCodePoints } from '../code-points.ts'
import { type Ranked, Ranking } from '../ranking.ts'
import { type Command, command } from './client.ts'
import type { Shape } from './keys.ts'
import { pairs } from './reader.ts'
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

const FIRST_PAGE = 50
const LONGEST_PAGE = 2_000
const LOOKUP = 500

/** `ask`: sends commands to the server of the partition. Answers at most `limit` keys above 0, highest first, ties by key. */
export async function rank(
	sets: readonly RankedSet[],
	{ limit, prefix }: RankQuery,
	ask: (commands: readonly Command[]) => Promise<readonly unknown[]>,
): Promise<Ranked[]> {
	if (limit === 0) return []
	const sorted = sets.filter(({ shape }) => shape === 'sorted').map((set) => ({ ...set, read: 0, bound: Number.POSITIVE_INFINITY }))
	const hashes = sets.filter(({ shape }) => shape === 'hash')
	const hashed = await readHashes(hashes, prefix, ask)
	const sums = new Map<string, number>()
	/** Gives keys their whole sum. */
	const resolve = async (keys: readonly string[], known: ReadonlyMap<string, number> | undefined) => {
		for (const some of chunks(keys, LOOKUP)) {
			const scores =
				known !== undefined ? [] : await ask(sorted.map(({ key }) => command('zmscore', key, ...some.map((name) => `=${name}`))))
			for (const [i, name] of some.entries()) {
				let sum = hashed.get(name) ?? known?.get(name) ?? 0
				for (const [j, { weight }] of sorted.entries()) {
					const score = Number((scores[j] as readonly unknown[] | undefined)?.[i] ?? 0)
					if (score < 0) sum -= score * weight
				}
				sums.set(name, sum)
			}
		}
	}
	for (let page = Math.min(LONGEST_PAGE, Math.max(limit + 1, FIRST_PAGE)); ; page = Math.min(LONGEST_PAGE, page * 2)) {
		const open = sorted.filter(({ bound }) => bound > 0)
		const pages = await ask(open.map(({ key, read }) => command('zrange', key, read, read + page - 1, 'WITHSCORES')))
		const fresh = new Map<string, number>()
		for (const [i, set] of open.entries()) {
			const entries = pairs(pages[i])
			set.read += entries.length
			const last = entries.at(-1)?.[1] ?? 0
			set.bound = entries.length < page || last >= 0 ? 0 : -last * set.weight
			for (const [member, score] of entries) {
				if (score >= 0 || !member.startsWith('=')) continue
				const name = member.slice(1)
				if (name.startsWith(prefix) && !sums.has(name)) fresh.set(name, -score * set.weight)
			}
		}
		await resolve([...fresh.keys()], sets.length === 1 ? fresh : undefined)
		let { best, least } = highest(sums, limit)
		const bound = sorted.reduce((sum, set) => sum + set.bound, 0)
		const likely = [...hashed].filter(([name, sum]) => !sums.has(name) && sum + bound >= least).map(([name]) => name)
		if (likely.length > 0) {
			await resolve(likely, sorted.length === 0 ? hashed : undefined)
			;({ best, least } = highest(sums, limit))
		}
		// In one set, what comes later is lower, or has the same number and comes later by its name.
		if (bound === 0 || (best.length === limit && (sets.length === 1 ? least >= bound : least > bound))) return best
	}
}

/** Merges what `rank` gave for several partitions. */
export function mergeRanked(lists: readonly (readonly Ranked[])[], limit: number): Ranked[] {
	return lists
		.flat()
		.sort((a, b) => b.score - a.score || compareCodePoints(a.key, b.key))
		.slice(0, limit)
}

function highest(sums: ReadonlyMap<string, number>, limit: number): { best: Ranked[]; least: number } {
	const ranking = new Ranking(limit)
	for (const [key, sum] of sums) if (sum > 0) ranking.offer(key, sum)
	const best = ranking.entries()
	return { best, least: best.length < limit ? 0 : best.at(-1)!.score }
}

async function readHashes(
	sets: readonly RankedSet[],
	prefix: string,
	ask: (commands: readonly Command[]) => Promise<readonly unknown[]>,
): Promise<Map<string, number>> {
	const sums = new Map<string, number>()
	// A field can come twice in a scan.
	let open = sets.map(({ key, weight }) => ({ key, weight, cursor: '0', seen: new Map<string, number>() }))
	while (open.length > 0) {
		const pages = await ask(
			open.map(({ key, cursor }) => command('hscan', key, cursor, 'MATCH', `=${escapeGlob(prefix)}*`, 'COUNT', 1_000)),
		)
		open = open.flatMap((scan, i) => {
			const [cursor, fields] = pages[i] as [string, unknown]
			for (const [member, value] of pairs(fields)) scan.seen.set(member.slice(1), value)
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
