/** What became of a hit. */

/** Why a hit was not counted. */
export type Reason = 'cooldown' | 'duplicate' | 'overflow'

/**
 * The answer to a hit: it is counted, under `key`; or it is not, and why. `cooldown`: this visitor hit this key a moment ago; `duplicate`: this id was
 * counted already; `overflow`: the store cannot be reached and what waits for it has reached its bound.
 */
export type HitReceipt =
	| { readonly counted: true; readonly key: string }
	| { readonly counted: false; readonly key: string; readonly reason: Reason }
