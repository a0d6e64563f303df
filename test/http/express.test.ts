import { connect } from 'node:net'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { TallymarkError } from '../../src/errors.ts'
import { anonymousVisitor, hitCounter, keyOfPath } from '../../src/express.ts'
import { Counter } from '../../src/index.ts'
import { firefox, notebook, served, soon, warnings } from './support/served.ts'

const secret = 'a secret of more than 16 bytes'

describe('hitCounter: what counts', () => {
	it('counts a page under its path, after the response', async () => {
		const counter = notebook()
		let before: number | undefined
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.get('/caf%C3%A9/', (_request, response) => {
				response.send('hello')
				before = counter.hits.length
			})
			app.get('/{*any}', (_request, response) => void response.send('hello'))
		})
		expect(await ask('//caf%c3%a9/?utm_source=x')).toMatchObject({ status: 200, body: 'hello' })
		await soon(() => expect(counter.keys).toEqual(['/café']))
		await ask('/caf%C3%A9/')
		await soon(() => expect(counter.keys).toEqual(['/café', '/café']))
		expect(before).toBe(1)
	})

	it.each([
		['GET', 200, 1],
		['GET', 201, 1],
		['GET', 204, 1],
		['GET', 301, 0],
		['GET', 302, 0],
		['GET', 304, 1],
		['GET', 400, 0],
		['GET', 404, 0],
		['GET', 500, 0],
		['GET', 503, 0],
		['HEAD', 200, 0],
		['OPTIONS', 200, 0],
		['POST', 200, 0],
		['PUT', 200, 0],
		['DELETE', 204, 0],
	])('%s answered %i counts %i', async (method, status, count) => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.use('/page', (_request, response) => void response.status(status).end())
			app.get('/after', (_request, response) => void response.end())
		})
		expect((await ask('/page', { method })).status).toBe(status)
		// The next response is counted after this one would have been.
		await ask('/after')
		await soon(() => expect(counter.keys).toContain('/after'))
		expect(counter.keys).toEqual(count ? ['/page', '/after'] : ['/after'])
	})

	it('goes by the final status: not found, thrown, not modified', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.get('/page', (_request, response) => void response.send('hello'))
			app.get('/broken', async () => {
				throw new Error('on purpose')
			})
			app.use((_error: unknown, _request: express.Request, response: express.Response, _next: express.NextFunction) => {
				response.status(500).end()
			})
		})
		expect((await ask('/nowhere')).status).toBe(404)
		expect((await ask('/broken')).status).toBe(500)
		const first = await ask('/page')
		const again = await ask('/page', { headers: { 'if-none-match': String(first.headers['etag']) } })
		expect(again.status).toBe(304)
		await soon(() => expect(counter.keys).toEqual(['/page', '/page']))
	})

	it('does not count a response whose client left', async () => {
		const counter = notebook()
		let left: () => void = () => {}
		const closed = new Promise<void>((resolve) => {
			left = resolve
		})
		const { port, ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.get('/slow', (_request, response) => {
				response.write('half ')
				response.once('close', () => {
					response.end('a page')
					left()
				})
			})
			app.get('/after', (_request, response) => void response.end())
		})
		const socket = connect(port, '127.0.0.1', () => socket.write('GET /slow HTTP/1.1\r\nHost: h\r\n\r\n'))
		socket.once('data', () => socket.destroy())
		await closed
		await ask('/after')
		await soon(() => expect(counter.keys).toEqual(['/after']))
	})

	it('leaves out what skip says', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter, skip: (request, response) => request.path.startsWith('/api') || response.statusCode === 203 }))
			app.get('/{*any}', (request, response) => void response.status(request.path === '/odd' ? 203 : 200).end())
		})
		for (const path of ['/api/x', '/odd', '/page']) await ask(path)
		await soon(() => expect(counter.keys).toEqual(['/page']))
	})

	it('counts hostile paths under clean keys', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.use((_request, response) => void response.end())
		})
		const paths = [
			'/__proto__',
			'/a/../../../etc/passwd',
			'/%2e%2e/%2e%2e/x',
			'/%',
			'/%zz',
			'/%00',
			'/%c0%af',
			'/{a}b:*',
			`/${'x'.repeat(12_000)}`,
		]
		for (const path of paths) expect((await ask(path)).status).toBe(200)
		await soon(() => expect(counter.keys).toEqual(paths.map((path) => keyOfPath(path))))
		for (const key of counter.keys) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(512)
		expect(counter.errors).toEqual([])
	})
})

