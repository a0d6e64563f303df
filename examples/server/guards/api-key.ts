/** Closes endpoints to who has no key: `Authorization: Bearer <key>` or `X-API-Key: <key>`; for reading also as a password, which browsers ask for. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Request, RequestHandler } from 'express'
import { matcherOf } from '../api/match.ts'
import type { Operation } from '../api/operation.ts'
import { HttpError } from '../errors.ts'

/** Asks for `key` where an operation writes. Before anything else of the request is looked at: who has no key learns nothing by a body. */
export function writeKey(key: string, operations: readonly Operation[]): RequestHandler {
	const writes = matcherOf(operations.filter((operation) => operation.writes))
	return guard([key], ({ path, method }) => writes(path).includes(method), bearerOf, ['Bearer'])
}

/** Asks for one of `keys` where an operation tells numbers, and for the dashboard's pages: a browser then sends the password with all that they load. */
export function readKey(keys: readonly string[], operations: readonly Operation[]): RequestHandler {
	const reads = matcherOf(operations.filter((operation) => operation.reads))
	const closed = ({ path, method }: Request) => reads(path).includes(method) || /^\/(?:dashboard\/page\/?)?$/i.test(path)
	return guard(keys, closed, (request) => bearerOf(request) ?? passwordOf(request), ['Bearer', 'Basic realm="tallymark", charset="UTF-8"'])
}

function guard(
	keys: readonly string[],
	closed: (request: Request) => boolean,
	keyOf: (request: Request) => string | undefined,
	challenges: readonly string[],
): RequestHandler {
	const wanted = keys.map(digest)
	return (request, response, next) => {
		if (!closed(request)) return next()
		const given = digest(keyOf(request) ?? '')
		// Of digests, which are of one length, so that the time tells nothing about the key.
		if (wanted.some((each) => timingSafeEqual(given, each))) return next()
		response.set('WWW-Authenticate', [...challenges])
		throw new HttpError(401, 'ERR_API_KEY', 'This endpoint needs the API key of the server')
	}
}

function bearerOf(request: Request): string | undefined {
	// A key may have spaces in it.
	return /^Bearer +(\S.*)$/i.exec(request.get('authorization') ?? '')?.[1]?.trimEnd() ?? request.get('x-api-key')
}

/** Of any user. */
function passwordOf(request: Request): string | undefined {
	const credentials = /^Basic +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1]
	return credentials && /:(.*)$/s.exec(Buffer.from(credentials, 'base64').toString())?.[1]
}

function digest(text: string): Buffer {
	return createHash('sha256').update(text).digest()
}
