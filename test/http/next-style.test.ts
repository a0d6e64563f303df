/**
 * Route handlers as Next.js has them: `export const GET`, called with a request of a class of its own and a context whose parameters are a promise; the
 * answer must be a `Response`. Next.js itself would be the largest package here, and what it does around a handler is this.
 */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cookieVisitor, type HitTarget, hitCounter } from '../../src/fetch.ts'
import { ask, notebook, soon } from './support/served.ts'

class NextRequest extends Request {
	get nextUrl(): URL {
		return new URL(this.url)
	}
}

interface Context {
	readonly params: Promise<{ readonly slug: string }>
}

/** What a file such as app/posts/[slug]/route.ts exports. */
interface Route {
	readonly GET: (request: NextRequest, context: Context) => Promise<Response> | Response
	readonly POST?: (request: NextRequest, context: Context) => Promise<Response> | Response
}

async function served(route: Route) {
	const answer = async (incoming: IncomingMessage): Promise<Response> => {
		const { method = 'GET', headers, url = '/' } = incoming
		const request = new NextRequest(`http://localhost${url}`, { method, headers: headers as Record<string, string> })
		// HEAD is answered by GET, where there is none.
		const handler = method === 'GET' || method === 'HEAD' ? route.GET : route.POST
		if (handler === undefined) return new Response(null, { status: 405 })
		const response = await handler(request, { params: Promise.resolve({ slug: request.nextUrl.pathname.split('/').at(-1)! }) })
		if (!(response instanceof Response)) throw new Error('No response is returned from route handler')
		return response
	}
	const server = createServer(async (incoming, outgoing) => {
		const { status, headers, body } = await answer(incoming)
		outgoing.statusCode = status
		for (const [name, value] of headers) if (name !== 'set-cookie') outgoing.setHeader(name, value)
		outgoing.setHeader('set-cookie', headers.getSetCookie())
		if (body === null || incoming.method === 'HEAD') outgoing.end()
		else Readable.fromWeb(body as never).pipe(outgoing)
	})
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
	onTestFinished(() => {
		server.close()
		server.closeAllConnections()
	})
	const { port } = server.address() as AddressInfo
	return (path: string, options?: Parameters<typeof ask>[2]) => ask(port, path, options)
}

function routeOf(counter: HitTarget, stored: Promise<unknown>[] = []): Route {
	const counted = hitCounter({
		counter,
		visitor: cookieVisitor({ secret: 'a secret of more than 16 bytes', secure: false }),
		// As `after` of next/server takes it.
		waitUntil: (promise) => void stored.push(promise),
	})
	return {
		GET: counted(async (request: NextRequest, { params }: Context) => {
			const { slug } = await params
			if (slug === 'none') return Response.json({ error: 'none' }, { status: 404 })
			return Response.json({ slug, from: request.nextUrl.searchParams.get('from') }, { headers: { 'Set-Cookie': 'theme=dark' } })
		}),
		POST: counted(async () => new Response('made', { status: 201 })),
	}
}

describe('a Next.js route handler', () => {
	it('is called as ever, and its pages are counted when they were sent', async () => {
		const counter = notebook()
		const ask = await served(routeOf(counter))
		const answer = await ask('/posts/hello?from=mail')
		expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { slug: 'hello', from: 'mail' }])
		expect(answer.headers['content-type']).toBe('application/json')
		await soon(() => expect(counter.hits).toEqual([{ key: '/posts/hello', visitor: expect.stringMatching(/^[\w-]{22}$/) }]))
		const cookies = answer.headers['set-cookie'] as string[]
		expect(cookies).toEqual(['theme=dark', expect.stringMatching(/^tm_visitor=/)])
		await ask('/posts/other', { headers: { cookie: cookies[1]!.split(';')[0]! } })
		await soon(() => expect(counter.hits).toHaveLength(2))
		expect(counter.hits[1]!.visitor).toBe(counter.hits[0]!.visitor)
	})

	it('counts no HEAD, no POST and no page that is not there; what its router fetches in advance is a prefetch', async () => {
		const counter = notebook()
		const stored: Promise<unknown>[] = []
		const ask = await served(routeOf(counter, stored))
		expect((await ask('/posts/hello', { method: 'HEAD' })).status).toBe(200)
		expect((await ask('/posts/hello', { method: 'POST' })).status).toBe(201)
		expect((await ask('/posts/none')).status).toBe(404)
		await ask('/posts/hello', { headers: { 'next-router-prefetch': '1' } })
		await soon(() => expect(counter.hits).toEqual([{ key: '/posts/hello', lane: 'prefetch' }]))
		await Promise.all(stored)
		expect(stored).toHaveLength(1)
	})
})
