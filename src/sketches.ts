/** The sketches on their own: counting, remembering and ranking without a Counter around them. */

export { CounterPool } from './sketches/counter-pool.ts'
export { couponOf, isCoupon, preimagesOf } from './sketches/coupon.ts'
export { relativeStandardError } from './sketches/estimate.ts'
export { HyperLogLog, type RedisImageOptions } from './sketches/hyperloglog.ts'
export { RecencyTable, type RecencyTableOptions } from './sketches/recency-table.ts'
