import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { hitCounter, hitMiddleware } from '../../src/fetch.ts'
import { Counter } from '../../src/index.ts'
import { firefox, notebook, soon, warnings } from './support/served.ts'

const page = (path: string, init: RequestInit = {}) =>
	new Request(`https://example.com${path}`, { ...init, headers: { 'user-agent': firefox, ...(init.headers as object) } })
const address = () => '192.0.2.1'

describe('a wrapped handler', () => {
	it('is called with all that it is given, and so are `address` and `waitUntil`', async () => {
		const counter = notebook()
		const seen: unknown[] = []
		const counted = hitCounter<[Request, { ip: string }]>({
			counter,
			address: (request, server) => {
				seen.push(request.url, server.ip)
				return server.ip
			},
			waitUntil: (_stored, _request, server) => void seen.push(server.ip),
		})
		const handler = counted((request, server) => new Response(`${request.url} ${server.ip}`))
		const response = await handler(page('/a'), { ip: '192.0.2.7' })
		expect(await response.text()).toBe('https://example.com/a 192.0.2.7')
		expect(seen).toEqual(['192.0.2.7', 'https://example.com/a', '192.0.2.7'])
	})

	it('answers what it answered: status, headers, cookies, body', async () => {
		const headers = new Headers({ 'content-type': 'text/plain', 'x-a': 'b' })
		headers.append('set-cookie', 'a=1')
		headers.append('set-cookie', 'b=2')
		const handler = hitCounter({ counter: notebook(), address })(() => new Response('hello', { status: 201, statusText: 'Made', headers }))
		const response = await handler(page('/a'))
		expect([
			response.status,
			response.statusText,
			response.headers.get('x-a'),
			response.headers.getSetCookie(),
			await response.text(),
		]).toEqual([201, 'Made', 'b', ['a=1', 'b=2'], 'hello'])
	})

	it('gives back the very response where nothing is to be counted, or nothing to be read', async () => {
		const counter = notebook()
		const responses = [
			new Response('no', { status: 404 }),
			Response.redirect('https://example.com/', 302),
			Response.error(),
			new Response(null),
		]
		const counted = hitCounter({ counter, address })
		for (const response of responses) expect(await counted(() => response)(page('/a'))).toBe(response)
		expect(counter.hits).toHaveLength(1)
	})

	it('counts when the body was read to its end, once, and not when it was given up', async () => {
		const counter = notebook()
		let given: unknown
		const body = () =>
			new ReadableStream({
				pull: (controller) => controller.enqueue(new Uint8Array(10)),
				cancel: (reason) => {
					given = reason
				},
			})
		const counted = hitCounter({ counter, address })
		const endless = await counted(() => new Response(body()))(page('/endless'))
		const reader = endless.body!.getReader()
		await reader.read()
		await reader.cancel('enough')
		expect(given).toBe('enough')
		const whole = await counted(() => new Response('hello'))(page('/whole'))
		expect(counter.hits).toEqual([])
		expect(await whole.text()).toBe('hello')
		await soon(() => expect(counter.keys).toEqual(['/whole']))
	})

	it('lets the errors of the handler through', async () => {
		const counter = notebook()
		const handler = hitCounter({ counter, address })(() => {
			throw new Error('on purpose')
		})
		await expect(handler(page('/a'))).rejects.toThrow('on purpose')
		expect(counter.hits).toEqual([])
	})

	it('gives `waitUntil` a promise that resolves when the hit is stored, or there is none', async () => {
		const counter = new Counter({ batch: { maxWaitMs: 3_600_000 } })
		const flushed: number[] = []
		counter.on('flush', ({ hits }) => flushed.push(hits))
		const waiting: Promise<unknown>[] = []
		const counted = hitCounter({ counter, address, waitUntil: (stored) => void waiting.push(stored) })
		const response = await counted(() => new Response('hello'))(page('/a'))
		await response.text()
		await waiting[0]
		expect(flushed).toEqual([1])
		const left = await counted(() => new Response('hello'))(page('/b'))
		await left.body!.cancel()
		await waiting[1]
		await counted(() => new Response('hello'))(page('/health')).then((health) => health.text())
		await waiting[2]
		expect([flushed, await counter.all.count()]).toEqual([[1], 1])
		await counter.close()
	})

	it.each([
		() => {
			throw new Error('no context')
		},
		() => Promise.reject(new Error('no context')),
	])('answers and counts where `waitUntil` fails, and reports it', async (waitUntil) => {
		const counter = notebook()
		const response = await hitCounter({ counter, address, waitUntil })(() => new Response('hello'))(page('/a'))
		expect(await response.text()).toBe('hello')
		await soon(() => expect(counter.keys).toEqual(['/a']))
		expect(counter.errors).toMatchObject([{ code: 'ERR_TALLYMARK_OPTION', message: 'The option `waitUntil` threw: no context' }])
	})

	it('counts without a visitor where `address` throws, and reports that once', async () => {
		const counter = notebook()
		const counted = hitCounter({
			counter,
			address: () => {
				throw new Error('no server')
			},
			own: { addresses: ['192.0.2.1'] },
		})
		await (await counted(() => new Response('hello'))(page('/a'))).text()
		await soon(() => expect(counter.hits).toEqual([{ key: '/a' }]))
		expect(counter.errors).toMatchObject([{ code: 'ERR_TALLYMARK_OPTION', message: 'The option `address` threw: no server' }])
	})

	it('warns where it has no address to tell visitors by, and not where visitors are known otherwise, or not wanted', async () => {
		const seen = warnings()
		const counter = notebook()
		for (const options of [{ visitor: false as const }, { visitor: () => 'ada' }, { address }]) hitCounter({ counter, ...options })
		hitCounter({ counter })
		await soon(() => expect(seen.map(({ code }) => code)).toEqual(['TALLYMARK_NO_ADDRESS']))
	})

	it.each([
		[undefined, /Expected `options` to be an object/],
		[{ counter: notebook(), address: '::1' }, /Expected `address` to be a function/],
		[{ counter: notebook(), waitUntil: true }, /Expected `waitUntil` to be a function/],
		[{ counter: notebook(), adress: address }, /known options .* got `adress`/],
	])('refuses %o', (options, message) => {
		expect(() => hitCounter(options as never)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(message) }),
		)
	})

	it('fits the types of handlers', async () => {
		const counted = hitCounter({
			counter: notebook(),
			address,
			key: (request) => request.url,
			skip: (_request, response) => response.status === 203,
		})
		const get = counted(
			async (request: Request, context: { params: Promise<{ id: string }> }) => new Response((await context.params).id + request.method),
		)
		const response: Response = await get(page('/a'), { params: Promise.resolve({ id: '7' }) })
		expect(await response.text()).toBe('7GET')
		const app = new Hono().use(
			hitMiddleware({ counter: notebook(), address: (context) => context.req.raw.headers.get('x-a') ?? undefined }),
		)
		expect((await app.request('/a')).status).toBe(404)
		// @ts-expect-error a key is text
		hitCounter({ counter: notebook(), key: () => 7 })
	})
})
