/**
 * The dashboard: `GET /` shows the site's numbers as they come, `GET /dashboard/page?page=...` one page's. `GET /live` streams them (server-sent
 * events), and the same is to be had as JSON: /dashboard/summary.json, /dashboard/page.json, /dashboard/pages.json.
 */
import { type Request, type Response, Router } from 'express'
import type { Counter } from '../../src/index.ts'
import { serve } from './api/operation.ts'
import { freshMs } from './counting.ts'
import { type AssetName, assetOf } from './dashboard/assets.ts'
import { LiveFeed } from './dashboard/live.ts'
import { liveOperation, pageOperation, pagesOperation, summaryOperation } from './dashboard/operations.ts'
import { pageViewOf, summaryOf } from './dashboard/summary.ts'
import { sendFixed } from './fixed.ts'

/** Nothing but this server's own files, and no script can make markup out of text. */
const contentSecurityPolicy = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"connect-src 'self'",
	"img-src 'self'",
	"form-action 'self'",
	"base-uri 'none'",
	"frame-ancestors 'none'",
	"require-trusted-types-for 'script'",
	"trusted-types 'none'",
].join('; ')

/** The most that the field proposes. */
const proposed = 20

export interface DashboardOptions {
	/** Ends the live streams: a server that stops must not wait for who watches. */
	readonly stopping?: AbortSignal | undefined
}

export function dashboard(counter: Counter, { stopping }: DashboardOptions = {}): Router {
	const router = Router()
	const live = new LiveFeed({ stopping, everyMs: freshMs, read: async () => JSON.stringify(await summaryOf(counter)) })

	router.get('/', sends('overview'))
	router.get('/dashboard/page', sends('page'))
	for (const name of ['app.js', 'app.css', 'icon.svg'] as const) router.get(`/dashboard/${name}`, sends(name))

	serve(router, liveOperation, ({ request, response }) => live.join(request, response))
	serve(router, summaryOperation, async ({ response }) => {
		response.set('Cache-Control', 'no-store').json(await summaryOf(counter))
	})
	serve(router, pageOperation, async ({ query: { page, granularity, last }, response }) => {
		response.set('Cache-Control', 'no-store').json(await pageViewOf(counter, page, granularity, last))
	})
	serve(router, pagesOperation, async ({ query: { prefix }, response }) => {
		const { keys } = await counter.list({ prefix, limit: proposed })
		response.set('Cache-Control', 'no-store').json({ pages: keys })
	})
	return router
}

function sends(name: AssetName) {
	return async (_request: Request, response: Response): Promise<void> => {
		const asset = await assetOf(name)
		response.set({
			'Content-Security-Policy': contentSecurityPolicy,
			'X-Content-Type-Options': 'nosniff',
			'Referrer-Policy': 'no-referrer',
			// Kept, but asked about each time: the ETag answers that.
			'Cache-Control': 'no-cache',
		})
		sendFixed(response, asset)
	}
}
