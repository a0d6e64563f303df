/** `GET /metrics` for Prometheus: how long requests take, what was counted, what waits, and whether the store is there. */
import { type RequestHandler, Router } from 'express'
import { Counter as Count, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { lanes } from '../../../src/stores/store.ts'
import { type Operation, serve } from '../api/operation.ts'
import type { Counting } from '../counting.ts'

const operation = {
	method: 'get',
	path: '/metrics',
	reads: true,
	tag: 'Server',
	summary: 'Metrics for Prometheus',
	answers: { 200: { description: "Prometheus's text format", type: 'text/plain' } },
} as const satisfies Operation

export const metricsOperations = [operation]

export interface Metrics {
	/** Before all routers: times every request. */
	readonly timed: RequestHandler
	readonly router: Router
}

/** Metrics of one application: two in a process do not share them. */
export function metrics({ pages }: Counting): Metrics {
	const registry = new Registry()
	const registers = [registry]
	collectDefaultMetrics({ register: registry })

	const durations = new Histogram({
		name: 'http_request_duration_seconds',
		help: 'Time from the headers of a request to the end of its answer',
		labelNames: ['method', 'route', 'status'],
		buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
		registers,
	})
	const hits = new Gauge({ name: 'tallymark_hits', help: 'Hits on all pages, by lane', labelNames: ['lane'], registers })
	const gauge = (name: string, help: string) => new Gauge({ name: `tallymark_${name}`, help, registers })
	const pendingHits = gauge('pending_hits', 'Hits that are not stored yet')
	const pendingKeys = gauge('pending_keys', 'Keys, per minute and lane, that are not stored yet')
	const oldestPending = gauge('oldest_pending_seconds', 'How long the oldest of them waits')
	const dropped = gauge('dropped_hits', 'Hits refused or lost since the start')
	const rolledBack = gauge('rolled_back_hits', 'Hits the store lost after it had them')
	const up = new Gauge({ name: 'tallymark_store_up', help: 'Whether a node of the store answers', labelNames: ['node'], registers })
	const latency = new Gauge({ name: 'tallymark_store_latency_seconds', help: 'Of its last answer', labelNames: ['node'], registers })
	const aborted = new Count({ name: 'http_requests_aborted_total', help: 'Clients that left before their answer', registers })

	/** Before each scrape: the library reads its metrics one beside the other, and these belong together. */
	async function refresh(): Promise<void> {
		// A store that is away must not take the other metrics with it.
		const counts = await Promise.all(
			lanes.map((lane) =>
				pages
					.lane(lane)
					.all.count()
					.catch(() => Number.NaN),
			),
		)
		for (const [at, lane] of lanes.entries()) hits.set({ lane }, counts[at]!)
		const health = await pages.health()
		pendingHits.set(health.pendingHits)
		pendingKeys.set(health.pendingKeys)
		oldestPending.set(health.oldestPendingMs / 1_000)
		dropped.set(health.dropped)
		rolledBack.set(health.rolledBack)
		up.reset()
		latency.reset()
		for (const { name: node, status, latencyMs } of health.nodes) {
			up.set({ node }, status === 'up' ? 1 : 0)
			if (latencyMs !== undefined) latency.set({ node }, latencyMs / 1_000)
		}
	}

	const router = Router()
	serve(router, operation, async ({ response }) => {
		await refresh()
		response.type(registry.contentType).send(await registry.metrics())
	})
	return {
		router,
		timed(request, response, next) {
			const stop = durations.startTimer()
			response.once('close', () => {
				if (!response.writableFinished) return aborted.inc()
				// The route's pattern, never the path: a path can be anything, and each would be kept for ever.
				const route: unknown = request.route?.path ?? (request.baseUrl.toLowerCase() || 'none')
				stop({ method: request.method, route: String(route), status: response.statusCode })
			})
			next()
		},
	}
}
