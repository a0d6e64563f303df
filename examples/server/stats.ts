/** The numbers of everything together: `GET /stats?limit=10`. */
import { Router } from 'express'
import type { Counter } from '../../src/index.ts'
import { HttpError } from './errors.ts'

const mostPages = 10_000

export function stats(counter: Counter): Router {
	const router = Router()
	router.get('/stats', async (request, response) => {
		const limit = limitFrom(request.query['limit'])
		const [views, visitors, pages] = await Promise.all([counter.all.count(), counter.all.uniques(), counter.top({ limit })])
		response.json({ views, unique_visitors: visitors.value, pages: pages.map(({ key, hits }) => ({ page: key, views: hits })) })
	})
	return router
}

function limitFrom(text: unknown): number {
	if (text === undefined) return 10
	const limit = typeof text === 'string' && /^\d+$/.test(text) ? Number(text) : 0
	if (limit < 1 || limit > mostPages)
		throw new HttpError(400, 'ERR_BAD_REQUEST', `Expected limit to be a whole number from 1 to ${mostPages}`)
	return limit
}
