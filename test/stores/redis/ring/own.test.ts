import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatOwn, nextEpoch, type Own, parseOwn } from '../../../../src/stores/redis/ring/own.ts'

const epoch = fc.integer({ min: 1, max: 2 ** 48 })
const own: fc.Arbitrary<Own> = fc.oneof(
	fc.record({ state: fc.constant('active' as const), epoch, ring: fc.string({ unit: 'binary' }) }),
	fc.record({ state: fc.constant('importing' as const), epoch }),
	fc.record({ state: fc.constantFrom('sealed' as const, 'gone' as const), epoch, target: fc.string({ unit: 'binary' }) }),
)

it('a record is read as it was written, whatever the node is called', () => {
	fc.assert(fc.property(own, (each) => void expect(parseOwn(formatOwn(each))).toEqual(each)))
	for (const target of ['', ':', 'A:1', 'a\nb', 'S:2:c', '{x}'])
		expect(parseOwn(formatOwn({ state: 'sealed', epoch: 2, target }))).toEqual({ state: 'sealed', epoch: 2, target })
})

it('what is no record is none', () => {
	for (const text of [null, undefined, '', 'A', 'A:', 'A:x', 'A:1', 'I:2:', 'S:2', 'X:1', 'a:1:r', 'A:-1:r', ' A:1:r', 'A:1\n:r'])
		expect(parseOwn(text), JSON.stringify(text)).toBe(undefined)
})

it('a move has an even epoch above that of the owner, and leaves the odd one after it to whoever gives it up', () => {
	expect([1, 2, 3, 4, 5].map(nextEpoch)).toEqual([2, 4, 4, 6, 6])
})
