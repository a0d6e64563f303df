/** Visitors in somebody else's filter: any object with `add` and `has`, such as those of the `bloom-filters` package. */
import { BadInputError, expected } from '../errors.ts'
import { type FilterCounter, fromFilter, type MembershipFilter } from '../sketches/filter-counter.ts'
import { ExactDelta } from './exact.ts'
import type { Estimate, VisitorSketch, VisitorTracker } from './tracker.ts'

export interface PluggedFilterOptions {
	/** Names the filter and its shape; recorded with the data. */
	readonly kind: string
	/** Makes an empty filter. */
	readonly create: () => MembershipFilter
	/** The chance that the filter takes a new visitor for one it has: what `Estimate.error` says. 0 to 0.5. */
	readonly errorRate: number
}

/**
 * Tracks visitors by a filter of the application's choice, one per key and level. Counts the visitors that the filter did not have when they came, so
 * the number falls short by its false positives, at most `errorRate` of it while the filter is not fuller than it was made for.
 * A foreign filter can be asked but neither united nor written down: `uniques` of several keys, or of a range of several buckets, is refused with
 * `ERR_TALLYMARK_ARGUMENT`, and only the memory store takes it.
 */
export function pluggedFilter({ kind, create, errorRate }: PluggedFilterOptions): VisitorTracker {
	if (typeof kind !== 'string' || kind === '') throw expected('ERR_TALLYMARK_OPTION', 'kind', 'a non-empty string', kind)
	if (typeof create !== 'function') throw expected('ERR_TALLYMARK_OPTION', 'create', 'a function that makes a filter', create)
	if (!(errorRate >= 0 && errorRate <= 0.5)) throw expected('ERR_TALLYMARK_OPTION', 'errorRate', 'from 0 to 0.5', errorRate)
	return {
		kind: `filter:${kind}`,
		delta: () => new ExactDelta(),
		sketch: () => new FilterSketch(fromFilter(create()), errorRate),
		load: () => {
			throw new BadInputError('ERR_TALLYMARK_SKETCH', `Expected a filter that can be loaded, got one that is plugged in ('${kind}')`)
		},
		union: (sketches) => {
			if (sketches.length > 1) {
				throw new BadInputError(
					'ERR_TALLYMARK_ARGUMENT',
					`Expected the visitors of one key in one bucket, got ${sketches.length}: a filter that is plugged in ('${kind}') cannot be united`,
				)
			}
			const [only] = sketches
			if (only !== undefined && !(only instanceof FilterSketch)) throw expected('ERR_TALLYMARK_SKETCH', 'sketch', 'of this tracker', only)
			return new FilterView(only?.filter, errorRate)
		},
	}
}

/** What is stored. */
class FilterSketch implements VisitorSketch {
	readonly filter: FilterCounter
	readonly #errorRate: number

	constructor(filter: FilterCounter, errorRate: number) {
		this.filter = filter
		this.#errorRate = errorRate
	}

	apply(delta: ExactDelta): void {
		for (const visitor of delta.visitors) this.filter.add(visitor)
	}

	merge(): void {
		throw new BadInputError('ERR_TALLYMARK_SKETCH', 'Expected a filter that can be united, got one that is plugged in')
	}

	estimate(): Estimate {
		return estimateOf(this.filter.count(), this.#errorRate)
	}

	save(): Uint8Array {
		throw new BadInputError('ERR_TALLYMARK_SKETCH', 'Expected a filter that can be saved, got one that is plugged in')
	}

	release(): void {}
}

/** What a reader gets in place of a copy: the filter as it is, and whom it does not have yet. */
class FilterView implements VisitorSketch {
	readonly #filter: FilterCounter | undefined
	readonly #errorRate: number
	readonly #others = new Set<string>()

	constructor(filter: FilterCounter | undefined, errorRate: number) {
		this.#filter = filter
		this.#errorRate = errorRate
	}

	apply(delta: ExactDelta): void {
		for (const visitor of delta.visitors) this.#others.add(visitor)
	}

	merge(): void {
		throw new BadInputError('ERR_TALLYMARK_SKETCH', 'Expected a filter that can be united, got one that is plugged in')
	}

	estimate(): Estimate {
		// The filter goes on growing: what it has by now is not counted beside it.
		for (const visitor of this.#others) if (this.#filter?.has(visitor)) this.#others.delete(visitor)
		return estimateOf((this.#filter?.count() ?? 0) + this.#others.size, this.#errorRate)
	}

	save(): Uint8Array {
		throw new BadInputError('ERR_TALLYMARK_SKETCH', 'Expected a filter that can be saved, got one that is plugged in')
	}

	release(): void {}
}

function estimateOf(value: number, errorRate: number): Estimate {
	return value <= 1 ? { value, exact: true, error: 0 } : { value, exact: false, error: errorRate }
}