describe('hitCounter: routers', () => {
	it('counts the whole path inside a router that is mounted somewhere', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			const router = express.Router()
			router.use(hitCounter({ counter }))
			router.get('/post/:id', (_request, response) => void response.end())
			app.use('/blog', router)
			app.get('/other', (_request, response) => void response.end())
		})
		await ask('/other')
		await ask('/blog/post/7?x')
		await soon(() => expect(counter.keys).toEqual(['/blog/post/7']))
	})

	it('asks for the key once the route is known; undefined does not count', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter, key: (request) => request.route && request.baseUrl + request.route.path }))
			const users = express.Router()
			users.get('/:id', (_request, response) => void response.end())
			app.use('/users', users)
			app.use('/static', (_request, response) => void response.end())
			app.get('/about', (_request, response) => void response.end())
		})
		for (const path of ['/users/1', '/users/2', '/static/a.css', '/about']) await ask(path)
		await soon(() => expect(counter.keys).toEqual(['/users/:id', '/users/:id', '/about']))
	})
})

describe('hitCounter: mounted twice', () => {
	it('counts once and warns once, by the options of the first', async () => {
		const counter = notebook()
		const seen = warnings()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter, classify: 'own' }))
			const router = express.Router()
			router.use(hitCounter({ counter }))
			router.get('/page', (_request, response) => void response.end())
			app.use('/', router)
		})
		for (let i = 0; i < 3; i++) await ask('/page')
		await soon(() => expect(counter.hits).toHaveLength(3))
		expect(counter.hits.every((hit) => hit.lane === 'own')).toBe(true)
		await soon(() => expect(seen).toHaveLength(1))
		expect(seen[0]).toMatchObject({ name: 'TallymarkWarning', code: 'TALLYMARK_MOUNTED_TWICE' })
	})

	it('counts for two counters without a warning', async () => {
		const [pages, site] = [notebook(), notebook()]
		const seen = warnings()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter: pages }), hitCounter({ counter: site, key: () => 'site' }))
			app.get('/page', (_request, response) => void response.end())
		})
		await ask('/page')
		await soon(() => expect([pages.keys, site.keys]).toEqual([['/page'], ['site']]))
		expect(seen).toEqual([])
	})
})

describe('hitCounter: nothing here reaches the response', () => {
	it('never waits for the counter', async () => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter: { hit: (key) => counter.hit(key).then(() => new Promise(() => {})) } }))
			app.get('/page', (_request, response) => void response.send('hello'))
		})
		for (let i = 0; i < 20; i++) expect((await ask('/page')).body).toBe('hello')
		await soon(() => expect(counter.hits).toHaveLength(20))
	})

	const bang = () => {
		throw new Error('on purpose')
	}
	it.each([
		['key', { key: bang }],
		['skip', { skip: bang }],
		['classify', { classify: bang }],
	])('an option that throws (%s) goes to the counter as an error', async (name, option) => {
		const counter = notebook()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter, ...option }))
			app.get('/page', (_request, response) => void response.send('hello'))
		})
		expect(await ask('/page')).toMatchObject({ status: 200, body: 'hello' })
		await soon(() => expect(counter.errors).toHaveLength(1))
		expect(counter.errors[0]).toMatchObject({
			code: 'ERR_TALLYMARK_OPTION',
			message: `The option \`${name}\` threw: on purpose`,
			cause: expect.objectContaining({ message: 'on purpose' }),
		})
		expect(counter.hits).toEqual([])
	})

	it('a hit that rejects has been reported by the counter; one that throws is reported to it, and a report that fails ends there', async () => {
		const errors: unknown[] = []
		const report = (error: unknown) => {
			errors.push(error)
			bang()
		}
		let rejected = 0
		const reject = () => {
			rejected++
			return Promise.reject(new TallymarkError('ERR_TALLYMARK_KEY', 'too long'))
		}
		const { ask } = await served((app) => {
			app.use('/a', hitCounter({ counter: { hit: reject, report } }))
			app.use('/b', hitCounter({ counter: { hit: bang, report } }))
			app.use((_request, response) => void response.send('hello'))
		})
		expect((await ask('/a')).body).toBe('hello')
		await soon(() => expect(rejected).toBe(1))
		expect((await ask('/b')).body).toBe('hello')
		await soon(() => expect(errors).toHaveLength(1))
		expect(errors[0]).toMatchObject({ code: 'ERR_TALLYMARK_ARGUMENT', message: 'A hit failed: on purpose' })
	})

	it('a Counter tells its listeners of an option that throws and of a key that it refuses, each once', async () => {
		const errors: TallymarkError[] = []
		const counter = new Counter({ maxKeyBytes: 64, onError: (error) => errors.push(error) })
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter, key: (request) => (request.path === '/bang' ? bang() : request.path) }))
			app.use((_request, response) => void response.send('hello'))
		})
		expect((await ask('/bang')).body).toBe('hello')
		await soon(() => expect(errors).toHaveLength(1))
		expect((await ask(`/${'x'.repeat(100)}`)).body).toBe('hello')
		await ask('/page')
		await soon(async () => expect(await counter.count('/page')).toBe(1))
		expect(errors).toMatchObject([{ code: 'ERR_TALLYMARK_OPTION' }, { code: 'ERR_TALLYMARK_KEY' }])
		expect(await counter.all.count()).toBe(1)
		await counter.close()
	})

	it('warns once where the counter takes no errors', async () => {
		const seen = warnings()
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter: { hit: async () => {} }, key: bang }))
			app.use((_request, response) => void response.end())
		})
		await ask('/a')
		await ask('/b')
		await soon(() => expect(seen.map((warning) => warning.code)).toEqual(['ERR_TALLYMARK_OPTION']))
	})
})

