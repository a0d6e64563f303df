/** What comes from outside, checked: keys, amounts, moments, lanes. Keys are hostile until proved otherwise. */
import type { Time } from './clock.ts'
import { BadInputError, expected } from './errors.ts'
import { type Lane, lanes, type Shared } from './stores/store.ts'
import { lengthMs } from './time/granularity.ts'

/** Bytes of `text` in UTF-8; `text` is well formed. */
export function utf8Length(text: string): number {
	let bytes = text.length
	for (let at = 0; at < text.length; at++) {
		const unit = text.charCodeAt(at)
		// A pair of surrogates is 4 bytes: 2 units and 2 more.
		if (unit >= 0x800) bytes += unit >= 0xd800 && unit <= 0xdfff ? 1 : 2
		else if (unit >= 0x80) bytes += 1
	}
	return bytes
}

/** Throws `ERR_TALLYMARK_KEY` unless `key` is a well-formed string of 1 to `maxBytes` bytes. */
export function checkKey(key: unknown, maxBytes: number): asserts key is string {
	if (typeof key !== 'string' || key === '') throw expected('ERR_TALLYMARK_KEY', 'key', 'a non-empty string', key)
	if (key.length > maxBytes || (key.length * 3 > maxBytes && utf8Length(key) > maxBytes)) {
		throw expected('ERR_TALLYMARK_KEY', 'key', `at most ${maxBytes} bytes of UTF-8`, key)
	}
	if (!key.isWellFormed()) throw expected('ERR_TALLYMARK_KEY', 'key', 'well-formed Unicode (without lone surrogates)', key)
}

/** Throws `ERR_TALLYMARK_ARGUMENT` unless `lane` is one of the lanes. */
export function checkLane(lane: unknown): asserts lane is Lane {
	if (!lanes.includes(lane as Lane))
		throw expected('ERR_TALLYMARK_ARGUMENT', 'lane', `one of ${lanes.map((each) => `'${each}'`).join(', ')}`, lane)
}

/** Epoch milliseconds of a hit; throws `ERR_TALLYMARK_ARGUMENT` for what is no moment, lies before 1970 or more than a day ahead. */
export function checkAt(at: Time, now: number): number {
	const value = at instanceof Date ? at.getTime() : at
	if (typeof value !== 'number' || !Number.isFinite(value)) {
		throw expected('ERR_TALLYMARK_ARGUMENT', 'at', 'a valid Date or epoch milliseconds', at instanceof Date ? 'Invalid Date' : at)
	}
	if (value < 0 || value > now + lengthMs.day) {
		throw expected(
			'ERR_TALLYMARK_ARGUMENT',
			'at',
			`from 1970 to a day ahead of now (${new Date(now).toISOString()})`,
			at instanceof Date ? at.toISOString() : at,
		)
	}
	return value
}

/** Throws `ERR_TALLYMARK_ARGUMENT` unless `value` is a whole number in the bounds. */
export function checkWhole(name: string, value: unknown, least: number, most: number = Number.MAX_SAFE_INTEGER): asserts value is number {
	if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
		throw expected(
			'ERR_TALLYMARK_ARGUMENT',
			name,
			most === Number.MAX_SAFE_INTEGER ? `a safe integer of at least ${least}` : `a whole number from ${least} to ${most}`,
			value,
		)
	}
}

/** Characters of a visitor or an id. */
export const longestText = 4_096

/** Throws `ERR_TALLYMARK_ARGUMENT` unless `value` is a string of 1 to 4,096 characters. */
export function checkText(name: string, value: unknown): asserts value is string {
	if (typeof value !== 'string' || value === '' || value.length > 4_096)
		throw expected('ERR_TALLYMARK_ARGUMENT', name, `a string of 1 to ${longestText} characters`, value)
}

/** Throws `ERR_TALLYMARK_ARGUMENT` unless it is a name, a text and a time that a store can keep. */
export function checkShared({ name, value, ttlMs }: Shared): void {
	if (typeof name !== 'string' || !/^[\w.:-]{1,128}$/.test(name))
		throw expected('ERR_TALLYMARK_ARGUMENT', 'name', '1 to 128 letters, digits, `.`, `_`, `:` or `-`', name)
	checkText('value', value)
	checkWhole('ttlMs', ttlMs, 1, 366 * lengthMs.day)
}

/** Refuses names that nobody knows in the options of a call. */
export function checkNames(call: string, options: object, names: readonly string[]): void {
	if (typeof options !== 'object' || options === null || Array.isArray(options))
		throw expected('ERR_TALLYMARK_ARGUMENT', 'options', `an object for ${call}`, options)
	for (const name in options) {
		if (!names.includes(name))
			throw new BadInputError('ERR_TALLYMARK_ARGUMENT', `Expected the options of ${call} to be among ${names.join(', ')}, got \`${name}\``)
	}
}
