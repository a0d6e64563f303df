/** Reads what the dashboard shows. */
import { type Counter, type Granularity, isTallymarkError, type Lane, lanes, type SeriesPoint, startOf } from '../../../src/index.ts'
import type { Chart, HealthView, Numbers, PageView, Summary } from './shapes.ts'

const listed = 10
/** Each point of them is a sketch of up to 12 KB. */
const mostVisitorPoints = 400

/** Never rejects for a store that is away: then there is its health, and no numbers. */
export async function summaryOf(counter: Counter): Promise<Summary> {
	const [health, numbers] = await Promise.all([healthOf(counter), numbersOf(counter).catch(withoutStore)])
	return { health, numbers }
}

function withoutStore(error: unknown): undefined {
	if (!isTallymarkError(error) || error.code !== 'ERR_TALLYMARK_STORE_UNAVAILABLE') throw error
}

async function numbersOf(counter: Counter): Promise<Numbers> {
	const { all } = counter
	// One reading has both days, so that they cannot disagree about when midnight was.
	const [hours, minutes, perMinute, total] = await Promise.all([
		all.series({ granularity: 'hour', last: 48 }),
		all.series({ granularity: 'minute', last: 60 }),
		all.rate(),
		all.count(),
	])
	const today = startOf('day', hours.at(-1)!.start.getTime())
	const yesterday = startOf('day', today - 1)
	const [hitsToday, uniquesToday, uniquesYesterday, uniquesTotal, hour, day, ever, trending, perLane] = await Promise.all([
		// The whole day, as the lanes and the top pages have it: hits may be dated later than now.
		all.count({ from: today }),
		all.uniques({ from: today }),
		all.uniques({ from: yesterday, to: today }),
		all.uniques(),
		counter.top({ limit: listed, period: 'hour' }),
		counter.top({ limit: listed, period: 'day' }),
		counter.top({ limit: listed }),
		counter.trending({ limit: listed }),
		Promise.all(lanes.map((lane) => laneOf(counter, lane))),
	])
	const between = (from: number, to: number) =>
		hours.filter(({ start }) => start.getTime() >= from && start.getTime() < to).map(({ value }) => value)
	const todayHours = between(today, Number.POSITIVE_INFINITY)
	const yesterdayHours = between(yesterday, today)
	return {
		perMinute: Math.round(perMinute),
		minutes: chartOf(minutes),
		todayHours,
		yesterdayHours,
		today,
		hits: { today: hitsToday, yesterday: sum(yesterdayHours), total },
		uniques: { today: uniquesToday, yesterday: uniquesYesterday, total: uniquesTotal },
		top: { hour, day, total: ever },
		trending,
		lanes: perLane,
	}
}

async function laneOf(counter: Counter, lane: Lane): Promise<Numbers['lanes'][number]> {
	const { all } = counter.lane(lane)
	const [today, total] = await Promise.all([all.count({ period: 'day' }), all.count()])
	return { lane, today, total }
}

async function healthOf(counter: Counter): Promise<HealthView> {
	const { status, store, nodes, pendingHits, oldestPendingMs, dropped, rolledBack, lastError } = await counter.health()
	return {
		status,
		store,
		nodes: nodes.map(({ name, status, latencyMs, reason }) => ({ name, status, latencyMs, reason })),
		pendingHits,
		oldestPendingMs,
		dropped,
		rolledBack,
		lastError: lastError && `${lastError.code}: ${lastError.message}`,
	}
}

/** Rejects with `ERR_TALLYMARK_KEY` or `ERR_TALLYMARK_RANGE` for what cannot be shown. `last`: how many points. */
export async function pageViewOf(counter: Counter, page: string, granularity: Granularity, last: number): Promise<PageView> {
	const [points, visitors, perMinute, today, total, uniquesToday, uniquesTotal] = await Promise.all([
		counter.series(page, { granularity, last }),
		last <= mostVisitorPoints ? counter.series(page, { granularity, last, metric: 'uniques' }) : undefined,
		counter.rate(page),
		counter.count(page, { period: 'day' }),
		counter.count(page),
		counter.uniques(page, { period: 'day' }),
		counter.uniques(page),
	])
	return {
		page,
		perMinute: Math.round(perMinute),
		hits: { today, total },
		uniques: { today: uniquesToday, total: uniquesTotal },
		granularity,
		chart: chartOf(points),
		visitors: visitors?.map(({ value }) => value),
	}
}

function chartOf(points: readonly SeriesPoint[]): Chart {
	return { starts: points.map(({ start }) => start.getTime()), values: points.map(({ value }) => value) }
}

function sum(values: readonly number[]): number {
	return values.reduce((before, value) => before + value, 0)
}
