/**
 * One key for one page, however its address is written: the request target without query and fragment, each slash once, no slash at the end, dot
 * segments resolved, percent-encoding in one form, letters in Unicode's composed form (NFC), and no longer than a counter takes.
 *
 * What stays encoded (`%XX`, upper case): `/ ? # %`, whose decoding would make another address of it; control characters, line and direction
 * separators, which would disturb a terminal or a page that shows the key; bytes that are no UTF-8. A `%` that starts no escape stays as it is, unless
 * the decoded characters behind it would make it one: then it is `%25`. So a key is a fixed point: `keyOfPath(keyOfPath(x)) === keyOfPath(x)`.
 */
import { hashed, hashText } from '../hash/murmur64.ts'

/** What nearly every path looks like and what is a key already. No `.` starts a segment, so that dot segments never match. */
const plain = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+$/
const schemeAndHost = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i
const escapes = /(?:%[\da-f]{2})+/gi
const loneSurrogates = /\p{Cs}/gu
/** Stands for a `%` that starts no escape; cannot occur otherwise, for lone surrogates are replaced first. */
const percent = '\ud800'
const staysEncoded = /[/?#%\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
const staysEncodedInPath = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
const utf8 = new TextEncoder()
/** `~` and 16 hex digits. */
const suffixBytes = 17

/**
 * The key under which a request for `target` (a path, or the whole request target) is counted. Never throws, takes time linear in the length.
 * A key of more than `maxBytes` bytes (512 by default, as the counter's `maxKeyBytes`) is cut and told apart from others by the hash of the whole.
 */
export function keyOfPath(target: string, { maxBytes = 512 }: { readonly maxBytes?: number } = {}): string {
	const query = target.indexOf('?')
	if (query === -1) {
		if (target.length <= maxBytes && plain.test(target)) return target
	} else if (query <= maxBytes) {
		const plainPath = target.slice(0, query)
		if (plain.test(plainPath)) return copied(plainPath)
	}
	const path = target.replace(schemeAndHost, '').replace(/[?#].*$/s, '')
	const decoded = path
		.replace(loneSurrogates, '\ufffd')
		.replace(/%(?![\da-f]{2})/gi, percent)
		.replace(escapes, decodeRun)
		.replace(staysEncodedInPath, encoded)
		.normalize('NFC')
		.replace(/\ud800(?=[\da-f]{2})/giu, '%25')
		.replace(/\ud800/gu, '%') // with `u` the half of a pair is no match
	return cutKey(withoutDotSegments(decoded), maxBytes)
}

/** The same text: a piece of a longer one keeps all of it in memory for as long as it lives itself, which for a key is long. */
function copied(text: string): string {
	return Buffer.from(text, 'latin1').toString('latin1')
}

/** `key` itself, or, when it has more than `maxBytes` (at least 18) bytes of UTF-8, its first ones, `~` and the hash of the whole. */
export function cutKey(key: string, maxBytes: number): string {
	if (key.length * 3 <= maxBytes) return key
	const bytes = utf8.encode(key)
	if (bytes.length <= maxBytes) return key
	let end = Math.max(maxBytes - suffixBytes, 1)
	while ((bytes[end]! & 0xc0) === 0x80) end-- // within a character: back to its first byte
	hashText(key)
	return `${new TextDecoder().decode(bytes.subarray(0, end))}~${hex(hashed[1]!)}${hex(hashed[0]!)}`
}

/** A run of escapes such as `%C3%A9%2F`: decoded where it is UTF-8 and safe. */
function decodeRun(run: string): string {
	let text = ''
	for (let at = 0; at < run.length; ) {
		const length = sequenceLength(Number.parseInt(run.slice(at + 1, at + 3), 16)) * 3
		const sequence = run.slice(at, at + length)
		try {
			text += decodeURIComponent(sequence).replace(staysEncoded, encoded)
			at += length
		} catch {
			// No UTF-8 starts here: this byte stays an escape, the next may start a character.
			text += sequence.slice(0, 3).toUpperCase()
			at += 3
		}
	}
	return text
}

/** How many bytes a character has whose first byte is `lead`; decoding says whether they are right. */
function sequenceLength(lead: number): number {
	if (lead < 0xc0) return 1
	if (lead < 0xe0) return 2
	return lead < 0xf0 ? 3 : 4
}

/** The character as escapes, upper case. */
function encoded(character: string): string {
	return encodeURIComponent(character)
}

/** RFC 3986, 5.2.4, after empty segments are dropped. The answer starts with a slash and ends with one only as the root. */
function withoutDotSegments(path: string): string {
	const kept: string[] = []
	for (const segment of path.split('/')) {
		if (segment === '..') kept.pop()
		else if (segment !== '' && segment !== '.') kept.push(segment)
	}
	return `/${kept.join('/')}`
}

function hex(half: number): string {
	return (half >>> 0).toString(16).padStart(8, '0')
}
