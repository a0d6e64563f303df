/**
 * `tallymark/koa`: middleware that counts the pages a Koa application serves. For Koa 2 and 3; neither is imported.
 *
 *     app.use(hitCounter({ counter }))
 *
 * The visitor's address is `ctx.ip`, the peer of the connection. Behind a proxy set `app.proxy = true` and `app.maxIpsCount` to the number of your
 * proxies: without the latter Koa takes the first address of `X-Forwarded-For`, which the client wrote.
 */
import { type HitCounterOptions, hitCounting } from './http/hit-counter.ts'
import { type NodeResponse, sendCookie, whenSent } from './http/node-response.ts'
import { keepAddress, type NodeRequest, nodeHeader } from './http/request.ts'

export * from './http/face.ts'

/** What is read of a context; Koa's own has it. */
export interface KoaContext {
	readonly method: string
	readonly originalUrl: string
	readonly path: string
	readonly ip: string
	readonly status: number
	/** Koa's own, which the context takes the address from. */
	readonly request: { readonly ip: string }
	readonly req: NodeRequest
	readonly headers: NodeRequest['headers']
	readonly res: NodeResponse
	/** The pattern of the route that answered, as `@koa/router` sets it. */
	readonly _matchedRoute?: unknown
}

/**
 * Counts each GET that was answered with 2xx or 304, after the response has finished. The functions in the options are given the context; `skip` twice.
 * Mounted twice for one counter, it counts once, under the options of the first, and warns once (`TALLYMARK_MOUNTED_TWICE`).
 */
export function hitCounter<Context extends KoaContext = KoaContext>(
	options: HitCounterOptions<Context, Context>,
): (context: Context, next: () => Promise<unknown>) => Promise<unknown> {
	const { cookie, finished } = hitCounting<Context, Context>(options, {
		method: (context) => context.method,
		target: (context) => context.originalUrl,
		header: (context, name) => nodeHeader(context.req, name),
		address: (context) => context.ip,
		route: ({ _matchedRoute }) => (typeof _matchedRoute === 'string' ? _matchedRoute : undefined),
	})
	return (context, next) => {
		const { req, res } = context
		keepAddress(context.request, req)
		if (cookie !== undefined) sendCookie(res, (status) => cookie(context, context, status))
		whenSent(req, res, () => void finished(context, context, res.statusCode, res))
		return next()
	}
}
