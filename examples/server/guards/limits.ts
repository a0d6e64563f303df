/** How many requests one address may send. */
import type { RequestHandler } from 'express'
import { rateLimit } from 'express-rate-limit'
import { HttpError } from '../errors.ts'

/** `perMinute` of each address (IPv6 by /56), counted in this process; more are answered 429 and when to come again. */
export function perAddress(perMinute: number): RequestHandler {
	return rateLimit({
		windowMs: 60_000,
		limit: perMinute,
		standardHeaders: 'draft-8',
		legacyHeaders: false,
		// Anybody can send these headers; whether they are believed is TRUST_PROXY's to say.
		validate: { xForwardedForHeader: false, forwardedHeader: false },
		handler: (_request, _response, next) => next(new HttpError(429, 'ERR_RATE_LIMIT', `Expected at most ${perMinute} requests a minute`)),
	})
}
