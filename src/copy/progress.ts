/** How far a copy has come. */
import type { SnapshotRecord } from '../stores/store.ts'

export interface CopyProgress {
	/** Of the source. */
	readonly partitions: number
	/** Partitions that are through, those of an earlier run included. */
	readonly partitionsDone: number
	/** Keys of a lane, of this run. */
	readonly keys: number
	/** Hits of a key in a bucket, and scores. */
	readonly numbers: number
	readonly sketches: number
	/** Of keys, numbers and sketches, as they are in memory. */
	readonly bytes: number
}

const NUMBER_BYTES = 8

export class Tally {
	readonly #partitions: number
	readonly #tell: ((progress: CopyProgress) => void) | undefined
	#partitionsDone = 0
	#keys = 0
	#numbers = 0
	#sketches = 0
	#bytes = 0

	constructor(partitions: number, tell: ((progress: CopyProgress) => void) | undefined) {
		this.#partitions = partitions
		this.#tell = tell
	}

	add(record: SnapshotRecord): void {
		if (record.kind === 'all-visitors') {
			this.#sketches++
			this.#bytes += record.sketch.length
		} else if (record.kind === 'visitors') {
			this.#sketches += record.entries.length
			for (const [key, sketch] of record.entries) this.#bytes += key.length + sketch.length
		} else {
			this.#numbers += record.entries.length
			if (record.kind === 'hits' && record.bucket.level === 'total') this.#keys += record.entries.length
			for (const [key] of record.entries) this.#bytes += key.length + NUMBER_BYTES
		}
		this.#tell?.(this.progress)
	}

	/** `done` partitions are through. */
	reach(done: number): void {
		this.#partitionsDone = done
		this.#tell?.(this.progress)
	}

	get progress(): CopyProgress {
		return {
			partitions: this.#partitions,
			partitionsDone: this.#partitionsDone,
			keys: this.#keys,
			numbers: this.#numbers,
			sketches: this.#sketches,
			bytes: this.#bytes,
		}
	}
}
