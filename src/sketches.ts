/** The sketches on their own: counting, remembering and ranking without a Counter around them. */

export { Bloom, type BloomOptions, type BloomShape } from './sketches/bloom.ts'
export { CounterPool } from './sketches/counter-pool.ts'
// Coupons are how a HyperLogLog and a CounterPool exchange what they know, preimages how they tell it to Redis.
export { couponOf, isCoupon, preimagesOf } from './sketches/coupon.ts'
export { relativeStandardError } from './sketches/estimate.ts'
export { type FilterCounter, fromFilter, type MembershipFilter } from './sketches/filter-counter.ts'
export { HyperLogLog, type RedisImageOptions } from './sketches/hyperloglog.ts'
export { RateRing, type RateRingOptions } from './sketches/rate-ring.ts'
export { RecencyTable, type RecencyTableOptions } from './sketches/recency-table.ts'
export { FilteredSpaceSaving, type FrequentKey, type SpaceSavingJson, type SpaceSavingOptions } from './sketches/space-saving.ts'
