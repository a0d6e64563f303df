/** `POST /track`: a page view by a user whom the client knows; `GET /stats`: the numbers of everything together. */
import { Router } from 'express'
import { z } from 'zod'
import { type Operation, serve } from '../api/operation.ts'
import { count, flag, laneQuery, pageId, success, whole } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import { assertCounted, HttpError } from '../errors.ts'
import type { Identity } from '../identity.ts'

const track = {
	method: 'post',
	path: '/track',
	tag: 'Pages',
	summary: 'Count a page view of a user',
	writes: true,
	body: z.object({ page_id: pageId, user_id: z.string().min(1).max(256) }),
	answers: { 200: { description: 'Counted', schema: success } },
} as const satisfies Operation

/** The visitors of each page cost a reading each. */
const mostWithUniques = 1_000

const stats = {
	method: 'get',
	path: '/stats',
	reads: true,
	tag: 'Pages',
	summary: 'Views and unique visitors, in all and per page',
	query: z.object({
		limit: whole(1, 10_000, 10, `How many pages, those with the most views; above ${mostWithUniques} only with \`uniques=0\`.`),
		uniques: flag(true, 'Whether to tell the unique visitors of each page.'),
		lane: laneQuery,
	}),
	answers: {
		200: {
			description: 'Visitors are counted once however many pages they saw: the sum over the pages is more.',
			schema: z.object({
				views: count,
				unique_visitors: count,
				pages: z.array(z.object({ page: z.string(), views: count, unique_visitors: count.optional() })),
			}),
		},
	},
} as const satisfies Operation

export const trackOperations = [track, stats]

export function tracking({ pages }: Counting, { userOf }: Identity): Router {
	const router = Router()
	serve(router, track, async ({ body: { page_id: page, user_id }, response }) => {
		assertCounted(await pages.hit(page, { visitor: await userOf(user_id) }))
		response.json({ status: 'success', message: `View recorded for page ${page}` })
	})
	serve(router, stats, async ({ query: { limit, uniques, lane }, response }) => {
		if (uniques && limit > mostWithUniques) {
			throw new HttpError(400, 'ERR_BAD_REQUEST', `limit: Expected at most ${mostWithUniques}, or uniques=0`)
		}
		const view = pages.lane(lane)
		const [views, visitors, list] = await Promise.all([view.all.count(), view.all.uniques(), view.top({ limit })])
		response.json({
			views,
			unique_visitors: visitors.value,
			pages: await Promise.all(
				list.map(async ({ key, hits }) => ({
					page: key,
					views: hits,
					...(uniques && { unique_visitors: (await view.uniques(key)).value }),
				})),
			),
		})
	})
	return router
}
