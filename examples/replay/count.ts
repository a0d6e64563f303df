/** Counts a log straight into a counter, each line at its own time. */
import { systemClock } from '../../src/clock.ts'
import { cutKey } from '../../src/http/key-of-path.ts'
import { Counter } from '../../src/index.ts'
import { parseLine } from './parse.ts'
import type { Progress } from './progress.ts'
import type { LogSource } from './source.ts'

export interface CountOptions {
	/** Who came: everyone remembered ('set', exact) or in a sketch of 12 kB a page ('hyperloglog', 0.8 % standard error). */
	readonly uniques: 'set' | 'hyperloglog'
	readonly top: number
	readonly progress: Progress
}

export interface CountReport {
	readonly log: string
	readonly lines: number
	readonly hits: number
	/** Lines in which address, time or request is not all there. */
	readonly unreadable: readonly UnreadableLine[]
	/** Distinct request targets. */
	readonly targets: number
	readonly top: readonly { readonly target: string; readonly hits: number }[]
	/** Distinct addresses: of all requests, and of those for `/`. */
	readonly uniques: { readonly all: number; readonly home: number; readonly exact: boolean }
	readonly busiestMinute: Point | undefined
	readonly perDay: readonly Point[]
	readonly perHour: readonly Point[]
	readonly seconds: number
}

export interface UnreadableLine {
	readonly line: number
	readonly text: string
}

export interface Point {
	/** ISO 8601, UTC. */
	readonly start: string
	readonly hits: number
}

const day = 86_400_000
/** How far back from the log's newest line the charts reach: what is older counts, but has no minute, hour or day of its own any more. */
const kept = { minute: 31 * day, hour: 400 * day, day: 7_300 * day }
const longestKey = 4_096
/** As many as are shown; the rest is a number. */
const shownLine = 200

export async function countLog(source: LogSource, { uniques, top, progress }: CountOptions): Promise<CountReport> {
	const began = performance.now()
	// The log's newest time is the present: what it calls "a day ago" is kept or forgotten as it would have been then.
	let newest = 0
	let oldest = Number.POSITIVE_INFINITY
	const counter = new Counter({
		uniques,
		clock: { now: () => newest, setTimer: systemClock.setTimer },
		retention: kept,
		maxKeyBytes: longestKey,
	})
	let lines = 0
	const unreadable: UnreadableLine[] = []
	for await (const piece of source.pieces()) {
		for (const text of piece.lines) {
			lines++
			const parsed = parseLine(text)
			if (!parsed) {
				unreadable.push({ line: lines, text: text.slice(0, shownLine) })
				continue
			}
			newest = Math.max(newest, parsed.at)
			oldest = Math.min(oldest, parsed.at)
			await counter.hit(cutKey(parsed.target, longestKey), { visitor: parsed.address, at: parsed.at })
		}
		progress.update(piece.bytesRead, lines)
	}
	await counter.flush()
	progress.stop()

	const span = (granularity: 'minute' | 'hour' | 'day') => ({ from: Math.max(oldest, newest - kept[granularity]), to: newest + 1 })
	const none = newest === 0
	const [hits, all, home, best, perDay, perHour, busiestMinute, targets] = await Promise.all([
		counter.all.count(),
		counter.all.uniques(),
		counter.uniques('/'),
		counter.top({ limit: top }),
		none ? [] : pointsOf(counter, 'day', span('day')),
		none ? [] : pointsOf(counter, 'hour', span('hour')),
		none ? undefined : busiest(counter, span('minute')),
		keysOf(counter),
	])
	await counter.close()
	return {
		log: source.name,
		lines,
		hits,
		unreadable,
		targets,
		top: best.map(({ key, hits }) => ({ target: key, hits })),
		uniques: { all: all.value, home: home.value, exact: all.exact && home.exact },
		busiestMinute,
		perDay,
		perHour,
		seconds: (performance.now() - began) / 1000,
	}
}

type Span = { from: number; to: number }

async function pointsOf(counter: Counter, granularity: 'minute' | 'hour' | 'day', span: Span): Promise<Point[]> {
	const series = await counter.all.series({ granularity, ...span })
	return series.map(({ start, value }) => ({ start: start.toISOString(), hits: value }))
}

/** The minute with the most hits, the first of several; looked for a day at a time. */
async function busiest(counter: Counter, { from, to }: Span): Promise<Point | undefined> {
	let best: Point | undefined
	for (let start = from; start < to; start += day) {
		for (const point of await pointsOf(counter, 'minute', { from: start, to: Math.min(start + day, to) })) {
			if (point.hits > (best?.hits ?? 0)) best = point
		}
	}
	return best
}

async function keysOf(counter: Counter): Promise<number> {
	let keys = 0
	let cursor: string | undefined
	do {
		const page = await counter.list({ limit: 10_000, cursor })
		keys += page.keys.length
		cursor = page.cursor
	} while (cursor !== undefined)
	return keys
}
