/**
 * A page's visits: `POST /visit/:page_id` counts one, `GET /visits/:page_id` says how many there are.
 *
 * A page id is any text, percent-encoded as one path segment: `caf%C3%A9`, `a%2Fb`. The pages under /site are counted by their path, so that of
 * `/site/about` is read at `/visits/%2Fabout`.
 */
import express, { type Request, Router } from 'express'
import type { Counter } from '../../src/index.ts'
import { HttpError } from './errors.ts'

/** A visit needs no body; one that is sent as JSON must be JSON, and small. */
const body = express.json({ limit: '2kb' })

export function visits(counter: Counter, visitorOf: (request: Request) => string | undefined): Router {
	const router = Router()

	router.post('/visit/:page_id', body, async (request, response) => {
		const page = request.params.page_id
		const visitor = visitorOf(request)
		const receipt = await counter.hit(page, visitor === undefined ? {} : { visitor })
		if (!receipt.counted) throw new HttpError(503, 'ERR_NOT_COUNTED', `The visit was not counted: ${receipt.reason}`)
		response.json({ status: 'success', message: `Visit recorded for page ${page}` })
	})

	router.get('/visits/:page_id', async (request, response) => {
		const { hits, servedBy } = await counter.stats(request.params.page_id)
		response.json({ count: hits, served_via: servedBy === 'cache' ? 'in_memory_cache' : servedBy })
	})

	return router
}
