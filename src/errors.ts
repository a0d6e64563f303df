/**
 * Every failure that tallymark reports: one base class, a stable `code` per kind, and a class of its own only where a caller acts on the difference.
 * ESM and CommonJS copies of the package have different classes, so code that may meet both asks {@link isTallymarkError} instead of `instanceof`.
 */

/** The stable codes. README.md lists each with its cure. */
export type TallymarkErrorCode =
	| 'ERR_TALLYMARK_OPTION'
	| 'ERR_TALLYMARK_KEY'
	| 'ERR_TALLYMARK_ARGUMENT'
	| 'ERR_TALLYMARK_RANGE'
	| 'ERR_TALLYMARK_SKETCH'
	| 'ERR_TALLYMARK_CLOSED'
	| 'ERR_TALLYMARK_MISMATCH'
	| 'ERR_TALLYMARK_STORE_UNAVAILABLE'
	| 'ERR_TALLYMARK_STORE_REFUSED'
	| 'ERR_TALLYMARK_SETUP'
	| 'ERR_TALLYMARK_NOT_EMPTY'
	| 'ERR_TALLYMARK_SNAPSHOT'

const brand: unique symbol = Symbol.for('tallymark.error') as never

/** The base of every error thrown, rejected with, or emitted by tallymark. */
export class TallymarkError extends Error {
	/** Stable across releases; the message is for people and may change. */
	readonly code: TallymarkErrorCode
	/** @internal */
	readonly [brand]: true = true

	constructor(code: TallymarkErrorCode, message: string, options?: { cause?: unknown }) {
		super(message, options)
		this.code = code
		this.name = new.target.name
	}
}

/** The caller passed something that cannot be right: an option, a key, a range, a sketch's bytes. Nothing was changed. */
export class BadInputError extends TallymarkError {}

/** The counter (or store) was closed before the call. */
export class ClosedError extends TallymarkError {
	constructor(what: string) {
		super('ERR_TALLYMARK_CLOSED', `${what} is closed: it takes no more calls`)
	}
}

/** The stored data was written with other settings than this counter's; going on would mix the two. */
export class MismatchError extends TallymarkError {
	constructor(message: string) {
		super('ERR_TALLYMARK_MISMATCH', message)
	}
}

/** The store did not answer, or not in time. Hits already accepted are kept and sent again; a read can be tried again. */
export class StoreUnavailableError extends TallymarkError {
	constructor(message: string, options?: { cause?: unknown }) {
		super('ERR_TALLYMARK_STORE_UNAVAILABLE', message, options)
	}
}

/** The store answered that it will never take this batch (for example: wrong type of data under its key). What was refused is reported, never hidden. */
export class StoreRefusedError extends TallymarkError {
	constructor(message: string, options?: { cause?: unknown }) {
		super('ERR_TALLYMARK_STORE_REFUSED', message, options)
	}
}

/** Whether `value` is an error of tallymark's, whichever copy (ESM or CommonJS) of the package made it. */
export function isTallymarkError(value: unknown): value is TallymarkError {
	return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true
}

/** `value` as a short piece of an error message: quoted and cut when it is a string, with its type. */
export function shown(value: unknown): string {
	if (typeof value === 'string') {
		const cut = value.length > 60 ? `${value.slice(0, 60)}…` : value
		return `${JSON.stringify(cut)} (string)`
	}
	if (value === null) return 'null'
	if (value === undefined) return 'undefined'
	if (typeof value === 'object') return `${Array.isArray(value) ? 'an array' : (value.constructor?.name ?? 'an object')} (object)`
	if (typeof value === 'function') return 'a function (function)'
	return `${String(value)} (${typeof value})`
}

/** The one sentence shape of every bad-input message: "Expected `x` to be ..., got `y` (type)". */
export function expected(code: TallymarkErrorCode, name: string, what: string, value: unknown): BadInputError {
	return new BadInputError(code, `Expected \`${name}\` to be ${what}, got ${shown(value)}`)
}
