/** Visitors: the sketches of keys and buckets, united here. The server is never asked to unite: that would block it, and span slots. */
import { BadInputError } from '../../errors.ts'
import { partitionOf } from '../../hash/partition.ts'
import { deadlineOf } from '../../time/granularity.ts'
import type { VisitorSketch, VisitorTracker } from '../../visitors/tracker.ts'
import type { SessionSettings, VisitorsQuery, VisitorsReading } from '../store.ts'
import { ALL, type Keys, memberOf } from './keys.ts'
import type { Reader } from './reader.ts'
import { steadyScans } from './steady-scans.ts'
import { visitorForm } from './visitor-form.ts'

export async function readVisitors(
	{ lane, keys, groups }: VisitorsQuery,
	reader: Reader,
	names: Keys,
	settings: SessionSettings,
): Promise<VisitorsReading> {
	const { tracker, uniquesPer, retention, clock } = settings
	if (tracker === undefined) {
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', 'Uniques are off for this namespace: nobody was tracked, so nobody can be counted')
	}
	const now = clock.now()
	const members: (readonly [partition: number, member: string])[] =
		keys === 'all'
			? Array.from({ length: reader.partitions }, (_, partition) => [partition, ALL] as const)
			: keys.map((key) => [partitionOf(key, reader.partitions), memberOf(key)] as const)
	const sketches = await Promise.all(
		groups.map((buckets) => {
			const living = buckets.filter((bucket) => uniquesPer.includes(bucket.level) && now < deadlineOf(bucket, retention))
			const byPartition = new Map<number, string[]>()
			for (const [partition, member] of members) {
				const stored = byPartition.get(partition) ?? []
				for (const bucket of living) stored.push(names.visitors(partition, lane, bucket, member))
				byPartition.set(partition, stored)
			}
			return readVisitorsOf([...byPartition], reader, tracker)
		}),
	)
	return { sketches, servedBy: reader.servedBy(members.map(([partition]) => partition)) }
}

/** The union of the visitors under these Redis keys, by partition, as a sketch of its own. */
export async function readVisitorsOf(
	stored: readonly (readonly [partition: number, keys: readonly string[]])[],
	reader: Reader,
	tracker: VisitorTracker,
): Promise<VisitorSketch> {
	const form = visitorForm(tracker)
	const found = await Promise.all(
		stored.map(([partition, keys]) =>
			form.read(
				[...new Set(keys)],
				tracker,
				steadyScans((commands) => reader.ask(partition, commands)),
			),
		),
	)
	let union: VisitorSketch | undefined
	for (const sketches of found) {
		for (const sketch of sketches.values()) {
			if (union === undefined) union = sketch
			else union.merge(sketch)
		}
	}
	return union ?? tracker.union([])
}
