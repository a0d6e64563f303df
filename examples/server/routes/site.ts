/**
 * A site to count: every path under /site answers 200, and each GET of it is counted by the middleware, as the pages of a real site would be.
 * Its key is the path without /site, for that is where a real site would be mounted: `/site/about?ref=x` counts as `/about`, `/site` as `/`.
 */
import { type Request, Router } from 'express'
import { hitCounter, keyOfPath } from '../../../src/express.ts'
import type { Counting } from '../counting.ts'
import type { Identity } from '../identity.ts'

export function site({ pages: counter }: Counting, { visitor }: Identity): Router {
	const router = Router()
	// Inside a mounted router `url` is what follows the mount path, and stays so for as long as the router's own handler answers.
	router.use(
		'/site',
		hitCounter<Request>({ counter, visitor, key: (request) => keyOfPath(request.url) }),
		(_request, response) => void response.type('text').send('A page of the site.\n'),
	)
	return router
}
