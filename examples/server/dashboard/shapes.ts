/** What the dashboard's server tells its page, as JSON. Types only: both sides import them. Times are epoch milliseconds, days are UTC days. */
import type { Estimate, Granularity, Lane } from '../../../src/index.ts'

/** Sent whole at each change: a client that missed some is up to date with the next. */
export interface Summary {
	readonly health: HealthView
	/** undefined while the store cannot be read. */
	readonly numbers?: Numbers | undefined
}

export interface Numbers {
	/** Hits in the 60 seconds before, rounded. */
	readonly perMinute: number
	/** Hits of each of the last 60 minutes, the current one last. */
	readonly minutes: Chart
	/** Hits of each hour, 00:00 first; of today the current hour is the last. */
	readonly todayHours: readonly number[]
	readonly yesterdayHours: readonly number[]
	/** When today began. */
	readonly today: number
	readonly hits: { readonly today: number; readonly yesterday: number; readonly total: number }
	readonly uniques: { readonly today: Estimate; readonly yesterday: Estimate; readonly total: Estimate }
	readonly top: Readonly<Record<TopPeriod, readonly { readonly key: string; readonly hits: number }[]>>
	readonly trending: readonly { readonly key: string; readonly score: number }[]
	readonly lanes: readonly { readonly lane: Lane; readonly today: number; readonly total: number }[]
}

export type TopPeriod = 'hour' | 'day' | 'total'

export interface HealthView {
	readonly status: 'up' | 'degraded' | 'down'
	readonly store: string
	readonly nodes: readonly {
		readonly name: string
		readonly status: 'up' | 'down'
		readonly latencyMs?: number | undefined
		readonly reason?: string | undefined
	}[]
	readonly pendingHits: number
	readonly oldestPendingMs: number
	readonly dropped: number
	readonly rolledBack: number
	readonly lastError?: string | undefined
}

/** Points of equal length, oldest first. */
export interface Chart {
	/** When each point began. */
	readonly starts: readonly number[]
	readonly values: readonly number[]
}

/** One page's own numbers, in the human lane. */
export interface PageView {
	readonly page: string
	readonly perMinute: number
	readonly hits: { readonly today: number; readonly total: number }
	readonly uniques: { readonly today: Estimate; readonly total: Estimate }
	readonly granularity: Granularity
	readonly chart: Chart
	/** Visitors of each point; undefined where there are too many points. */
	readonly visitors?: readonly number[] | undefined
}
