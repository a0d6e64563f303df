/** The core: what most applications import. */
export { type Clock, systemClock, type Time, type Timer } from './clock.ts'
export { type CloseReport, Counter, type CounterEvents, type Health, type HitOptions } from './counter.ts'
export type { AllView, CounterView, ListOptions, ListPage, Stats, TopEntry, TopOptions, TrendingEntry } from './counter-view.ts'
export {
	BadInputError,
	ClosedError,
	isTallymarkError,
	MismatchError,
	StoreRefusedError,
	StoreUnavailableError,
	TallymarkError,
	type TallymarkErrorCode,
} from './errors.ts'
export type { DropEvent, FlushEvent, RetryEvent } from './flow/batch-events.ts'
export type { HitReceipt, Reason } from './flow/receipt.ts'
export { otherKey } from './key-budget.ts'
export type { BatchOptions, CacheOptions, CounterOptions } from './options.ts'
export type { MembershipFilter } from './sketches/filter-counter.ts'
export { MemoryStore } from './stores/memory.ts'
// The port, for stores of other people.
export type * from './stores/store.ts'
// For readings of each: `lanes.map((name) => counter.lane(name))`.
export { lanes } from './stores/store.ts'
// For ranges: `{ from: startOf('hour', time) }`.
export { type Granularity, type Level, startOf } from './time/granularity.ts'
export type { Range } from './time/range.ts'
export type { SeriesOptions, SeriesPoint } from './time/series.ts'
// With other measures than the names of `uniques` stand for.
export { BloomTracker } from './visitors/bloom.ts'
export { ExactTracker } from './visitors/exact.ts'
export { HyperLogLogTracker } from './visitors/hyperloglog.ts'
export { type PluggedFilterOptions, pluggedFilter } from './visitors/plugged-filter.ts'
// The port, for other ways to tell visitors apart.
export type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from './visitors/tracker.ts'
