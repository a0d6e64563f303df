/**
 * `tallymark/express`: middleware that counts the pages an Express application serves. For Express 4 and 5; neither is imported.
 *
 *     app.use(hitCounter({ counter }))
 *
 * The visitor's address is `req.ip`, which Express takes from the connection: behind a proxy set `app.set('trust proxy', ...)` to that proxy, or all its
 * visitors are one. Nothing else is read from `X-Forwarded-For`, which anybody can send.
 */
import { type HitCounterOptions, hitCounting } from './http/hit-counter.ts'
import { keyOfPath } from './http/key-of-path.ts'
import { anonymousVisitor } from './http/visitor.ts'

export type { HitCounterOptions, HitTarget } from './http/hit-counter.ts'
export { keyOfPath } from './http/key-of-path.ts'
export { type AnonymousVisitorOptions, anonymousVisitor, keyedVisitor, type VisitorRequest } from './http/visitor.ts'

/** What is read of a request; Express's own has it. */
export interface ExpressRequest {
	readonly method: string
	readonly originalUrl: string
	readonly url: string
	readonly baseUrl: string
	readonly path: string
	readonly ip?: string | undefined
	readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
	/** The route that answered, once there is one: `req.route?.path` counts `/users/:id` in place of every user. */
	readonly route?: { readonly path: string } | undefined
}

/** What is read of a response; Express's own has it. */
export interface ExpressResponse {
	readonly statusCode: number
	once(event: 'finish' | 'close', listener: () => void): unknown
	off(event: 'finish' | 'close', listener: () => void): unknown
}

/**
 * Counts each GET that was answered with 2xx or 304, after the response has finished. A response that is aborted, any other method and any other status
 * do not count. Mounted twice for one counter, it counts once, under the options of the first, and warns once (`TALLYMARK_MOUNTED_TWICE`).
 */
export function hitCounter<Request extends ExpressRequest = ExpressRequest, Response extends ExpressResponse = ExpressResponse>(
	options: HitCounterOptions<Request, Response>,
): (request: Request, response: Response, next: (error?: unknown) => void) => void {
	const counting = hitCounting(options, { key: (request) => keyOfPath(request.originalUrl), visitor: anonymousVisitor })
	return (request, response, next) => {
		if (counting.claim(response)) {
			const finished = () => {
				response.off('close', aborted)
				counting.finished(request, response, request.method, response.statusCode)
			}
			// 'close' first means that the client left: what finishes later was not received.
			const aborted = () => response.off('finish', finished)
			response.once('finish', finished)
			response.once('close', aborted)
		}
		next()
	}
}
