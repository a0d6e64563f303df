import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { settingsFrom } from '../../examples/server/settings.ts'
import { ask, soon } from '../http/support/served.ts'
import { browser, exampleServer, outputOf, runProgram } from './support/example-server.ts'

const get = async (port: number, path: string) => JSON.parse((await ask(port, path)).body)

describe('the example server: start', () => {
	it('says where it listens and what there is', async () => {
		const { greeting } = await exampleServer()
		expect(greeting).toMatch(/http:\/\/127\.0\.0\.1:\d+/)
		for (const endpoint of ['POST /visit/:page_id', 'GET /visits/:page_id', 'GET /health', '/site']) expect(greeting).toContain(endpoint)
	})

	it.each(['http', '-1', '65536', '3000x', '1e3', ' ', '0x10'])('takes no PORT=%j', (PORT) => {
		expect(() => settingsFrom({ PORT })).toThrow(
			`Expected PORT to be a whole number from 0 (any free port) to 65535, got ${JSON.stringify(PORT)}`,
		)
	})

	it('listens on 127.0.0.1:3000 unless told otherwise', () => {
		expect(settingsFrom({})).toMatchObject({ port: 3000, host: '127.0.0.1', redisUrl: undefined })
		expect(settingsFrom({ PORT: '', HOST: '' })).toMatchObject({ port: 3000, host: '127.0.0.1', redisUrl: undefined })
		expect(settingsFrom({ PORT: '8080', HOST: '::' })).toMatchObject({ port: 8080, host: '::' })
	})

	it('does not start on a wrong PORT, and names it', async () => {
		const { code, stderr } = await outputOf(runProgram('examples/server/main.ts', [], { PORT: 'http' }))
		expect([code, stderr]).toEqual([1, expect.stringMatching(/^Expected PORT to be .*, got "http"\n$/)])
	})

	it('says so when the port is taken', async () => {
		const { port } = await exampleServer()
		const { code, stderr } = await outputOf(runProgram('examples/server/main.ts', [], { PORT: String(port) }))
		expect(code).toBe(1)
		expect(stderr).toMatch(new RegExp(`address already in use.*${port}`))
	})
})

