/** The order of keys: by code point, which is the order of their UTF-8 bytes and so that of Redis and SQLite. */

/** For `sort`: negative when `a` comes first. Differs from `<` where U+E000..U+FFFF meets a surrogate pair, whose units are the smaller numbers. */
export function compareCodePoints(a: string, b: string): number {
	const length = Math.min(a.length, b.length)
	for (let i = 0; i < length; i++) {
		const x = a.charCodeAt(i)
		const y = b.charCodeAt(i)
		if (x !== y) return place(x) - place(y)
	}
	return a.length - b.length
}

/** UTF-16 units in the order of the code points that begin with them: surrogates go above everything else. */
function place(unit: number): number {
	if (unit < 0xd800) return unit
	return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

/** Where in `keys` (in code point order) the first one is that does not come before `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
	let low = 0
	let high = keys.length
	while (low < high) {
		const middle = (low + high) >>> 1
		if (compareCodePoints(keys[middle]!, key) < 0) low = middle + 1
		else high = middle
	}
	return low
}
