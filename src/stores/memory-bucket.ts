/** What was counted in one bucket (or in all time) of one lane. Expiry drops the whole of it. */
import type { VisitorDelta, VisitorSketch, VisitorTracker } from '../visitors/tracker.ts'

export class MemoryBucket {
	/** By key. In maps, never in objects: `__proto__` is a key like any other. */
	readonly hits = new Map<string, number>()
	readonly visitors = new Map<string, VisitorSketch>()
	/** All keys together, by partition. */
	readonly allHits: Float64Array
	readonly allVisitors: (VisitorSketch | undefined)[] = []
	readonly #tracker: VisitorTracker | undefined

	/** Without a tracker no visitors are kept. */
	constructor(partitions: number, tracker: VisitorTracker | undefined) {
		this.allHits = new Float64Array(partitions)
		this.#tracker = tracker
	}

	/** Counts hits, and who made them; answers whether the key is new here. */
	add(partition: number, key: string, hits: number, visitors: VisitorDelta | undefined): boolean {
		const before = this.hits.get(key)
		this.hits.set(key, (before ?? 0) + hits)
		this.allHits[partition]! += hits
		if (visitors !== undefined && this.#tracker !== undefined) {
			let sketch = this.visitors.get(key)
			if (sketch === undefined) {
				sketch = this.#tracker.sketch()
				this.visitors.set(key, sketch)
			}
			sketch.apply(visitors)
			this.allVisitors[partition] ??= this.#tracker.sketch()
			this.allVisitors[partition].apply(visitors)
		}
		return before === undefined
	}

	/** Sets the hits of a key, all keys together moving by the difference; answers whether the key is new here. */
	set(partition: number, key: string, hits: number): boolean {
		const before = this.hits.get(key)
		this.hits.set(key, hits)
		this.allHits[partition]! += hits - (before ?? 0)
		return before === undefined
	}

	/** Adds the visitors that a sketch was saved with: to those of a key, or (a number) to those of all keys of a partition. */
	unite(whose: string | number, saved: Uint8Array): void {
		if (this.#tracker === undefined) return
		const theirs = this.#tracker.load(saved)
		const known = typeof whose === 'string' ? this.visitors.get(whose) : this.allVisitors[whose]
		const sketch = known ?? this.#tracker.sketch()
		if (typeof whose === 'string') this.visitors.set(whose, sketch)
		else this.allVisitors[whose] = sketch
		sketch.merge(theirs)
		theirs.release()
	}

	/** Forgets a key; answers whether it was here. The visitors of all keys together are a union and stay. */
	delete(partition: number, key: string): boolean {
		const before = this.hits.get(key)
		if (before === undefined) return false
		this.hits.delete(key)
		this.allHits[partition]! -= before
		this.visitors.get(key)?.release()
		this.visitors.delete(key)
		return true
	}

	/** Gives back what the sketches hold. The bucket is not used afterwards. */
	release(): void {
		for (const sketch of this.visitors.values()) sketch.release()
		for (const sketch of this.allVisitors) sketch?.release()
	}
}
