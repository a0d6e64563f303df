/**
 * One endpoint, described once: the schemas here check each request and are the OpenAPI document (api/document.ts), so that the two cannot differ.
 */
import express, { type Request, type RequestHandler, type Response, type Router } from 'express'
import type { ZodType, z } from 'zod'
import { HttpError } from '../errors.ts'

/** What an endpoint answers under one status. */
export interface Answer {
	readonly description: string
	/** Of the JSON body. */
	readonly schema?: ZodType
	/** A body that is not JSON: its media type. */
	readonly type?: string
	readonly headers?: Readonly<Record<string, string>>
}

export interface Operation<
	Params extends ZodType = ZodType,
	Query extends ZodType = ZodType,
	Body extends ZodType = ZodType,
	Headers extends ZodType = ZodType,
> {
	readonly method: 'get' | 'post' | 'put' | 'delete'
	/** As Express writes it: `/visits/:page_id`. */
	readonly path: string
	readonly tag: string
	readonly summary: string
	readonly description?: string
	/** Needs the API key, where the server has one. */
	readonly writes?: boolean
	/** Tells numbers: needs the key for reading, where the server has one. */
	readonly reads?: boolean
	readonly params?: Params
	readonly query?: Query
	/** Those that matter, in lower case. */
	readonly headers?: Headers
	/** JSON; whatever else is sent is refused with 415. */
	readonly body?: Body
	/** A request without a body is fine. */
	readonly bodyOptional?: boolean
	/** What a body may have at most, in bytes. @default 2_048 */
	readonly bodyLimit?: number
	/** Answers besides those that every endpoint may give (400, 413, 415, 429, 503). */
	readonly answers: Readonly<Record<number, Answer>>
}

/** A request whose parts were checked. */
export interface Checked<Params extends ZodType, Query extends ZodType, Body extends ZodType, Headers extends ZodType> {
	readonly params: z.output<Params>
	readonly query: z.output<Query>
	readonly body: z.output<Body>
	readonly headers: z.output<Headers>
	readonly request: Request
	readonly response: Response
}

/** Serves `operation` with `handler`, which sees only what the schemas let through. */
export function serve<Params extends ZodType, Query extends ZodType, Body extends ZodType, Headers extends ZodType>(
	router: Router,
	operation: Operation<Params, Query, Body, Headers>,
	handler: (checked: Checked<Params, Query, Body, Headers>) => void | Promise<void>,
): void {
	const { method, path } = operation
	router[method](path, ...bodyParsers(operation), async (request, response) => {
		await handler({
			params: check(operation.params, request.params, ''),
			query: check(operation.query, request.query, ''),
			body: check(operation.body, bodyOf(operation, request), 'body'),
			headers: check(operation.headers, request.headers, ''),
			request,
			response,
		})
	})
}

/** Reads a body, whatever its type, up to the limit; what is not JSON ends up as bytes. */
function bodyParsers({ method, bodyLimit: limit = 2_048 }: Operation): RequestHandler[] {
	return method === 'get' ? [] : [refuseAnnounced(limit), express.json({ limit }), express.raw({ limit, type: () => true })]
}

/** What says that it is too large is answered at once: the parsers would read all of it before they say so. */
function refuseAnnounced(limit: number): RequestHandler {
	return (request, _response, next) => {
		if (Number(request.headers['content-length'] ?? 0) <= limit) return next()
		throw new HttpError(413, 'ERR_BODY_TOO_LARGE', `Expected a body of at most ${limit} bytes`)
	}
}

function bodyOf({ body, bodyOptional }: Operation, request: Request): unknown {
	if (body === undefined) return undefined
	const sent: unknown = request.body
	const empty = sent === undefined || (Buffer.isBuffer(sent) && sent.length === 0)
	if (empty && bodyOptional) return undefined
	if (Buffer.isBuffer(sent) && !empty) throw new HttpError(415, 'ERR_MEDIA_TYPE', 'Expected a body with content-type: application/json')
	return sent
}

function check<Schema extends ZodType>(schema: Schema | undefined, value: unknown, name: string): z.output<Schema> {
	if (schema === undefined) return undefined as z.output<Schema>
	const result = schema.safeParse(value)
	if (result.success) return result.data
	const issues = result.error.issues.flatMap(innerIssues).slice(0, 4)
	throw new HttpError(
		400,
		'ERR_BAD_REQUEST',
		issues.map(({ path, message }) => `${path.join('.') || name || 'request'}: ${message}`).join('; '),
	)
}

/** Of a union the issues of the one schema that fits outside, if there is one: they name what is wrong inside. */
function innerIssues(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
	if (issue.code !== 'invalid_union') return [issue]
	const inner = issue.errors.find((errors) => errors.length > 0 && errors.every(({ path }) => path.length > 0))
	return inner?.map((each) => ({ ...each, path: [...issue.path, ...each.path] })) ?? [issue]
}
