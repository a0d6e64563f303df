/**
 * `tallymark/express`: middleware that counts the pages an Express application serves. For Express 4 and 5; neither is imported.
 *
 *     app.use(hitCounter({ counter }))
 *
 * The visitor's address is `req.ip`, which Express takes from the connection: behind a proxy set `app.set('trust proxy', ...)` to that proxy, or all its
 * visitors are one. Nothing else is read from `X-Forwarded-For`, which anybody can send. Express itself speaks HTTP/1 only.
 */
import { type HitCounterOptions, hitCounting } from './http/hit-counter.ts'
import { look } from './http/look.ts'
import { type NodeResponse, sendCookie, whenSent } from './http/node-response.ts'
import { type NodeRequest, nodeHeader } from './http/request.ts'

export * from './http/face.ts'

/** What is read of a request; Express's own has it. */
export interface ExpressRequest extends NodeRequest {
	readonly method: string
	readonly originalUrl: string
	readonly url: string
	readonly baseUrl: string
	readonly path: string
	readonly ip?: string | undefined
	/** The route that answered, once there is one. */
	readonly route?: { readonly path: string } | undefined
}

/** What is read of a response; Express's own has it. */
export type ExpressResponse = NodeResponse

/**
 * Counts each GET that was answered with 2xx or 304, after the response has finished. A response that is aborted, any other method and any other status
 * do not count. Mounted twice for one counter, it counts once, under the options of the first, and warns once (`TALLYMARK_MOUNTED_TWICE`).
 */
export function hitCounter<Request extends ExpressRequest = ExpressRequest, Response extends ExpressResponse = ExpressResponse>(
	options: HitCounterOptions<Request, Response>,
): (request: Request, response: Response, next: (error?: unknown) => void) => void {
	const { cookie, finished } = hitCounting<Request, Response>(options, {
		method: (request) => look(request, 'method'),
		target: (request) => look(request, 'originalUrl'),
		header: (request, name) => nodeHeader(request, name),
		address: (request) => look(request, 'ip'),
		route: routeOf,
	})
	return (request, response, next) => {
		if (cookie !== undefined) sendCookie(response, (status) => cookie(request, response, status))
		whenSent(request, response, () => void finished(request, response, look(response, 'statusCode'), response))
		next()
	}
}

/** Where the router is mounted, and the pattern of its route. The mount path is what it matched: Express does not tell its pattern. */
function routeOf({ baseUrl, route }: ExpressRequest): string | undefined {
	// Express takes patterns of other types too, whatever its types say.
	if (typeof route?.path !== 'string') return undefined
	return route.path === '/' && baseUrl !== '' ? baseUrl : baseUrl + route.path
}
