/** Headers of every answer: nothing may be loaded, framed or guessed. A route that shows a page, or that other sites show, says so itself. */
import type { RequestHandler } from 'express'
import helmet from 'helmet'

export function strictHeaders(): RequestHandler {
	return helmet({
		contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } },
		// This server speaks plain HTTP: what stands before it and speaks TLS says for how long.
		strictTransportSecurity: false,
		xFrameOptions: { action: 'deny' },
	})
}

/** For what other sites show or call: a badge, the pixel, the script. */
export const forOtherSites: RequestHandler = (_request, response, next) => {
	response.set('Cross-Origin-Resource-Policy', 'cross-origin')
	next()
}
