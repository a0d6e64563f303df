/** Who counts a response: a counter whose middleware is mounted twice counts it once. Shared by every copy (ESM, CommonJS) of this module. */

/** Whether this exchange is still to be counted for this counter: true for the first middleware of a counter, false for any further one. */
export type Claim = (exchange: object, counter: object) => boolean

interface Last {
	exchange: object | undefined
	by: object | undefined
	/** Further counters; undefined where there is one, as nearly always. */
	others: Set<object> | undefined
}

const lastOf = Symbol.for('tallymark.lastCounted')
const shared = globalThis as { [lastOf]?: Last }
shared[lastOf] ??= { exchange: undefined, by: undefined, others: undefined }
const last = shared[lastOf]

/**
 * Where all middlewares are told of the end of an exchange in a row, as listeners of one event are: the last one is kept in mind. (A mark on the response
 * costs two microseconds in Express, see `look`.)
 */
export const claimInTurn: Claim = (exchange, counter) => {
	if (last.exchange !== exchange) {
		last.exchange = exchange
		last.by = counter
		last.others = undefined
		return true
	}
	if (last.by === counter || last.others?.has(counter) === true) return false
	last.others ??= new Set()
	last.others.add(counter)
	return true
}

const claimedBy = Symbol.for('tallymark.claimedBy')

/** Where each middleware is told in its own time: on the exchange itself. */
export const claimByMark: Claim = (exchange, counter) => {
	const marked = exchange as { [claimedBy]?: Set<object> }
	marked[claimedBy] ??= new Set()
	const by = marked[claimedBy]
	if (by.has(counter)) return false
	by.add(counter)
	return true
}
