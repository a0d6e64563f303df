/** The same small site on each framework, on a real server: what the middleware promises, it promises on all of them. */

import { createServer, type Server } from 'node:http'
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import KoaRouter from '@koa/router'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import { onTestFinished } from 'vitest'
import { hitCounter as expressCounter } from '../../../src/express.ts'
import { hitCounter as fastifyCounter } from '../../../src/fastify.ts'
import { hitCounter as fetchCounter, hitMiddleware } from '../../../src/fetch.ts'
import type { HitCounterOptions } from '../../../src/http/hit-counter.ts'
import { hitCounter as koaCounter } from '../../../src/koa.ts'
import { type Ask, abandon, abandonHttp2, ask, askHttp2 } from './served.ts'

/** What a page of the site answers. */
export interface Page {
	readonly status?: number
	readonly body?: string
	readonly headers?: Readonly<Record<string, string>>
	/** In place of a body: sent piece by piece, as they come. */
	readonly pieces?: () => AsyncIterable<string>
}

export type Site = (path: string) => Page

/** The functions in the options are given what the framework has for a request; see {@link targetOf} and {@link headerOf}. */
export type Options = HitCounterOptions<object, object>

export interface Served {
	readonly port: number
	readonly ask: Ask
	/** Asks for a page and leaves as soon as some of it is there. Resolves when the server has seen that. */
	readonly abandon: (path: string) => Promise<void>
}

export interface Framework {
	readonly name: string
	/** Whether it tells its routes. */
	readonly routes: boolean
	/** Koa 2 does not answer HEAD over HTTP/2. */
	readonly head?: false
	/**
	 * Serves the site, counted once for each of the options, until the test ends; options that come twice are one middleware that is mounted twice.
	 * `trust`: one proxy, on this machine.
	 */
	serve(options: readonly Options[], site: Site, trust?: boolean): Promise<Served>
}

/** The request target, of any framework's request. */
export function targetOf(request: object): string {
	const { originalUrl, url, req } = request as { originalUrl?: string; url?: string; req?: { url: string } }
	const target = originalUrl ?? url ?? req?.url ?? ''
	return target.replace(/^http:\/\/[^/]*/, '')
}

export function headerOf(request: object, name: string): string | undefined {
	const { headers, req } = request as { headers?: Headers & Record<string, string>; req?: { raw: Request } }
	if (req?.raw !== undefined) return req.raw.headers.get(name) ?? undefined
	return typeof headers?.get === 'function' ? (headers.get(name) ?? undefined) : headers?.[name]
}

/** Of a framework's response or context. */
export function statusOf(response: object): number {
	const { statusCode, status } = response as { statusCode?: number; status?: number }
	return statusCode ?? status ?? 0
}

/** Makes each middleware once, however often its options come. */
function madeOnce<Middleware>(make: (options: Options) => Middleware): (options: Options) => Middleware {
	const made = new Map<Options, Middleware>()
	return (options) => {
		const middleware = made.get(options) ?? make(options)
		made.set(options, middleware)
		return middleware
	}
}

async function listening(server: Server | Http2Server): Promise<Served> {
	if (!server.listening) await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
	const { port } = server.address() as AddressInfo
	const seen = (leave: () => void) =>
		new Promise<void>((resolve) => {
			server.once('connection', (socket: Socket) => socket.once('close', () => resolve()))
			leave()
		})
	if ('closeAllConnections' in server) {
		onTestFinished(() => {
			server.close()
			server.closeAllConnections()
		})
		return { port, ask: (path, options) => ask(port, path, options), abandon: (path) => seen(() => abandon(port, path)) }
	}
	const sessions = new Set<ServerHttp2Session>()
	server.on('session', (session) => sessions.add(session))
	onTestFinished(() => {
		server.close()
		for (const session of sessions) session.destroy()
	})
	return { port, ask: (path, options) => askHttp2(port, path, options), abandon: (path) => seen(() => abandonHttp2(port, path)) }
}

function onExpress(name: string, make: typeof express): Framework {
	return {
		name,
		routes: true,
		serve: (options, site, trust) => {
			const app = make()
			if (trust === true) app.set('trust proxy', 'loopback')
			const middleware = madeOnce((each) => expressCounter(each as never))
			for (const each of options) app.use(middleware(each))
			const answer = (request: express.Request, response: express.Response) => {
				const { status = 200, body = '', headers = {}, pieces } = site(request.originalUrl)
				response.status(status).set(headers)
				if (pieces === undefined) response.send(body)
				else pipeline(Readable.from(pieces()), response, () => {})
			}
			const blog = make.Router()
			blog.get('/posts/:slug', answer)
			app.use('/blog', blog)
			app.get('/users/:id', answer)
			app.use(answer)
			return listening(createServer(app))
		},
	}
}