describe('the example server: endpoints', () => {
	it('counts visits and tells them', async () => {
		const { port } = await exampleServer()
		expect(await get(port, '/visits/home')).toEqual({ count: 0, served_via: 'memory' })
		for (let i = 1; i <= 3; i++) {
			const { status, body } = await ask(port, '/visit/home', { method: 'POST' })
			expect([status, JSON.parse(body)]).toEqual([200, { status: 'success', message: expect.stringContaining('home') }])
			expect((await get(port, '/visits/home')).count).toBe(i)
		}
		// Read a moment ago: the cache answers, with this process's own hits on top.
		expect(await get(port, '/visits/home')).toEqual({ count: 3, served_via: 'in_memory_cache' })
	})

	it('takes any text as a page id', async () => {
		const { port } = await exampleServer()
		const ids = 'caf%C3%A9 %F0%9F%8E%89 a%2Fb %00 %0A __proto__ constructor a%20b %7Ba%7Db:* %25zz %E2%80%AE ..%2F.. %2F'.split(' ')
		for (const [index, id] of ids.entries()) {
			for (let visit = 0; visit <= index; visit++) {
				const { status, body } = await ask(port, `/visit/${id}`, {
					method: 'POST',
					headers: { 'content-type': 'application/json' },
					body: '{}',
				})
				expect([id, status]).toEqual([id, 200])
				expect(JSON.parse(body).message).toContain(decodeURIComponent(id))
			}
		}
		for (const [index, id] of ids.entries()) expect([id, await get(port, `/visits/${id}`)]).toMatchObject([id, { count: index + 1 }])
		const pages = ids.map((id, index) => ({ page: decodeURIComponent(id), views: index + 1 })).reverse()
		expect((await get(port, '/stats?limit=100&uniques=0')).pages).toEqual(pages)
	})

	it('answers bad input with 4xx and JSON', async () => {
		const { port, output } = await exampleServer()
		const json = { 'content-type': 'application/json' }
		const cases: [string, { method?: string; body?: string; headers?: Record<string, string> }, number, string][] = [
			['/visit/%zz', { method: 'POST' }, 400, 'ERR_BAD_REQUEST'],
			['/visits/%', {}, 400, 'ERR_BAD_REQUEST'],
			['/visits/%ff', {}, 400, 'ERR_BAD_REQUEST'],
			[`/visit/${'x'.repeat(600)}`, { method: 'POST' }, 400, 'ERR_TALLYMARK_KEY'],
			[`/visits/${'x'.repeat(600)}`, {}, 400, 'ERR_TALLYMARK_KEY'],
			['/visit/x', { method: 'POST', body: '{bad', headers: json }, 400, 'ERR_BAD_BODY'],
			['/visit/x', { method: 'POST', body: JSON.stringify({ a: 'x'.repeat(5_000) }), headers: json }, 413, 'ERR_BODY_TOO_LARGE'],
			['/visit/x', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json; charset=klingon' } }, 415, 'ERR_BAD_BODY'],
			['/stats?limit=0', {}, 400, 'ERR_BAD_REQUEST'],
			['/stats?limit=1&limit=2', {}, 400, 'ERR_BAD_REQUEST'],
			['/visit/x', {}, 405, 'ERR_METHOD'],
			['/visit/', { method: 'POST' }, 404, 'ERR_NOT_FOUND'],
			['/visit/a/b', { method: 'POST' }, 404, 'ERR_NOT_FOUND'],
			['/nowhere', {}, 404, 'ERR_NOT_FOUND'],
		]
		for (const [path, options, status, code] of cases) {
			const answer = await ask(port, path, options)
			expect([path.slice(0, 30), answer.status, JSON.parse(answer.body)]).toEqual([
				path.slice(0, 30),
				status,
				{ error: { code, message: expect.stringMatching(/\w/) } },
			])
			expect(answer.headers['content-type']).toMatch(/^application\/json/)
			expect(answer.body).not.toMatch(/node_modules|\.ts:/)
		}
		expect(await get(port, '/stats')).toEqual({ views: 0, unique_visitors: 0, pages: [] })
		// Nothing of it is a failure of the server's: no stack on its output.
		expect(output()).not.toMatch(/^ {4}at /m)
	})

	it('says how it is', async () => {
		const { port } = await exampleServer()
		const health = await get(port, '/health')
		expect(health).toMatchObject({ status: 'up', service: 'tallymark-example', store: 'memory', pendingHits: 0, dropped: 0 })
		expect(new Date(health.timestamp).toISOString()).toBe(health.timestamp)
		expect(await get(port, '/health/')).toMatchObject({ status: 'up', service: 'tallymark-example' })
	})

	it('counts the GETs of the site by path, and answers every method', async () => {
		const { port } = await exampleServer()
		const paths = [
			'/site',
			'/site/',
			'/site?x',
			'/site/about/?ref=1',
			'/site//about',
			'/SITE/caf%c3%a9',
			'/site/%zz',
			'/site/../visits/x',
			'/sitemap',
		]
		for (const path of paths.slice(0, -1)) expect((await ask(port, path, { headers: browser })).status).toBe(200)
		expect((await ask(port, paths.at(-1)!)).status).toBe(404)
		for (const method of ['HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']) {
			expect((await ask(port, '/site/about', { method, body: method === 'POST' ? '{bad' : '' })).status).toBe(200)
		}
		await soon(async () => expect((await get(port, '/stats')).views).toBe(8))
		expect((await get(port, '/stats?uniques=0')).pages).toEqual([
			{ page: '/', views: 3 },
			{ page: '/about', views: 2 },
			{ page: '/%zz', views: 1 },
			{ page: '/café', views: 1 },
			{ page: '/visits/x', views: 1 },
		])
		expect(await get(port, '/visits/%2Fabout')).toMatchObject({ count: 2 })
	})

	it('forms no identity of who asks not to be followed, and counts the visit', async () => {
		const { port } = await exampleServer()
		for (const signal of [{ 'sec-gpc': '1' }, { dnt: '1' }]) {
			expect((await ask(port, '/visit/home', { method: 'POST', headers: { ...browser, ...signal } })).status).toBe(200)
		}
		expect(await get(port, '/stats')).toMatchObject({ views: 2, unique_visitors: 0 })
		await ask(port, '/visit/home', { method: 'POST', headers: browser })
		expect(await get(port, '/stats')).toMatchObject({ views: 3, unique_visitors: 1 })
	})

	it('knows visitors by the address that a proxy on this machine brings', async () => {
		const { port } = await exampleServer()
		for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.1', '2001:db8::1', '2001:db8::2']) {
			await ask(port, '/site/', { headers: { ...browser, 'x-forwarded-for': address } })
		}
		await soon(async () => expect(await get(port, '/stats')).toMatchObject({ views: 5, unique_visitors: 3 }))
	})
})

