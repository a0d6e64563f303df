/** The dashboard's endpoints that tell numbers; its pages and their files are no part of the API. */
import { z } from 'zod'
import type { Operation } from '../api/operation.ts'
import { count, granularity, lane, pageId, whole } from '../api/schemas.ts'
import type { PageView, Summary } from './shapes.ts'

const time = z.int().meta({ description: 'Epoch milliseconds.' })
const chart = z
	.object({ starts: z.array(time), values: z.array(count) })
	.meta({ id: 'Chart', description: 'Points of equal length, oldest first.' })
const estimate = z
	.object({ value: count, exact: z.boolean(), error: z.number() })
	.meta({ id: 'Estimate', description: '`error`: the relative standard error.' })
const top = z.array(z.object({ key: z.string(), hits: count }))

const summary: z.ZodType<Summary> = z
	.object({
		health: z.object({
			status: z.enum(['up', 'degraded', 'down']),
			store: z.string(),
			nodes: z.array(
				z.object({
					name: z.string(),
					status: z.enum(['up', 'down']),
					latencyMs: z.number().optional(),
					reason: z.string().optional(),
				}),
			),
			pendingHits: count,
			oldestPendingMs: z.number(),
			dropped: count,
			rolledBack: count,
			lastError: z.string().optional(),
		}),
		numbers: z
			.object({
				perMinute: count,
				minutes: chart,
				todayHours: z.array(count),
				yesterdayHours: z.array(count),
				today: time,
				hits: z.object({ today: count, yesterday: count, total: count }),
				uniques: z.object({ today: estimate, yesterday: estimate, total: estimate }),
				top: z.object({ hour: top, day: top, total: top }),
				trending: z.array(z.object({ key: z.string(), score: z.number() })),
				lanes: z.array(z.object({ lane, today: count, total: count })),
			})
			.optional()
			.meta({ description: 'Not there while the store cannot be read.' }),
	})
	.meta({ id: 'Summary' })

const pageView: z.ZodType<PageView> = z
	.object({
		page: z.string(),
		perMinute: count,
		hits: z.object({ today: count, total: count }),
		uniques: z.object({ today: estimate, total: estimate }),
		granularity,
		chart,
		visitors: z.array(count).optional().meta({ description: 'Of each point; not there where there are too many.' }),
	})
	.meta({ id: 'PageView' })

const common = { method: 'get', tag: 'Dashboard', reads: true } as const

export const liveOperation = {
	...common,
	path: '/live',
	summary: 'The numbers of the site, as they change',
	description: 'Server-sent events: each `summary` is what `/dashboard/summary.json` answers. It goes on until the client leaves.',
	answers: {
		200: { description: 'The stream', type: 'text/event-stream' },
		429: { description: 'Too many streams of this address, or too many requests' },
		503: { description: 'Too many streams, or the server stops' },
	},
} as const satisfies Operation

export const summaryOperation = {
	...common,
	path: '/dashboard/summary.json',
	summary: 'The numbers of the site',
	answers: { 200: { description: 'The numbers, in the human lane where nothing else is said', schema: summary } },
} as const satisfies Operation

export const pageOperation = {
	...common,
	path: '/dashboard/page.json',
	summary: 'The numbers of a page',
	query: z.object({
		page: pageId,
		granularity: granularity.default('minute'),
		last: whole(1, 1_440, 60, 'How many, the current one included.'),
	}),
	answers: { 200: { description: 'The numbers, in the human lane', schema: pageView } },
} as const satisfies Operation

export const pagesOperation = {
	...common,
	path: '/dashboard/pages.json',
	summary: 'Names of pages',
	query: z.object({ prefix: z.string().max(512).meta({ description: 'What they begin with.' }) }),
	answers: { 200: { description: 'Up to 20, in order', schema: z.object({ pages: z.array(z.string()) }) } },
} as const satisfies Operation

export const dashboardOperations = [summaryOperation, pageOperation, pagesOperation, liveOperation]