function onKoa(name: string, Make: typeof Koa, http2 = false): Framework {
	return {
		name,
		routes: true,
		...(http2 && Make === Koa2 && { head: false }),
		serve: (options, site, trust) => {
			const app = new Make(trust === true ? { proxy: true, maxIpsCount: 1 } : {})
			// Broken streams are meant.
			app.on('error', () => {})
			const middleware = madeOnce((each) => koaCounter(each as never))
			for (const each of options) app.use(middleware(each) as Koa.Middleware)
			const answer = (context: Koa.Context) => {
				const { status = 200, body = '', headers = {}, pieces } = site(context.originalUrl)
				context.status = status
				context.set({ ...headers })
				const stream = pieces && Readable.from(pieces())
				// Koa 2 lets a stream go on whose client left, and a client wait whose stream broke.
				stream?.on('error', () => context.res.destroy())
				context.res.once('close', () => stream?.destroy())
				context.body = stream ?? body
			}
			const router = new KoaRouter()
			router.get('/blog/posts/:slug', answer).get('/users/:id', answer)
			app.use(router.routes() as unknown as Koa.Middleware)
			app.use((context, next) => (context.body === undefined ? answer(context) : next()))
			return listening(http2 ? createHttp2Server(app.callback() as never) : createServer(app.callback()))
		},
	}
}

const onFastify = (name: string, http2 = false): Framework => ({
	name,
	routes: true,
	serve: async (options, site, trust) => {
		const app = fastify({
			forceCloseConnections: true,
			trustProxy: trust === true ? 'loopback' : false,
			...(http2 && { http2 }),
		} as object)
		for (const each of options) app.register(fastifyCounter, each as never)
		const answer = (request: fastify.FastifyRequest, reply: fastify.FastifyReply) => {
			const { status = 200, body = '', headers = {}, pieces } = site(request.originalUrl)
			return reply
				.code(status)
				.headers(headers)
				.send(pieces === undefined ? body : Readable.from(pieces()))
		}
		app.get('/users/:id', answer)
		app.register(async (blog) => void blog.get('/posts/:slug', answer), { prefix: '/blog' })
		app.setNotFoundHandler(answer)
		await app.listen({ port: 0, host: '127.0.0.1' })
		return listening(app.server)
	},
})

function pageResponse(site: Site, request: Request): Response {
	const { status = 200, body = '', headers = {}, pieces } = site(targetOf(request))
	const bodyless = request.method === 'HEAD' || [204, 304].includes(status)
	const encoder = new TextEncoder()
	const stream = async function* () {
		for await (const piece of pieces?.() ?? []) yield encoder.encode(piece)
	}
	return new Response(bodyless ? null : pieces === undefined ? body : (Readable.toWeb(Readable.from(stream())) as ReadableStream), {
		status,
		headers,
	})
}

/** As it comes from the connection; behind the proxy of the tests, the last address that it added. */
function addressOf(trust: boolean | undefined, peer: string | undefined, forwarded: string | null | undefined): string | undefined {
	return trust === true ? (forwarded?.split(',').at(-1)?.trim() ?? peer) : peer
}

const onFetch: Framework = {
	name: 'a fetch handler',
	routes: false,
	serve: (options, site, trust) => {
		let handler = async (request: Request, _peer: string | undefined) => pageResponse(site, request)
		const address = (request: Request, peer: string | undefined) => addressOf(trust, peer, request.headers.get('x-forwarded-for'))
		const wrapper = madeOnce((each) => fetchCounter<[Request, string | undefined]>({ ...(each as object), address } as never))
		for (const each of [...options].reverse()) handler = wrapper(each)(handler)
		return listening(
			createServer(
				getRequestListener((request, { incoming }) =>
					handler(request, (incoming as { socket: { remoteAddress: string } }).socket.remoteAddress),
				),
			),
		)
	},
}

const onHono = (name: string, http2 = false): Framework => ({
	name,
	routes: true,
	serve: (options, site, trust) => {
		const app = new Hono()
		const address = (context: Parameters<typeof getConnInfo>[0]) =>
			addressOf(trust, getConnInfo(context).remote.address, context.req.header('x-forwarded-for'))
		const middleware = madeOnce((each) => hitMiddleware({ ...(each as object), address } as never))
		for (const each of options) app.use(middleware(each) as never)
		app.get('/users/:id', (context) => pageResponse(site, context.req.raw))
		app.route(
			'/blog',
			new Hono().get('/posts/:slug', (context) => pageResponse(site, context.req.raw)),
		)
		app.all('*', (context) => pageResponse(site, context.req.raw))
		const listener = getRequestListener(app.fetch)
		return listening(http2 ? createHttp2Server(listener) : createServer(listener))
	},
})

export const frameworks: readonly Framework[] = [
	onExpress('Express 5', express),
	onExpress('Express 4', express4),
	onKoa('Koa 3', Koa),
	onKoa('Koa 2', Koa2),
	onFastify('Fastify 5'),
	onFetch,
	onHono('Hono 4'),
	// Express cannot be served over HTTP/2.
	onKoa('Koa 3 over HTTP/2', Koa, true),
	onKoa('Koa 2 over HTTP/2', Koa2, true),
	onFastify('Fastify 5 over HTTP/2', true),
	onHono('Hono 4 over HTTP/2', true),
]
