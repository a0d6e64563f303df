/**
 * For static sites, which can only embed something: a pixel, or a script of 1 kB that counts each page view, also of a single-page application.
 *
 *     <script defer src="https://counter.example/tally.js"></script>
 *     <img src="https://counter.example/pixel.gif?page=/about" alt="">
 *
 * They need no API key: a page cannot keep one.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Request, Router } from 'express'
import { z } from 'zod'
import { hitCounter, keyOfPath } from '../../../src/express.ts'
import { type Operation, serve } from '../api/operation.ts'
import type { Counting } from '../counting.ts'
import { HttpError } from '../errors.ts'
import { fixed, sendFixed } from '../fixed.ts'
import { forOtherSites } from '../guards/headers.ts'
import type { Identity } from '../identity.ts'

/** 1 by 1, transparent. */
const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')
const script = fixed('js', readFileSync(join(import.meta.dirname, '..', 'public', 'tally.js')))

const page = z.string().min(1).max(8_192).optional().meta({
	description:
		'The path or address of the page. Default: the path of the page that embeds it, as far as the browser tells (`Referer`); from another site mostly just `/`.',
	example: '/about',
})

const pixel = {
	method: 'get',
	path: '/pixel.gif',
	tag: 'Static sites',
	summary: 'Count a view by loading a picture',
	query: z.object({ page }),
	answers: { 200: { description: 'A transparent pixel, never cached', type: 'image/gif' } },
} as const satisfies Operation

const source = {
	method: 'get',
	path: '/tally.js',
	tag: 'Static sites',
	summary: 'The script that counts page views',
	answers: { 200: { description: 'JavaScript', type: 'text/javascript' } },
} as const satisfies Operation

export const tallyOperations = [pixel, source]

export function tally({ pages: counter }: Counting, { visitor }: Identity): Router {
	const router = Router()
	router.use(['/pixel.gif', '/tally.js'], forOtherSites)
	router.get('/pixel.gif', hitCounter<Request>({ counter, visitor, key: (request) => keyOfPath(addressIn(request) ?? '') }))
	serve(router, pixel, ({ request, response }) => {
		if (addressIn(request) === undefined)
			throw new HttpError(400, 'ERR_BAD_REQUEST', 'page: Expected ?page=, for the request has no Referer')
		response.set('Cache-Control', 'no-store').type('gif').send(gif)
	})
	serve(router, source, ({ response }) => sendFixed(response.set('Cache-Control', 'public, max-age=3600'), script))
	return router
}

/** Of the page that was looked at. */
function addressIn(request: Request): string | undefined {
	const { page } = request.query
	return typeof page === 'string' ? page : request.get('referer')
}
