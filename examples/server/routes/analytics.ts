/** Numbers over time, of the site or of a page: minutes, hours and days (UTC), top and trending. Never a user's id. */
import { Router } from 'express'
import { z } from 'zod'
import { type Operation, serve } from '../api/operation.ts'
import { count, granularity, laneQuery, pageId, whole } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import { HttpError } from '../errors.ts'

const moment = z.iso.datetime()

const perMinute = {
	method: 'get',
	path: '/analytics/page_views_per_minute',
	reads: true,
	tag: 'Analytics',
	summary: 'Page views of the last minutes',
	description: 'Zero-filled, oldest first; the last one is the current minute.',
	query: z.object({ minutes: whole(1, 1_440, 5, 'How many.'), lane: laneQuery }),
	answers: {
		200: {
			description: 'The minutes',
			schema: z.object({ page_views_per_minute: z.array(z.object({ minute_timestamp: moment, count, unique_users: count })) }),
		},
	},
} as const satisfies Operation

const series = {
	method: 'get',
	path: '/analytics/series',
	reads: true,
	tag: 'Analytics',
	summary: 'A chart of the site or of a page',
	description: 'Zero-filled, oldest first.',
	query: z.object({
		page: pageId.optional().meta({ description: 'Without it: the whole site.' }),
		granularity: granularity.default('hour'),
		last: whole(1, 1_440, 24, 'How many, the current one included.'),
		metric: z.enum(['hits', 'uniques']).default('hits'),
		time_zone: z.string().max(64).optional().meta({ description: 'Whose days, as an IANA name. Default UTC.', example: 'Europe/Berlin' }),
		lane: laneQuery,
	}),
	answers: { 200: { description: 'The points', schema: z.object({ series: z.array(z.object({ start: moment, value: count })) }) } },
} as const satisfies Operation

const top = {
	method: 'get',
	path: '/analytics/top',
	reads: true,
	tag: 'Analytics',
	summary: 'The pages with the most views',
	query: z.object({
		limit: whole(1, 1_000, 10, 'How many.'),
		by: z.enum(['hits', 'uniques']).default('hits'),
		period: granularity.optional().meta({ description: 'Only the current minute, hour or day.' }),
		prefix: z.string().max(512).default('').meta({ description: 'Only pages that begin with it.' }),
		lane: laneQuery,
	}),
	answers: {
		200: {
			description: 'Most first',
			schema: z.object({ top: z.array(z.object({ page: z.string(), views: count, unique_visitors: count.optional() })) }),
		},
	},
} as const satisfies Operation

const trending = {
	method: 'get',
	path: '/analytics/trending',
	reads: true,
	tag: 'Analytics',
	summary: 'The pages that are rising',
	description: 'By views that lose half their worth every six hours.',
	query: z.object({ limit: whole(1, 1_000, 10, 'How many.'), lane: laneQuery }),
	answers: {
		200: { description: 'Highest first', schema: z.object({ trending: z.array(z.object({ page: z.string(), score: z.number() })) }) },
	},
} as const satisfies Operation

export const analyticsOperations = [perMinute, series, top, trending]

export function analytics({ pages }: Counting): Router {
	const router = Router()

	serve(router, perMinute, async ({ query: { minutes, lane }, response }) => {
		const { all } = pages.lane(lane)
		const options = { granularity: 'minute', last: minutes } as const
		const [hits, users] = await Promise.all([all.series(options), all.series({ ...options, metric: 'uniques' })])
		// The minute may have changed between the two readings: they are put together by time.
		const usersAt = new Map(users.map(({ start, value }) => [start.getTime(), value]))
		response.json({
			page_views_per_minute: hits.map(({ start, value }) => ({
				minute_timestamp: start.toISOString(),
				count: value,
				unique_users: usersAt.get(start.getTime()) ?? 0,
			})),
		})
	})

	serve(router, series, async ({ query: { page, lane, time_zone: timeZone, ...options }, response }) => {
		if (timeZone !== undefined && !isTimeZone(timeZone)) {
			throw new HttpError(400, 'ERR_BAD_REQUEST', `time_zone: Expected the IANA name of a time zone, got ${JSON.stringify(timeZone)}`)
		}
		const view = pages.lane(lane)
		const asked = { ...options, ...(timeZone !== undefined && { timeZone }) }
		const points = await (page === undefined ? view.all.series(asked) : view.series(page, asked))
		response.json({ series: points.map(({ start, value }) => ({ start: start.toISOString(), value })) })
	})

	serve(router, top, async ({ query: { lane, ...options }, response }) => {
		const entries = await pages.lane(lane).top(options)
		response.json({
			top: entries.map(({ key, hits, uniques }) => ({
				page: key,
				views: hits,
				...(uniques !== undefined && { unique_visitors: uniques }),
			})),
		})
	})

	serve(router, trending, async ({ query: { lane, limit }, response }) => {
		const entries = await pages.lane(lane).trending({ limit })
		response.json({ trending: entries.map(({ key, score }) => ({ page: key, score })) })
	})
	return router
}

function isTimeZone(name: string): boolean {
	try {
		new Intl.DateTimeFormat('en', { timeZone: name })
		return true
	} catch {
		return false
	}
}
