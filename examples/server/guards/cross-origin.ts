/** Which other sites' scripts may call the API. */
import cors from 'cors'
import type { RequestHandler } from 'express'

/** `origins`: those allowed, or '*' for all. Never with cookies: the server has none. */
export function crossOrigin(origins: '*' | readonly string[]): RequestHandler {
	return cors({
		origin: origins === '*' ? '*' : [...origins],
		methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
		allowedHeaders: ['Authorization', 'Content-Type', 'Idempotency-Key', 'X-API-Key'],
		exposedHeaders: ['ETag', 'Link', 'Location', 'RateLimit', 'RateLimit-Policy', 'Retry-After'],
		maxAge: 600,
	})
}
