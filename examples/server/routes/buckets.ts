/** One minute, hour or day (UTC) of the site: `GET /analytics/minute-buckets/page_view_2026-01-31_12:05`, and hours and days likewise. */
import { Router } from 'express'
import { z } from 'zod'
import { type Granularity, startOf } from '../../../src/index.ts'
import { type Operation, serve } from '../api/operation.ts'
import { count, laneQuery } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import { HttpError } from '../errors.ts'

const prefix = 'page_view_'
/** How much of `2026-01-31_12:05` names a bucket. */
const forms = { minute: 'YYYY-MM-DD_HH:MM', hour: 'YYYY-MM-DD_HH', day: 'YYYY-MM-DD' } as const
const lengthMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const

function bucketOf(granularity: Granularity) {
	return {
		method: 'get',
		path: `/analytics/${granularity}-buckets/:bucket_key`,
		reads: true,
		tag: 'Analytics',
		summary: `One ${granularity} of the site`,
		params: z.object({
			bucket_key: z.string().meta({
				description: `\`${prefix}${forms[granularity]}\`, in UTC; the prefix may be left out.`,
				example: `${prefix}${'2026-01-31_12:05'.slice(0, forms[granularity].length)}`,
			}),
		}),
		query: z.object({ lane: laneQuery }),
		answers: {
			200: { description: 'The bucket', schema: z.object({ bucket_key: z.string(), count, unique_users: count }) },
		},
	} as const satisfies Operation
}

const operations = { minute: bucketOf('minute'), hour: bucketOf('hour'), day: bucketOf('day') }

export const bucketOperations = Object.values(operations)

export function buckets({ pages }: Counting): Router {
	const router = Router()
	for (const granularity of ['minute', 'hour', 'day'] as const) {
		serve(router, operations[granularity], async ({ params: { bucket_key }, query: { lane }, response }) => {
			const from = startFrom(bucket_key, granularity)
			const { all } = pages.lane(lane)
			const range = { from, to: from + lengthMs[granularity] }
			const [hits, users] = await Promise.all([all.count(range), all.uniques(range)])
			response.json({ bucket_key: `${prefix}${textOf(from, granularity)}`, count: hits, unique_users: users.value })
		})
	}
	return router
}

function startFrom(key: string, granularity: Granularity): number {
	const text = key.startsWith(prefix) ? key.slice(prefix.length) : key
	const whole = `${text}${'1970-01-01_00:00'.slice(text.length)}`.replace('_', 'T')
	const start = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(whole) ? Date.parse(`${whole}Z`) : Number.NaN
	// Written out again it must be the same: there is no 30th of February.
	if (Number.isNaN(start) || start < 0 || text !== textOf(start, granularity)) {
		throw new HttpError(400, 'ERR_BAD_REQUEST', `Expected ${prefix}${forms[granularity]} (UTC), got ${JSON.stringify(key.slice(0, 60))}`)
	}
	return startOf(granularity, start)
}

function textOf(start: number, granularity: Granularity): string {
	return new Date(start).toISOString().replace('T', '_').slice(0, forms[granularity].length)
}
