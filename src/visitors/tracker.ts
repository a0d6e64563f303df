/**
 * The port behind `uniques`: how the distinct visitors of a key are gathered, stored and estimated.
 *
 * Visitors take two forms. While hits wait to be stored, each key has a {@link VisitorDelta}: who came since the last cut, small and mergeable.
 * What is stored, for all time or for one bucket, is a {@link VisitorSketch}. Applying a delta twice changes nothing, so visitors need no sequence.
 */

/** How many distinct visitors there are, and how far to trust the number. */
export interface Estimate {
	/** Distinct visitors, a whole number. */
	readonly value: number
	/** Whether `value` is the true number (see each tracker for what it takes as true). */
	readonly exact: boolean
	/** Relative standard error of `value`; 0 when exact. */
	readonly error: number
}

/** The visitors of one key between two cuts. */
export interface VisitorDelta {
	/** Adds a visitor; answers whether the delta grew by it. */
	add(visitor: string): boolean
}

/** The stored visitors of one key, for all time or for one bucket; or of all keys together. */
export interface VisitorSketch {
	/** Adds everyone in `delta`, which must come from the same tracker. */
	apply(delta: VisitorDelta): void
	/** Adds everyone in `other`, which must come from the same tracker: afterwards this is the union of both. */
	merge(other: VisitorSketch): void
	estimate(): Estimate
	/** How much memory it takes, about, where that is cheap to say: so much of what was read is kept. */
	readonly bytes?: number
	/** The sketch as bytes that {@link VisitorTracker.load} reads. */
	save(): Uint8Array
	/** Gives pooled memory back. The sketch is not used afterwards. */
	release(): void
}

/** A way to track visitors. `kind` is recorded with the data: two counters of one namespace must use the same. */
export interface VisitorTracker {
	readonly kind: string
	/** A new, empty delta. */
	delta(): VisitorDelta
	/** A new, empty sketch. */
	sketch(): VisitorSketch
	/** The sketch that {@link VisitorSketch.save} gave as bytes; throws `ERR_TALLYMARK_SKETCH` for anything else. */
	load(bytes: Uint8Array): VisitorSketch
	/** A sketch of its own with everyone in `sketches`, which stay as they are. It may be dropped without a release. */
	union(sketches: readonly VisitorSketch[]): VisitorSketch
}