describe('hitCounter: visitors', () => {
	const visitor = anonymousVisitor({ secret, clock: { now: () => Date.UTC(2026, 0, 15) } })
	const agent = firefox

	async function visitorsOf(trust: string | number | undefined, forwarded: readonly (string | undefined)[]) {
		const counter = notebook()
		const { ask } = await served((app) => {
			if (trust !== undefined) app.set('trust proxy', trust)
			app.use(hitCounter({ counter, visitor }))
			app.use((_request, response) => void response.end())
		})
		for (const header of forwarded) {
			await ask('/', { headers: { 'user-agent': agent, ...(header !== undefined && { 'x-forwarded-for': header }) } })
		}
		await soon(() => expect(counter.hits).toHaveLength(forwarded.length))
		return counter.hits.map((hit) => hit.visitor)
	}

	it('X-Forwarded-For does not choose who one is', async () => {
		const seen = await visitorsOf(undefined, [undefined, '192.0.2.1', '192.0.2.2, 192.0.2.3', 'unknown'])
		expect(new Set(seen)).toEqual(new Set([visitor({ ip: '127.0.0.1', userAgent: agent })]))
	})

	it('of a trusted proxy it is the address that the proxy saw, whatever the client wrote before it', async () => {
		const seen = await visitorsOf('loopback', ['192.0.2.1', '203.0.113.9, 192.0.2.1', '192.0.2.2'])
		const [one, two] = ['192.0.2.1', '192.0.2.2'].map((ip) => visitor({ ip, userAgent: agent }))
		expect(seen).toEqual([one, one, two])
	})

	it('is anonymous unless said otherwise, and none where it is false', async () => {
		const [plain, none, own] = [notebook(), notebook(), notebook()]
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter: plain }))
			app.use(hitCounter({ counter: none, visitor: false }))
			app.use(hitCounter({ counter: own, visitor: (request) => String(request.headers['x-user']), classify: () => 'bot' }))
			app.use((_request, response) => void response.end())
		})
		await ask('/', { headers: { 'x-user': 'ada' } })
		await soon(() => expect(own.hits).toEqual([{ key: '/', visitor: 'ada', lane: 'bot' }]))
		expect(plain.hits).toEqual([{ key: '/', visitor: expect.stringMatching(/^[\w-]{22}$/) }])
		expect(none.hits).toEqual([{ key: '/' }])
	})
})

describe('hitCounter: options', () => {
	const counter = notebook()
	it.each([
		[undefined, /Expected `options` to be an object, got undefined/],
		[{}, /Expected `counter` to be a Counter, got undefined/],
		[{ counter: {} }, /Expected `counter` to be a Counter/],
		[{ counter, keys: () => 'x' }, /known options \(counter, key, visitor, skip, classify, privacySignals, bots, own\), got `keys`/],
		[{ counter, key: '/x' }, /Expected `key` to be 'path', 'route' or a function, got "\/x" \(string\)/],
		[{ counter, skip: true }, /Expected `skip` to be a function/],
		[{ counter, visitor: 'ada' }, /Expected `visitor` to be a function or false/],
		[{ counter, classify: 'humans' }, /Expected `classify` to be one of human, /],
	])('refuses %o', (options, message) => {
		expect(() => hitCounter(options as never)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(message) }),
		)
	})

	it('fits the types of Express', () => {
		const app = express()
		app.use(hitCounter({ counter }))
		app.use('/x', hitCounter({ counter, key: (request) => request.route?.path ?? request.path }))
		app.use(
			hitCounter<express.Request, express.Response>({
				counter,
				key: (request) => request.hostname,
				skip: (_, response) => response.headersSent,
			}),
		)
		app.get('/y', hitCounter({ counter, visitor: anonymousVisitor({ secret }) }), (_request, response) => void response.end())
		// @ts-expect-error a key is text
		hitCounter({ counter, key: () => 7 })
		expect(app.router.stack).toHaveLength(4)
	})
})
