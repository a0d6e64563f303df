/** A batch as parts: what it does to each set, cut into scripts of bounded length. Made once for a batch, before anything of it is sent. */
import { type Bucket, granularities, startOf, total } from '../../time/granularity.ts'
import type { DeltaGroup, HitsBatch, Lane, SessionSettings, SetBatch } from '../store.ts'
import type { Act, CountedSet, Part } from './counted-set.ts'
import { ALL, memberOf } from './keys.ts'
import type { PartitionSets } from './partition-sets.ts'
import { chunkSize, positionOf } from './position.ts'
import type { TrendEpochs } from './trend-epoch.ts'

/** Members and what to add to each. */
interface Sums {
	readonly members: readonly string[]
	readonly values: readonly number[]
	/** What to add to all keys together; undefined where nobody counts them. */
	readonly all: number | undefined
}

/** Adds the parts of hits to the sets they touch, and answers them. */
export function freezeHits(batch: HitsBatch, sets: PartitionSets, settings: SessionSettings, epochs: TrendEpochs): Part[] {
	const parts: Part[] = []
	const thisMinute = startOf('minute', settings.clock.now())
	const lanes = new Map<Lane, DeltaGroup[]>()
	for (const group of batch.groups) {
		const groups = lanes.get(group.lane)
		if (groups === undefined) lanes.set(group.lane, [group])
		else groups.push(group)
	}
	for (const [lane, groups] of lanes) {
		const sums = groups.map(sumsOf)
		const levels = granularities.filter((level) => settings.retention[level] > 0)
		for (const level of [...levels, 'total' as const]) {
			const buckets = new Map<number, Sums[]>()
			for (const [i, { minute }] of groups.entries()) {
				const start = level === 'total' ? 0 : startOf(level, minute)
				const same = buckets.get(start)
				if (same === undefined) buckets.set(start, [sums[i]!])
				else same.push(sums[i]!)
			}
			for (const [start, same] of buckets) {
				const bucket: Bucket = level === 'total' ? total : { level, start }
				parts.push(...partsOf(sets.hits(lane, bucket), batch.sequence, 'add', merged(same)))
			}
		}
		const trends = new Map<number, Sums[]>()
		for (const [i, group] of groups.entries()) {
			// A hit of the future would push all others out of the trend: it counts as one of now.
			const minute = Math.min(group.minute, thisMinute)
			const epoch = epochs.of(minute)
			const weight = epochs.weight(minute)
			const { members, values } = sums[i]!
			const weighted: Sums = { members, values: values.map((value) => value * weight), all: undefined }
			const same = trends.get(epoch)
			if (same === undefined) trends.set(epoch, [weighted])
			else same.push(weighted)
		}
		const hits = sums.reduce((sum, { all }) => sum + all!, 0)
		for (const [epoch, same] of trends) parts.push(...partsOf(sets.trend(lane, epoch), batch.sequence, 'add', merged(same), hits))
	}
	return parts
}

/** The part that sets the hits of a key. */
export function freezeSet(batch: SetBatch, sets: PartitionSets): Part[] {
	return [pushed(sets.hits(batch.lane, total), positionOf(batch.sequence, 0, 1), 'set', [memberOf(batch.key), ALL], [batch.hits], 0)]
}

/** The parts that delete a key from the sets that have it. */
export function freezeDelete(key: string, sequence: number, countingAll: readonly CountedSet[], others: readonly CountedSet[]): Part[] {
	const position = positionOf(sequence, 0, 1)
	return [
		...countingAll.map((set) => pushed(set, position, 'remove', [memberOf(key), ALL], [], 0)),
		...others.map((set) => pushed(set, position, 'remove', [memberOf(key), ''], [], 0)),
	]
}

function sumsOf({ deltas }: DeltaGroup): Sums {
	const members: string[] = []
	const values: number[] = []
	let all = 0
	for (const { key, hits } of deltas) {
		members.push(memberOf(key))
		values.push(hits)
		all += hits
	}
	return { members, values, all }
}

function merged(sums: readonly Sums[]): Sums {
	if (sums.length === 1) return sums[0]!
	const together = new Map<string, number>()
	let all: number | undefined
	for (const { members, values, all: more } of sums) {
		for (const [i, member] of members.entries()) together.set(member, (together.get(member) ?? 0) + values[i]!)
		if (more !== undefined) all = (all ?? 0) + more
	}
	return { members: [...together.keys()], values: [...together.values()], all }
}

/** In chunks; all keys together move with the last of them, so that their number never has a batch by half. */
function partsOf(set: CountedSet, sequence: number, act: Act, { members, values, all }: Sums, hits?: number): Part[] {
	const size = chunkSize(members.length)
	const chunks = Math.max(1, Math.ceil(members.length / size))
	const parts: Part[] = []
	for (let chunk = 0; chunk < chunks; chunk++) {
		const isLast = chunk === chunks - 1
		const some = chunks === 1 ? members : members.slice(chunk * size, (chunk + 1) * size)
		const theirs = chunks === 1 ? values : values.slice(chunk * size, (chunk + 1) * size)
		const sum = all === undefined ? (isLast ? (hits ?? 0) : 0) : theirs.reduce((a, b) => a + b, 0)
		const withAll = isLast && all !== undefined
		const part = pushed(
			set,
			positionOf(sequence, chunk, chunks),
			act,
			withAll ? [...some, ALL] : some,
			withAll ? [...theirs, all] : theirs,
			sum,
		)
		parts.push(part)
	}
	if (chunks > 1) set.chunks = parts
	return parts
}

function pushed(set: CountedSet, position: number, act: Act, members: readonly string[], values: readonly number[], hits: number): Part {
	const part: Part = { set, position, chain: set.tail, act, members, values, hits, state: 'open' }
	set.push(part)
	return part
}
