/** Closes the endpoints that write: `Authorization: Bearer <key>` or `X-API-Key: <key>`. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RequestHandler } from 'express'
import { matcherOf } from '../api/match.ts'
import type { Operation } from '../api/operation.ts'
import { HttpError } from '../errors.ts'

/** Asks for `key` where an operation writes. Before anything else of the request is looked at: who has no key learns nothing by a body. */
export function apiKey(key: string, operations: readonly Operation[]): RequestHandler {
	const wanted = digest(key)
	const writes = matcherOf(operations.filter((operation) => operation.writes))
	return (request, response, next) => {
		if (!writes(request.path).includes(request.method)) return next()
		const given = /^Bearer +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1] ?? request.get('x-api-key') ?? ''
		// Of digests, which are of one length, so that the time tells nothing about the key.
		if (timingSafeEqual(digest(given), wanted)) return next()
		response.set('WWW-Authenticate', 'Bearer')
		throw new HttpError(401, 'ERR_API_KEY', 'This endpoint needs the API key of the server')
	}
}

function digest(text: string): Buffer {
	return createHash('sha256').update(text).digest()
}
