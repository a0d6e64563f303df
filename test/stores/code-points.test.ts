import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareCodePoints, lowerBound } from '../../src/stores/code-points.ts'

const bytewise = (a: string, b: string) => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)))
/** Mostly from around the bounds, where UTF-16 units and code points disagree. */
const text = fc.string({ unit: fc.constantFrom('', 'a', 'b', '\0', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}', '\u{10000}') })

test('texts are in the order of their UTF-8 bytes', () => {
	const anyText = fc.oneof(text, fc.string({ unit: 'binary' }))
	fc.assert(
		fc.property(anyText, anyText, (a, b) => {
			expect(Math.sign(compareCodePoints(a, b))).toBe(bytewise(a, b))
		}),
	)
})

test('a surrogate pair comes after U+FFFF, unlike its units', () => {
	expect('😀' < '\uffff').toBe(true)
	expect(compareCodePoints('😀', '\uffff')).toBeGreaterThan(0)
})

test('the lower bound is the number of keys before the key', () => {
	fc.assert(
		fc.property(fc.array(text), text, (keys, key) => {
			const sorted = keys.sort(compareCodePoints)
			expect(lowerBound(sorted, key)).toBe(sorted.filter((other) => bytewise(other, key) < 0).length)
		}),
	)
})
