/**
 * `tallymark/fastify`: a plugin that counts the pages a Fastify application serves. For Fastify 5, which is not imported.
 *
 *     app.register(hitCounter, { counter })
 *
 * It counts for the whole instance it is registered on, as if it were wrapped in fastify-plugin. The visitor's address is `request.ip`, the peer of the
 * connection: behind a proxy set `trustProxy` to that proxy, or all its visitors are one. With `trustProxy: true` clients choose their address.
 *
 * TypeScript infers no types through `register`: write those of a function in the options, `visitor: (request: FastifyRequest) => ...`.
 */
import { type HitCounterOptions, hitCounting } from './http/hit-counter.ts'
import { type NodeResponse, whenSent } from './http/node-response.ts'
import { keepAddress, type NodeRequest, nodeHeader } from './http/request.ts'

export * from './http/face.ts'

/** What is read of a request; Fastify's own has it. */
export interface FastifyRequestLike {
	readonly method: string
	readonly originalUrl: string
	readonly ip: string
	readonly raw: NodeRequest
	readonly headers: NodeRequest['headers']
	/** `url`: the pattern of the route that answered. */
	readonly routeOptions: { readonly url?: string | undefined }
}

/** What is read of a reply; Fastify's own has it. */
export interface FastifyReplyLike {
	readonly statusCode: number
	readonly raw: NodeResponse
	header(name: string, value: string): unknown
}

/** What is asked of an instance. */
export interface FastifyLike {
	addHook(name: string, hook: never): unknown
}

/**
 * Counts each GET that was answered with 2xx or 304, after the response has finished. Registered twice for one counter, it counts once, under the options
 * of the first, and warns once (`TALLYMARK_MOUNTED_TWICE`).
 */
export function hitCounter<Request extends FastifyRequestLike = FastifyRequestLike, Reply extends FastifyReplyLike = FastifyReplyLike>(
	instance: FastifyLike,
	options: HitCounterOptions<Request, Reply>,
	done: (error?: Error) => void,
): void {
	const { cookie, finished } = hitCounting<Request, Reply>(options, {
		method: (request) => request.method,
		target: (request) => request.originalUrl,
		header: (request, name) => nodeHeader(request.raw, name),
		address: (request) => request.ip,
		route: (request) => request.routeOptions.url,
	})
	// Not the hook 'onResponse': with one, Fastify does more for each request than the counting does.
	const onRequest = (request: Request, reply: Reply, next: () => void) => {
		const { raw } = reply
		keepAddress(request, request.raw)
		whenSent(request.raw, raw, () => void finished(request, reply, raw.statusCode, raw))
		next()
	}
	instance.addHook('onRequest', onRequest as never)
	if (cookie !== undefined) {
		const onSend = (request: Request, reply: Reply, _payload: unknown, next: () => void) => {
			const value = cookie(request, reply, reply.statusCode)
			if (value !== undefined) reply.header('set-cookie', value)
			next()
		}
		instance.addHook('onSend', onSend as never)
	}
	done()
}

// What fastify-plugin would set: no encapsulation, and a version of Fastify that it is for.
Object.assign(hitCounter, {
	[Symbol.for('skip-override')]: true,
	[Symbol.for('fastify.display-name')]: 'tallymark',
	[Symbol.for('plugin-meta')]: { name: 'tallymark', fastify: '5.x' },
})
