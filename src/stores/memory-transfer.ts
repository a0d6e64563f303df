/** What a namespace in memory holds, page by page, and how it is put back. */
import { partitionOf } from '../hash/partition.ts'
import type { MemoryBucket } from './memory-bucket.ts'
import type { MemoryLane } from './memory-lane.ts'
import type { Lane, SnapshotRecord, StoreTransfer } from './store.ts'

/** Of a page. */
const NUMBERS = 500
const SKETCH_BYTES = 2 ** 18

/** The part of a namespace that is needed here. */
export interface Transferred {
	readonly partitions: number
	readonly lanes: ReadonlyMap<Lane, MemoryLane>
	lane(name: Lane): MemoryLane
	clear(): void
	written: boolean
	note: string | undefined
}

export class MemoryTransfer implements StoreTransfer {
	readonly #namespace: Transferred
	readonly #now: () => number

	/** `now`: the time, after everything past its deadline was dropped. */
	constructor(namespace: Transferred, now: () => number) {
		this.#namespace = namespace
		this.#now = now
	}

	*snapshot(partition: number, at: number): Generator<SnapshotRecord> {
		const { partitions, lanes } = this.#namespace
		const isHere = (key: string) => partitionOf(key, partitions) === partition
		for (const [lane, numbers] of lanes) {
			for (const [bucket, kept] of numbers.everyBucket(this.#now())) {
				for (const entries of pages(kept.hits, isHere, () => 0)) yield { kind: 'hits', lane, bucket, entries }
				// Whoever takes the pages may take his time: the sketches of a bucket that was dropped by then can no longer be asked.
				const lives = () => numbers.bucket(bucket, this.#now()) === kept
				for (const entries of pages(savedOf(kept, isHere, lives), isHere, ([, sketch]) => sketch.length)) {
					yield { kind: 'visitors', lane, bucket, entries }
				}
				const everyone = lives() ? kept.allVisitors[partition] : undefined
				if (everyone !== undefined) yield { kind: 'all-visitors', partition, lane, bucket, sketch: everyone.save() }
			}
			for (const entries of pages(numbers.trend.decayedTo(at), isHere, () => 0)) yield { kind: 'trend', lane, at, entries }
		}
	}

	restore(records: readonly SnapshotRecord[]): void {
		const now = this.#now()
		this.#namespace.written = true
		for (const record of records) this.#restore(record, now)
	}

	clear(): void {
		this.#namespace.clear()
	}

	note(text?: string): string | undefined {
		if (text !== undefined) this.#namespace.note = text === '' ? undefined : text
		return this.#namespace.note
	}

	#restore(record: SnapshotRecord, now: number): void {
		const { partitions } = this.#namespace
		const lane = this.#namespace.lane(record.lane)
		if (record.kind === 'trend') {
			for (const [key, score] of record.entries) lane.trend.set(key, score, record.at, now)
			return
		}
		if (record.kind === 'hits' && record.bucket.level === 'total') {
			for (const [key, hits] of record.entries) lane.set(partitionOf(key, partitions), key, hits)
			return
		}
		const bucket = lane.bucketToRestore(record.bucket, now)
		if (bucket === undefined) return
		if (record.kind === 'hits') for (const [key, hits] of record.entries) bucket.set(partitionOf(key, partitions), key, hits)
		else if (record.kind === 'visitors') for (const [key, sketch] of record.entries) bucket.unite(key, sketch)
		else bucket.unite(record.partition % partitions, record.sketch)
	}
}

/** The sketches of a bucket that are asked for, saved one by one while the bucket lives. */
function* savedOf({ visitors }: MemoryBucket, isHere: (key: string) => boolean, lives: () => boolean): Generator<[string, Uint8Array]> {
	for (const [key, sketch] of visitors) {
		if (!isHere(key)) continue
		if (!lives()) return
		yield [key, sketch.save()]
	}
}

/** The entries that are wanted, in pages that end when they are long enough. */
function* pages<Value>(
	entries: Iterable<[string, Value]>,
	isHere: (key: string) => boolean,
	bytesOf: (entry: [string, Value]) => number,
): Generator<[string, Value][]> {
	let page: [string, Value][] = []
	let bytes = 0
	for (const entry of entries) {
		if (!isHere(entry[0])) continue
		page.push(entry)
		bytes += bytesOf(entry)
		if (page.length < NUMBERS && bytes < SKETCH_BYTES) continue
		yield page
		page = []
		bytes = 0
	}
	if (page.length > 0) yield page
}
