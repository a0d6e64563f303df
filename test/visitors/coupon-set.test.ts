import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HyperLogLog } from '../../src/sketches/hyperloglog.ts'
import { CouponSet } from '../../src/visitors/coupon-set.ts'

const coupon = fc.tuple(fc.integer({ min: 0, max: 16_383 }), fc.integer({ min: 1, max: 51 })).map(([index, rank]) => (index << 6) | rank)
const few = fc.array(coupon, { maxLength: 60 })
const many = fc.array(coupon, { minLength: 700, maxLength: 1_200 })

it('has what would change nothing, at every size: as the dense sketch does', () => {
	fc.assert(
		fc.property(fc.oneof(few, many), fc.array(coupon, { maxLength: 50 }), (added, asked) => {
			const set = new CouponSet()
			const dense = new HyperLogLog()
			for (const each of added) {
				set.add(each)
				dense.addCoupon(each)
			}
			// Of the same registers too, a rank below and above.
			for (const each of [...asked, ...added.slice(0, 20).flatMap((each) => [each - 1, each, each + 1])]) {
				expect(set.has(each)).toBe(dense.rank(each >>> 6) >= (each & 63))
			}
		}),
	)
})