describe('the example server: stop', () => {
	/** Clients that send one request after the other on a kept connection, until the first error. */
	async function underLoad(port: number, clients: number, onAnswer: (answered: number) => void) {
		const agent = new Agent({ keepAlive: true, maxSockets: clients })
		let answered = 0
		let failed = 0
		const send = (method: string, path: string) =>
			new Promise<number>((resolve, reject) => {
				const sent = httpRequest({ host: '127.0.0.1', port, path, method, agent }, (response) => {
					response.resume().on('end', () => resolve(response.statusCode!))
					response.on('error', reject)
				})
				sent.on('error', reject)
				sent.end()
			})
		await Promise.all(
			Array.from({ length: clients }, async (_, client) => {
				for (let i = 0; ; i++) {
					try {
						const status = await ((client + i) % 2 ? send('POST', `/visit/${i % 7}`) : send('GET', `/site/${i % 5}`))
						expect(status).toBe(200)
						onAnswer(++answered)
					} catch (error) {
						expect(error).toHaveProperty('code', expect.stringMatching(/ECONNREFUSED|ECONNRESET|EPIPE/))
						failed++
						return
					}
				}
			}),
		)
		agent.destroy()
		return { answered, failed }
	}

	it.each(['SIGTERM', 'SIGINT'] as const)('%s among 100 clients: every answered request is in the totals', async (signal) => {
		const server = await exampleServer()
		const { answered, failed } = await underLoad(server.port, 100, (count) => {
			if (count === 1_000) server.process.kill(signal)
		})
		const { code, totals } = await server.ended
		expect(code).toBe(0)
		expect(answered).toBeGreaterThanOrEqual(1_000)
		expect(totals).toMatchObject({ pages: 12, unstored: 0 })
		expect(totals!.hits).toBeGreaterThanOrEqual(answered)
		// What was not answered may have been counted, and nothing else may.
		expect(totals!.hits).toBeLessThanOrEqual(answered + failed)
	})

	it('lets a request that has begun finish, and counts it', async () => {
		const server = await exampleServer()
		const answer = new Promise<string>((resolve) => {
			let text = ''
			const socket = connect(server.port, '127.0.0.1', () => {
				socket.write('POST /visit/slow HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{')
			})
			socket.setEncoding('utf8').on('data', (piece) => {
				text += piece
			})
			socket.on('close', () => resolve(text))
			void (async () => {
				await ask(server.port, '/health') // by then the server has read the first half
				server.process.kill('SIGTERM')
				await soon(() => expect(server.output()).toContain('SIGTERM'))
				socket.write('}')
			})()
		})
		expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
		expect(await server.ended).toEqual({ code: 0, totals: { hits: 1, pages: 1, unstored: 0 } })
	})

	it('a second signal ends it at once', async () => {
		const server = await exampleServer()
		const socket = connect(server.port, '127.0.0.1', () =>
			socket.write('POST /visit/never HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n'),
		)
		socket.on('error', () => {})
		await ask(server.port, '/health')
		server.process.kill('SIGINT')
		await soon(() => expect(server.output()).toContain('SIGINT'))
		server.process.kill('SIGINT')
		expect(await server.ended).toEqual({ code: 1, totals: undefined })
	})
})
