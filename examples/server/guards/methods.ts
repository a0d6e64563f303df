/** 405 where a path is known and the method is not: it is no endpoint that is missing. */
import type { RequestHandler } from 'express'
import { matcherOf } from '../api/match.ts'
import type { Operation } from '../api/operation.ts'
import { HttpError } from '../errors.ts'

/** After all routers. */
export function methodNotAllowed(operations: readonly Operation[]): RequestHandler {
	const methodsOf = matcherOf(operations)
	return (request, response, next) => {
		const methods = methodsOf(request.path)
		if (methods.length === 0) return next()
		response.set('Allow', methods.join(', '))
		throw new HttpError(405, 'ERR_METHOD', `Expected ${methods.join(' or ')}, got ${request.method}`)
	}
}
