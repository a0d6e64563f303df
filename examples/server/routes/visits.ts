/**
 * A page's visits: `POST /visit/:page_id` counts one, `GET /visits/:page_id` says how many there are.
 *
 * The pages under /site are counted by their path, so that of `/site/about` is read at `/visits/%2Fabout`.
 */
import { Router } from 'express'
import { z } from 'zod'
import { type Operation, serve } from '../api/operation.ts'
import { count, laneQuery, pageParams, success } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import { assertCounted } from '../errors.ts'
import type { Identity } from '../identity.ts'

const visit = {
	method: 'post',
	path: '/visit/:page_id',
	tag: 'Pages',
	summary: 'Count a visit',
	description:
		'By the anonymous visitor that sends it (address and browser, hashed). A body is not needed; JSON that is sent has to be well-formed.',
	writes: true,
	params: pageParams,
	answers: { 200: { description: 'Counted', schema: success } },
} as const satisfies Operation

const visitsOf = {
	method: 'get',
	path: '/visits/:page_id',
	reads: true,
	tag: 'Pages',
	summary: 'How many visits a page had',
	params: pageParams,
	query: z.object({ lane: laneQuery }),
	answers: {
		200: {
			description: 'The number, 0 for a page that nobody visited',
			schema: z.object({
				count,
				served_via: z
					.string()
					.meta({ description: "'in_memory_cache', or the store that was read: 'memory', 'redis:6379'", example: 'memory' }),
			}),
		},
	},
} as const satisfies Operation

export const visitOperations = [visit, visitsOf]

export function visits({ pages }: Counting, { visitorOf }: Identity): Router {
	const router = Router()
	serve(router, visit, async ({ params: { page_id: page }, request, response }) => {
		assertCounted(await pages.hit(page, { visitor: await visitorOf(request) }))
		response.json({ status: 'success', message: `Visit recorded for page ${page}` })
	})
	serve(router, visitsOf, async ({ params, query, response }) => {
		const { hits, servedBy } = await pages.lane(query.lane).stats(params.page_id)
		response.json({ count: hits, served_via: servedBy === 'cache' ? 'in_memory_cache' : servedBy })
	})
	return router
}
