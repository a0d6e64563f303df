/** Counts distinct visitors with somebody else's filter: any object that can add and tell, such as those of the `bloom-filters` package. */

import { expected } from '../errors.ts'

/** All that is asked of a filter. */
export interface MembershipFilter {
	add(visitor: string): unknown
	/** False must be certain. */
	has(visitor: string): boolean
}

/** What {@link fromFilter} makes of one. */
export interface FilterCounter {
	/** Adds a visitor. True when the filter did not know it, and the count went up. */
	add(visitor: string): boolean
	has(visitor: string): boolean
	/** How many visitors the filter did not know when they were added: short of the truth by its false positives. */
	count(): number
}

/** A counter over `filter`, which should be empty, and must not be added to by others meanwhile. `Bloom` counts better, for it knows how full it is. */
export function fromFilter(filter: MembershipFilter): FilterCounter {
	if (typeof filter?.add !== 'function' || typeof filter.has !== 'function') {
		throw expected('ERR_TALLYMARK_SKETCH', 'filter', 'an object with the methods add and has', filter)
	}
	let count = 0
	return {
		add(visitor) {
			if (filter.has(visitor)) return false
			filter.add(visitor)
			count++
			return true
		},
		has: (visitor) => filter.has(visitor),
		count: () => count,
	}
}
