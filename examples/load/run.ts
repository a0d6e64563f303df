/** Puts a server under load, and holds its counts against what it acknowledged. */
import { build, type Histogram } from 'hdr-histogram-js'
import { clientOf, type Reply } from './client.ts'
import { counted, type Difference, differencesOf } from './counted.ts'
import { paced } from './pace.ts'
import { addressOf, type Kind, type TrafficOptions, trafficOf, type Wanted } from './traffic.ts'

export interface LoadOptions extends TrafficOptions {
	readonly url: URL
	/** Requests a second: visits and readings together. */
	readonly rate: number
	readonly seconds: number
	/** Seconds of the same traffic before, which are counted but not measured: the first requests wait for compilers and connections. @default 0 */
	readonly warmUpSeconds?: number | undefined
	readonly apiKey?: string | undefined
	/** Told of each answer. */
	readonly progress?: ((answered: number, requests: number) => void) | undefined
	/** So long may the counts take to arrive: a server on a shared store keeps readings for some seconds. @default 10_000 */
	readonly patienceMs?: number | undefined
}

export interface LoadReport {
	readonly requests: number
	readonly latencies: readonly Latency[]
	/** How late this process was to send, which is in the latencies. */
	readonly late: Latency
	/** Answers that were not 2xx, and requests without an answer, by what went wrong. */
	readonly failures: Readonly<Record<string, number>>
	/** Visits that were answered with 2xx, and those without an answer, which may have been counted or not. */
	readonly acknowledged: number
	readonly unknown: number
	readonly counted: number
	readonly differences: readonly Difference[]
}

/** In milliseconds, from the time a request was due to the end of its answer. */
export interface Latency {
	readonly name: string
	readonly count: number
	readonly mean: number
	readonly p50: number
	readonly p90: number
	readonly p99: number
	readonly p999: number
	readonly max: number
}

const connections = 128
const names: Readonly<Record<Kind, string>> = {
	visit: 'POST /visit/:page_id',
	visits: 'GET /visits/:page_id',
	analytics: 'GET /analytics/...',
}

/** Rejects where the server cannot be read before or after; requests that fail under load are in the report. */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
	const { url, pages, users, rate, seconds, warmUpSeconds = 0, apiKey, progress, patienceMs = 10_000 } = options
	const client = clientOf(url, connections)
	const next = trafficOf({ pages, users })
	const microseconds = { visit: histogram(), visits: histogram(), analytics: histogram() }
	const late = histogram()
	const failures: Record<string, number> = {}
	const acknowledged = new Uint32Array(pages)
	const unknown = new Uint32Array(pages)
	const unmeasured = Math.round(warmUpSeconds * rate)
	const requests = unmeasured + Math.round(seconds * rate)
	let answered = 0

	/** What became of a request. Only what was answered well has a latency: a failure may be quick. */
	const settle = (wanted: Wanted, reply: Reply | Error, index: number, dueAt: number) => {
		progress?.(++answered, requests)
		if (reply instanceof Error || reply.status < 200 || reply.status > 299) {
			const reason = `${names[wanted.kind]}: ${reply instanceof Error ? reply.message : reply.status}`
			failures[reason] = (failures[reason] ?? 0) + 1
			// A 500 says that something broke on the way, not where.
			if (wanted.kind === 'visit' && (reply instanceof Error || reply.status === 500)) unknown[wanted.page]! += 1
			return
		}
		if (wanted.kind === 'visit') acknowledged[wanted.page]! += 1
		if (index >= unmeasured) microseconds[wanted.kind].recordValue(inMicroseconds(performance.now() - dueAt))
	}

	try {
		const before = await counted(client, pages)
		const underWay: Promise<void>[] = []
		await paced({
			rate,
			requests,
			send: (index, dueAt) => {
				const wanted = next(index)
				const headers = {
					'x-forwarded-for': addressOf(wanted.user),
					...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
				}
				if (index >= unmeasured) late.recordValue(inMicroseconds(performance.now() - dueAt))
				underWay.push(
					client.send(wanted.method, wanted.path, headers).then(
						(reply) => settle(wanted, reply, index, dueAt),
						(error: Error) => settle(wanted, error, index, dueAt),
					),
				)
			},
		})
		await Promise.all(underWay)
		const { total, differences } = await differencesOf(client, { before, acknowledged, unknown, patienceMs })
		return {
			requests,
			latencies: (['visit', 'visits', 'analytics'] as const).map((kind) => latencyOf(names[kind], microseconds[kind])),
			late: latencyOf('sent late', late),
			failures,
			acknowledged: sum(acknowledged),
			unknown: sum(unknown),
			counted: total,
			differences,
		}
	} finally {
		client.close()
	}
}

/** Of microseconds up to a minute, to three digits. */
function histogram(): Histogram {
	return build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3, useWebAssembly: false })
}

function inMicroseconds(ms: number): number {
	return Math.min(60_000_000, Math.round(ms * 1_000))
}

function latencyOf(name: string, histogram: Histogram): Latency {
	// A percentile is the upper end of its bucket, which the greatest value need not reach.
	const at = (percentile: number) => Math.min(histogram.maxValue, histogram.getValueAtPercentile(percentile)) / 1_000
	return {
		name,
		count: histogram.totalCount,
		mean: histogram.mean / 1_000,
		p50: at(50),
		p90: at(90),
		p99: at(99),
		p999: at(99.9),
		max: histogram.maxValue / 1_000,
	}
}

function sum(values: Uint32Array): number {
	return values.reduce((before, value) => before + value, 0)
}
