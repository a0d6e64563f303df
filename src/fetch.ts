/**
 * `tallymark/fetch`: counts the pages of handlers that take a `Request` and answer a `Response`: Hono, Next.js route handlers, Bun, Deno, and workers that
 * have Node's crypto.
 *
 *     const counted = hitCounter({ counter, address: (request, server) => server.requestIP(request)?.address })
 *     Bun.serve({ fetch: counted((request) => new Response('hello')) })
 *
 * A `Request` does not say whose it is: without an `address` there are no anonymous visitors, and a process warning says so.
 */
import { type FetchHitCounterOptions, type FetchRequest, type FetchResponse, fetchCounting } from './http/fetch-counting.ts'
import type { MaybePromise } from './stores/store.ts'

export * from './http/face.ts'
export type { FetchHitCounterOptions, FetchRequest, FetchResponse } from './http/fetch-counting.ts'

/** What is read of a Hono context. */
export interface HonoContext {
	readonly req: { readonly raw: FetchRequest; readonly matchedRoutes: readonly { readonly method: string; readonly path: string }[] }
	res: FetchResponse
}

/**
 * Makes a function that wraps a handler, so that each GET it answers with 2xx or 304 is counted when the response was read to its end. What the handler
 * is called with besides the request goes to `address` and `waitUntil` too. Wrapped twice for one counter, a request counts once.
 */
export function hitCounter<Given extends readonly [FetchRequest, ...unknown[]] = [FetchRequest, ...unknown[]]>(
	options: FetchHitCounterOptions<Given>,
): <Args extends Given, Answer extends FetchResponse>(
	handler: (...given: Args) => MaybePromise<Answer>,
) => (...given: Args) => Promise<Answer> {
	const counted = fetchCounting(options, () => undefined)
	return <Args extends Given, Answer extends FetchResponse>(handler: (...given: Args) => MaybePromise<Answer>) =>
		async (...given: Args) =>
			counted(given[0], await handler(...given), ...given) as Answer
}

/** The same as middleware for Hono: `app.use(hitMiddleware({ counter, address }))`. The functions in the options are given its context. */
export function hitMiddleware<Context extends HonoContext = HonoContext>(
	options: FetchHitCounterOptions<[Context]>,
): (context: Context, next: () => Promise<void>) => Promise<void> {
	const counted = fetchCounting(options, routeOf)
	return async (context, next) => {
		await next()
		const answer = context.res
		const sent = counted(context.req.raw, answer, context)
		if (sent === answer) return
		// Otherwise Hono would put the old headers over the new ones.
		context.res = undefined as unknown as FetchResponse
		context.res = sent
	}
}

/** What was registered for a method is a route; what is for all of them is mostly middleware. */
function routeOf(context: HonoContext): string | undefined {
	return context.req.matchedRoutes.findLast(({ method }) => method !== 'ALL')?.path
}
