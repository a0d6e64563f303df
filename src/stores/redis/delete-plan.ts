/** Where a key is, so that it can be deleted there: the sets whose names follow from the settings and the time, asked one by one. */
import { type Bucket, total } from '../../time/granularity.ts'
import { type Lane, lanes, type SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import type { CountedSet } from './counted-set.ts'
import { type Keys, memberOf, shapeOf } from './keys.ts'
import { evaluate } from './link.ts'
import { livingBuckets } from './living-buckets.ts'
import type { PartitionSets } from './partition-sets.ts'
import { sweepHash } from './scripts.ts'
import type { TrendEpochs } from './trend-epoch.ts'
import type { Ask } from './visitor-form.ts'

export interface DeletePlan {
	readonly key: string
	readonly existed: boolean
	/** The sets that have the key and a number of all keys together. */
	readonly countingAll: readonly CountedSet[]
	/** Trends that have it. */
	readonly others: readonly CountedSet[]
	/**
	 * What takes the visitors and then the marks away, once all sets have it marked as deleted. Of the key's visitors it takes those too who came since.
	 */
	readonly sweep: () => Command[]
	/** Ask, for each lane that has the key, whether the mark is there still, and so perhaps the visitors: answered by 0.5. */
	readonly marked: readonly Command[]
}

const QUESTIONS = 1_000
const NAMES = 200

export async function planDelete(
	key: string,
	partition: number,
	sets: PartitionSets,
	{ settings, keys, epochs }: { settings: SessionSettings; keys: Keys; epochs: TrendEpochs },
	ask: Ask,
): Promise<DeletePlan> {
	const member = memberOf(key)
	const totals = await ask(lanes.map((lane) => command('zscore', keys.hits(partition, lane, total), member)))
	// Every hit counts in the total, so that what is not there is nowhere.
	const theirs = lanes.filter((_, i) => isThere(totals[i]))
	const buckets = theirs.length === 0 ? [] : livingBuckets(settings.clock.now(), settings.retention)
	const countingAll: CountedSet[] = []
	const others: CountedSet[] = []
	const visitors: string[] = []
	for (const lane of theirs) {
		countingAll.push(sets.hits(lane, total))
		for (let from = 0; from < buckets.length; from += QUESTIONS) {
			const some = buckets.slice(from, from + QUESTIONS)
			const found = await ask(some.map((bucket) => question(keys.hits(partition, lane, bucket), bucket, member)))
			for (const [i, bucket] of some.entries()) if (isThere(found[i])) countingAll.push(sets.hits(lane, bucket))
		}
		const current = epochs.at(settings.clock.now())
		const trends = await ask(current.map((epoch) => command('zscore', keys.trend(partition, lane, epoch), member)))
		for (const [i, epoch] of current.entries()) if (isThere(trends[i])) others.push(sets.trend(lane, epoch))
		visitors.push(...visitorKeys(partition, lane, member, settings, keys, buckets))
	}
	// With the visitors the mark of the partition (see known-visitors.ts). The marks in the sets last: a server that goes back in time has them again as long as it may have the visitors again.
	const sweep = () => [
		...Array.from({ length: Math.ceil(visitors.length / NAMES) }, (_, i) =>
			command('unlink', keys.deletions(partition), ...visitors.slice(i * NAMES, (i + 1) * NAMES)),
		),
		...[...countingAll, ...others].map((set) =>
			set.shape === 'hash' ? evaluate(sweepHash, set.key, [member]) : command('zremrangebyscore', set.key, '0.5', '0.5'),
		),
	]
	const marked = theirs.map((lane) => command('zscore', keys.hits(partition, lane, total), member))
	return { key, existed: theirs.length > 0, countingAll, others, sweep, marked }
}

function question(key: string, bucket: Bucket, member: string): Command {
	return shapeOf(bucket) === 'hash' ? command('hget', key, member) : command('zscore', key, member)
}

/** Whether a reply is the number of a key: neither nothing, nor the mark of a deleted one. */
function isThere(reply: unknown): boolean {
	return reply !== null && reply !== '' && Number(reply) !== 0.5
}

function visitorKeys(
	partition: number,
	lane: Lane,
	member: string,
	{ uniquesPer, tracker }: SessionSettings,
	keys: Keys,
	buckets: readonly Bucket[],
): string[] {
	if (tracker === undefined) return []
	return [total, ...buckets]
		.filter(({ level }) => uniquesPer.includes(level))
		.map((bucket) => keys.visitors(partition, lane, bucket, member))
}
