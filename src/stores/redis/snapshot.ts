/**
 * Everything that one partition holds, page by page, without looking through the keys of the server: the sets have names that follow from the settings
 * and the time, the keys are their members, and the visitors lie under the names of the keys.
 */
import { type Bucket, total } from '../../time/granularity.ts'
import type { VisitorTracker } from '../../visitors/tracker.ts'
import { type Lane, lanes, type SessionSettings, type SnapshotRecord } from '../store.ts'
import { command } from './client.ts'
import { existing } from './inventory.ts'
import { ALL, type Keys, memberOf, shapeOf } from './keys.ts'
import { livingBuckets } from './living-buckets.ts'
import { pairs } from './reader.ts'
import { steadyScans } from './steady-scans.ts'
import type { TrendEpochs } from './trend-epoch.ts'
import { type Ask, chunks, visitorForm } from './visitor-form.ts'

/** Members asked for at a time, and given at a time: sets that Redis keeps small come whole, and so may what it had to be asked for anew. */
const PAGE = 500
const LONGEST_PAGE = 1_000
/** Bytes of sketches in a page. */
const SKETCH_BYTES = 2 ** 18

export interface Inside {
	readonly partition: number
	readonly keys: Keys
	readonly settings: SessionSettings
	readonly epochs: TrendEpochs
	readonly ask: Ask
}

/** A key may come twice, with what it had later: whoever takes the pages sets numbers and unites visitors. */
export async function* snapshotOf(partition: Inside, at: number): AsyncGenerator<SnapshotRecord> {
	// It may take hours, in which servers are started anew and partitions move.
	const inside = { ...partition, ask: steadyScans(partition.ask) }
	for (const lane of await lanesOf(inside)) {
		for (const bucket of await bucketsOf(lane, inside)) {
			for await (const entries of hitsOf(lane, bucket, inside)) {
				yield { kind: 'hits', lane, bucket, entries }
				const keys = entries.map(([key]) => key)
				for await (const page of visitorsOf(keys, lane, bucket, inside)) yield { kind: 'visitors', lane, bucket, entries: page }
			}
			yield* allVisitorsOf(lane, bucket, inside)
		}
		for await (const entries of trendOf(lane, at, inside)) yield { kind: 'trend', lane, at, entries }
	}
}

/** Every hit counts in the total: where there is none, a lane has nothing. */
function lanesOf({ partition, keys, ask }: Inside): Promise<Lane[]> {
	return existing(lanes, (lane) => keys.hits(partition, lane, total), ask)
}

/** The buckets that the partition has in a lane, all time the last. */
async function bucketsOf(lane: Lane, { partition, keys, settings, ask }: Inside): Promise<Bucket[]> {
	const living = livingBuckets(settings.clock.now(), settings.retention)
	return [...(await existing(living, (bucket) => keys.hits(partition, lane, bucket), ask)), total]
}

/** Keys and hits of a bucket, in pages. Deleted keys are left out. */
async function* hitsOf(lane: Lane, bucket: Bucket, { partition, keys, ask }: Inside): AsyncGenerator<[key: string, hits: number][]> {
	const hash = shapeOf(bucket) === 'hash'
	for await (const page of pagesOf(keys.hits(partition, lane, bucket), hash ? 'hscan' : 'zscan', ask)) {
		// In a sorted set a key has the negative of its hits, or a mark that it was deleted, which in a hash is no number at all.
		const there = page.filter(([, number]) => (hash ? number > 0 : number <= 0))
		if (there.length > 0) yield there.map(([key, number]) => [key, Math.abs(number)])
	}
}

async function* pagesOf(name: string, scan: 'hscan' | 'zscan', ask: Ask): AsyncGenerator<[key: string, number: number][]> {
	let cursor = '0'
	do {
		const [page] = await ask([command(scan, name, cursor, 'COUNT', PAGE)])
		const [next, members] = page as [string, unknown]
		const keys = pairs(members).filter(([member]) => member.startsWith('='))
		for (const some of chunks(keys, LONGEST_PAGE)) yield some.map(([member, number]) => [member.slice(1), number])
		cursor = String(next)
	} while (cursor !== '0')
}

async function* visitorsOf(
	of: readonly string[],
	lane: Lane,
	bucket: Bucket,
	{ partition, keys, settings: { tracker, uniquesPer }, ask }: Inside,
): AsyncGenerator<[key: string, sketch: Uint8Array][]> {
	if (tracker === undefined || !uniquesPer.includes(bucket.level)) return
	let page: [string, Uint8Array][] = []
	let bytes = 0
	for (const some of chunks(of, sketchesAtOnce(tracker))) {
		const names = new Map(some.map((key) => [keys.visitors(partition, lane, bucket, memberOf(key)), key]))
		const sketches = await visitorForm(tracker).read([...names.keys()], tracker, ask)
		for (const [name, sketch] of sketches) {
			const saved = sketch.save()
			page.push([names.get(name)!, saved])
			bytes += saved.length
			if (bytes < SKETCH_BYTES) continue
			yield page
			page = []
			bytes = 0
		}
	}
	if (page.length > 0) yield page
}

/** What is read at a time must not be many times a page. */
function sketchesAtOnce({ kind }: VisitorTracker): number {
	return kind === 'hyperloglog' ? 100 : 20
}

async function* allVisitorsOf(
	lane: Lane,
	bucket: Bucket,
	{ partition, keys, settings: { tracker, uniquesPer }, ask }: Inside,
): AsyncGenerator<SnapshotRecord> {
	if (tracker === undefined || !uniquesPer.includes(bucket.level)) return
	const sketches = await visitorForm(tracker).read([keys.visitors(partition, lane, bucket, ALL)], tracker, ask)
	for (const sketch of sketches.values()) yield { kind: 'all-visitors', partition, lane, bucket, sketch: sketch.save() }
}

/** The epochs together: a key that is in several comes with the first that has it, with its whole score. */
async function* trendOf(
	lane: Lane,
	at: number,
	{ partition, keys, settings, epochs, ask }: Inside,
): AsyncGenerator<[key: string, score: number][]> {
	const current = epochs.at(settings.clock.now())
	const sets = current.map((epoch) => ({ name: keys.trend(partition, lane, epoch), weight: epochs.fading(epoch, at) }))
	for (const [first, { name }] of sets.entries()) {
		for await (const page of pagesOf(name, 'zscan', ask)) {
			const there = page.filter(([, number]) => number < 0)
			if (there.length === 0) continue
			const members = there.map(([key]) => memberOf(key))
			const found = (await ask(sets.map((set) => command('zmscore', set.name, ...members)))) as unknown[][]
			const entries = there.flatMap(([key], i): [string, number][] => {
				const scores = found.map((column) => Math.max(0, -Number(column[i])))
				if (scores.slice(0, first).some((score) => score > 0)) return []
				const sum = sets.reduce((all, { weight }, epoch) => all + scores[epoch]! * weight, 0)
				return sum > 0 ? [[key, sum]] : []
			})
			if (entries.length > 0) yield entries
		}
	}
}
