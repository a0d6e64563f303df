/**
 * Everything that Redis has of a partition, found without looking through all of its keys: the names of counted sets follow from the settings and the
 * time, those of visitors from the members of the set of the same bucket.
 *
 * The order is such that what was removed by half, page by page, is found again: visitors come before the set that tells of them, and the totals of all
 * lanes last, so that while anything is left one of {@link totalsOf} is.
 *
 * Not listed: the record of the owner, what lives for a moment (names with `:tmp:`), and visitors of a key that no set has (their writer died before it
 * sent the hits).
 */
import { type Bucket, deadlineOf, type Granularity, type Level, lengthMs, total } from '../../time/granularity.ts'
import { type Lane, lanes } from '../store.ts'
import { command } from './client.ts'
import { ALL, type Keys, shapeOf } from './keys.ts'
import { livingBuckets } from './living-buckets.ts'
import { TrendEpochs } from './trend-epoch.ts'
import type { Ask } from './visitor-form.ts'

/** Of the settings, what the names follow from. {@link SessionSettings} has it, and so has what is stored of them. */
export interface Layout {
	readonly retention: Readonly<Record<Granularity, number>>
	/** Empty when uniques are off. */
	readonly uniquesPer: readonly Level[]
	readonly trendHalfLifeMs: number
}

interface Head {
	/** The key in Redis. */
	readonly key: string
	/** When it expires, epoch seconds; 0: never. */
	readonly deadline: number
}

export type InventoryItem =
	| (Head & { readonly kind: 'hits'; readonly lane: Lane; readonly bucket: Bucket })
	| (Head & { readonly kind: 'trend'; readonly lane: Lane; readonly epoch: number })
	/** Of a member of the counted sets: `=key`, or `*` for all keys. It need not exist. */
	| (Head & { readonly kind: 'visitors'; readonly lane: Lane; readonly bucket: Bucket; readonly member: string })
	/** The marks of the partition. They need not exist. */
	| (Head & { readonly kind: 'claims' | 'deletions' })

/** Names in one EXISTS. */
const NAMES = 100
/** Members in one answer, about. */
const MEMBERS = 500

/**
 * The pages of a partition's inventory, each of some 1,000 items at most; an item may come twice. `now`: epoch milliseconds. `ask`: sends commands to the
 * server of the partition, and throws when one fails.
 */
export async function* inventory(
	partition: number,
	keys: Keys,
	layout: Layout,
	now: number,
	ask: Ask,
): AsyncGenerator<readonly InventoryItem[], void, undefined> {
	const buckets = livingBuckets(now, layout.retention)
	const epochs = new TrendEpochs(layout.trendHalfLifeMs)
	const hits = async function* (lane: Lane, bucket: Bucket): AsyncGenerator<readonly InventoryItem[], void, undefined> {
		const key = keys.hits(partition, lane, bucket)
		const deadline = bucket.level === 'total' ? 0 : Math.ceil(deadlineOf(bucket, layout.retention) / 1_000)
		if (layout.uniquesPer.includes(bucket.level)) {
			for await (const members of membersOf(key, bucket, ask)) {
				yield members.map((member) => ({
					kind: 'visitors',
					key: keys.visitors(partition, lane, bucket, member),
					deadline,
					lane,
					bucket,
					member,
				}))
			}
		}
		yield [{ kind: 'hits', key, deadline, lane, bucket }]
	}
	for (const lane of lanes) {
		const found = await existing(buckets, (bucket) => keys.hits(partition, lane, bucket), ask)
		for (const bucket of found) yield* hits(lane, bucket)
		const trends = await existing(livingEpochs(epochs, now), (epoch) => keys.trend(partition, lane, epoch), ask)
		if (trends.length > 0) {
			yield trends.map((epoch) => ({
				kind: 'trend',
				key: keys.trend(partition, lane, epoch),
				deadline: epochs.deadline(epoch),
				lane,
				epoch,
			}))
		}
	}
	yield [
		{ kind: 'claims', key: keys.claims(partition), deadline: 0 },
		{ kind: 'deletions', key: keys.deletions(partition), deadline: 0 },
	]
	for (const lane of await existing(lanes, (lane) => keys.hits(partition, lane, total), ask)) yield* hits(lane, total)
}

/** The keys of which one is left as long as anything is. */
export function totalsOf(partition: number, keys: Keys): string[] {
	return lanes.map((lane) => keys.hits(partition, lane, total))
}

/** One more than count now, for clocks that differ. */
function livingEpochs(epochs: TrendEpochs, now: number): number[] {
	return [...new Set([...epochs.at(now - lengthMs.hour), ...epochs.at(now)])]
}

/** Those whose key exists. Most often all in a row do, or none. */
export async function existing<Each>(all: readonly Each[], keyOf: (each: Each) => string, ask: Ask): Promise<Each[]> {
	const pages = Array.from({ length: Math.ceil(all.length / NAMES) }, (_, i) => all.slice(i * NAMES, (i + 1) * NAMES))
	const counts = await ask(pages.map((page) => command('exists', ...page.map(keyOf))))
	const mixed = pages.filter((page, i) => Number(counts[i]) > 0 && Number(counts[i]) < page.length).flat()
	const answers = await ask(mixed.map((each) => command('exists', keyOf(each))))
	const there = new Set(mixed.filter((_, i) => Number(answers[i]) === 1))
	return pages.flatMap((page, i) => {
		if (Number(counts[i]) === page.length) return page
		return Number(counts[i]) === 0 ? [] : page.filter((each) => there.has(each))
	})
}

/** The names of keys in a counted set, and that of all keys together. */
async function* membersOf(key: string, bucket: Bucket, ask: Ask): AsyncGenerator<readonly string[], void, undefined> {
	const scan = shapeOf(bucket) === 'hash' ? 'hscan' : 'zscan'
	let cursor = '0'
	do {
		const [reply] = await ask([command(scan, key, cursor, 'COUNT', MEMBERS)])
		const [next, flat] = reply as [string, readonly string[]]
		cursor = String(next)
		const members = flat.filter((member, i) => i % 2 === 0 && (member === ALL || member.startsWith('=')))
		if (members.length > 0) yield members
	} while (cursor !== '0')
}
