import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { operations } from '../../examples/server/api/operations.ts'
import { settingsFrom } from '../../examples/server/settings.ts'
import { servedApp, told } from './support/app.ts'
import { browser } from './support/example-server.ts'

describe('API_KEY', () => {
	const key = 'a key of the server, 1'.replaceAll(' ', '-')
	const writes = [
		['POST', '/visit/home', undefined, 200],
		['POST', '/track', { page_id: 'home', user_id: 'ada' }, 200],
		['POST', '/events', { event_id: randomUUID(), user_id: 'ada', timestamp: new Date().toISOString(), event_type: 'page_view' }, 201],
		['POST', '/counters/a', undefined, 201],
		['PUT', '/counters/a', undefined, 200],
		['DELETE', '/counters/a', undefined, 204],
	] as const

	it('closes every endpoint that writes, whatever is sent in place of the key', async () => {
		const { send, ask, get } = await servedApp({ apiKey: key })
		expect(writes).toHaveLength(operations.filter((operation) => operation.writes).length)
		for (const [method, path, body] of writes) {
			for (const headers of [
				{},
				{ authorization: `Bearer ${key}x` },
				{ authorization: `Bearer ${key.slice(0, -1)}` },
				{ authorization: 'Bearer' },
				{ authorization: `Basic ${key}` },
				{ 'x-api-key': '' },
				{ 'x-api-key': key.toUpperCase() },
			]) {
				expect([method, path, await send(path, body, method, headers as Record<string, string>)]).toEqual([
					method,
					path,
					{ status: 401, json: { error: { code: 'ERR_API_KEY', message: expect.not.stringContaining(key) } } },
				])
			}
		}
		for (const path of ['/VISIT/home', '/visit/home/', '/visit/h%6Fme']) expect((await ask(path, { method: 'POST' })).status).toBe(401)
		expect((await ask('/visit/home', { method: 'POST' })).headers['www-authenticate']).toBe('Bearer')
		expect(await get('/stats')).toMatchObject({ views: 0 })
		expect(await get('/counters')).toEqual([])
	})

	it.each([{ authorization: `Bearer ${key}` }, { authorization: `bearer  ${key}` }, { 'x-api-key': key }])(
		'opens them to who has it: %j',
		async (headers) => {
			const { send } = await servedApp({ apiKey: key })
			for (const [method, path, body, status] of writes) {
				expect([path, await send(path, body, method, headers as Record<string, string>)]).toMatchObject([path, { status }])
			}
		},
	)

	it('may have spaces in it, wherever it is sent', async () => {
		const spaced = 'a key of the  server'
		const { send } = await servedApp({ apiKey: spaced })
		for (const headers of [{ authorization: `Bearer ${spaced}` }, { authorization: `Bearer  ${spaced} ` }, { 'x-api-key': spaced }]) {
			expect((await send('/visit/home', undefined, 'POST', headers as Record<string, string>)).status).toBe(200)
		}
		for (const wrong of ['a', 'a key of the server', `${spaced} x`, 'key of the  server']) {
			expect((await send('/visit/home', undefined, 'POST', { authorization: `Bearer ${wrong}` })).status).toBe(401)
		}
	})

	it('leaves reading, the pixel and the site open', async () => {
		const { ask } = await servedApp({ apiKey: key })
		for (const path of [
			'/visits/home',
			'/stats',
			'/counters',
			'/analytics/top',
			'/badge/home.svg',
			'/pixel.gif?page=/',
			'/site/',
			'/health',
		]) {
			expect([path, (await ask(path, { headers: browser })).status]).toEqual([path, 200])
		}
	})

	it('is looked at before the body', async () => {
		const { ask } = await servedApp({ apiKey: key })
		const body = 'x'.repeat(3_000_000)
		const answer = await ask('/events', { method: 'POST', headers: { 'content-length': String(body.length) }, body: '' }).catch(
			(error) => error,
		)
		expect(answer.status).toBe(401)
	})
})

describe('READ_KEY', () => {
	const key = 'a-key-for-those-who-read'
	const apiKey = 'a-key-for-those-who-write'
	const basic = (user: string, password: string) => ({ authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` })
	const closed = [
		...operations.filter((operation) => operation.reads).map(({ path }) => path),
		'/',
		'/dashboard/page',
		'/dashboard/page/',
		'/STATS/',
		'/Dashboard/Page?page=x',
	].map((path) => path.replace(/:bucket_key/, '2026-01-01').replace(/:\w+/, 'a'))
	const open = [
		'/health',
		'/badge/a.svg',
		'/badge/a.json',
		'/pixel.gif?page=/',
		'/tally.js',
		'/site/',
		'/docs',
		'/openapi.json',
		'/dashboard/app.css',
	]

	it('closes what tells numbers, and the dashboard, and nothing else', async () => {
		const { ask, send } = await servedApp({ readKey: key })
		expect(closed.length).toBeGreaterThan(15)
		for (const path of closed) {
			for (const headers of [
				{},
				{ authorization: `Bearer ${key}x` },
				basic('me', `${key}x`),
				basic(key, ''),
				{ authorization: 'Basic %%%' },
			]) {
				for (const method of ['GET', 'HEAD']) {
					const answer = await ask(path, { method, headers: headers as Record<string, string> })
					expect([method, path, headers, answer.status]).toEqual([method, path, headers, 401])
					expect(answer.headers['www-authenticate']).toMatch(/^Bearer, Basic realm=/)
				}
			}
		}
		for (const path of open) expect([path, (await ask(path, { headers: browser })).status]).toEqual([path, 200])
		expect(await send('/visit/a')).toMatchObject({ status: 200 })
	})

	it('opens them to who has it, or the key for writing', async () => {
		const { ask } = await servedApp({ readKey: key, apiKey })
		for (const headers of [
			{ authorization: `Bearer ${key}` },
			{ 'x-api-key': key },
			basic('anybody', key),
			basic('', key),
			{ 'x-api-key': apiKey },
		]) {
			for (const path of ['/stats', '/visits/a', '/metrics', '/', '/dashboard/summary.json']) {
				expect([path, headers, (await ask(path, { headers: headers as Record<string, string> })).status]).toEqual([path, headers, 200])
			}
		}
		expect((await ask('/visit/a', { method: 'POST', headers: { 'x-api-key': key } })).status).toBe(401)
	})
})

describe('CORS_ORIGIN', () => {
	const origin = 'https://site.example'
	const preflight = {
		method: 'OPTIONS',
		headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'x-api-key' },
	}

	it('lets nobody in without it', async () => {
		const { ask } = await servedApp()
		expect((await ask('/stats', { headers: { origin } })).headers).not.toHaveProperty('access-control-allow-origin')
		expect((await ask('/counters/a', preflight)).headers).not.toHaveProperty('access-control-allow-origin')
	})

	it('lets in the origins it names, and no other', async () => {
		const { ask } = await servedApp({ corsOrigin: [origin, 'https://other.example'], apiKey: 'a key of 16 bytes' })
		expect((await ask('/stats', { headers: { origin } })).headers).toMatchObject({
			'access-control-allow-origin': origin,
			vary: expect.stringMatching(/Origin/),
		})
		// A preflight has no key.
		const answer = await ask('/counters/a', preflight)
		expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([204, origin])
		expect(answer.headers['access-control-allow-methods']).toContain('PUT')
		expect(answer.headers['access-control-allow-headers']).toContain('X-API-Key')
		for (const stranger of ['https://evil.example', 'https://site.example.evil.example', 'null', 'http://site.example']) {
			const { headers } = await ask('/stats', { headers: { origin: stranger } })
			expect(headers).not.toHaveProperty('access-control-allow-origin')
		}
	})

	it('lets everybody in with *, without cookies', async () => {
		const { ask } = await servedApp({ corsOrigin: '*' })
		const { headers } = await ask('/stats', { headers: { origin } })
		expect(headers['access-control-allow-origin']).toBe('*')
		expect(headers).not.toHaveProperty('access-control-allow-credentials')
	})
})

describe('RATE_LIMIT', () => {
	it('answers 429 to an address that sends more, and says when to come again', async () => {
		const { ask } = await servedApp({ rateLimit: 5 })
		const from = (address: string) => ask('/stats', { headers: { 'x-forwarded-for': address } })
		for (let i = 0; i < 5; i++) expect((await from('192.0.2.1')).status).toBe(200)
		const refused = await from('192.0.2.1')
		expect(told(refused)).toEqual([429, 'ERR_RATE_LIMIT'])
		expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
		expect((await from('192.0.2.2')).status).toBe(200)
	})
})

describe('TRUST_PROXY', () => {
	const visitors = async (trustProxy: false | number | readonly string[]) => {
		const { ask, get } = await servedApp({ trustProxy })
		for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) {
			await ask('/visit/home', { method: 'POST', headers: { ...browser, 'x-forwarded-for': address } })
		}
		return (await get('/stats')).unique_visitors
	}

	it('decides whose word on the address is taken', async () => {
		expect(await visitors(false)).toBe(1)
		expect(await visitors(['10.0.0.0/8'])).toBe(1)
		expect(await visitors(['loopback'])).toBe(3)
		expect(await visitors(1)).toBe(3)
	})
})

describe('headers', () => {
	it('of every answer forbid what is not needed', async () => {
		const { ask } = await servedApp()
		for (const path of ['/stats', '/health', '/nowhere', '/openapi.json', '/site/']) {
			const { headers } = await ask(path)
			expect(headers).toMatchObject({
				'content-security-policy': "default-src 'none';frame-ancestors 'none'",
				'x-content-type-options': 'nosniff',
				'x-frame-options': 'DENY',
				'referrer-policy': 'no-referrer',
				'cross-origin-resource-policy': 'same-origin',
			})
			expect(headers).not.toHaveProperty('x-powered-by')
		}
	})
})

describe('settings', () => {
	it('are these when nothing is set', () => {
		expect(settingsFrom({})).toEqual({
			port: 3_000,
			host: '127.0.0.1',
			redisUrl: undefined,
			visitorSecret: undefined,
			apiKey: undefined,
			readKey: undefined,
			corsOrigin: undefined,
			trustProxy: ['loopback'],
			rateLimit: undefined,
			maxPages: 100_000,
			eventMaxAgeDays: 31,
		})
	})

	it('are read', () => {
		expect(
			settingsFrom({
				API_KEY: 'sixteen characters',
				CORS_ORIGIN: 'https://a.example, http://b.example:8080',
				TRUST_PROXY: 'loopback, 10.0.0.0/8, 2001:db8::/32',
				RATE_LIMIT: '600',
				MAX_PAGES: '10',
			}),
		).toMatchObject({
			apiKey: 'sixteen characters',
			corsOrigin: ['https://a.example', 'http://b.example:8080'],
			trustProxy: ['loopback', '10.0.0.0/8', '2001:db8::/32'],
			rateLimit: 600,
			maxPages: 10,
		})
		expect(settingsFrom({ TRUST_PROXY: 'false' }).trustProxy).toBe(false)
		expect(settingsFrom({ TRUST_PROXY: '2' }).trustProxy).toBe(2)
		expect(settingsFrom({ CORS_ORIGIN: '*' }).corsOrigin).toBe('*')
	})

	it.each([
		['API_KEY', 'short'],
		['READ_KEY', 'short'],
		['API_KEY', 'with a line\nbreak in it'],
		['API_KEY', ' sixteen characters'],
		['READ_KEY', 'sixteen characters '],
		['VISITOR_SECRET', 'short'],
		['CORS_ORIGIN', 'example.com'],
		['CORS_ORIGIN', 'https://example.com/path'],
		['CORS_ORIGIN', 'https://a.example,*'],
		['TRUST_PROXY', 'true'],
		['TRUST_PROXY', '10.0.0.0/33'],
		['TRUST_PROXY', '10.0.0.0/8/8'],
		['TRUST_PROXY', 'localhost'],
		['RATE_LIMIT', '-1'],
		['MAX_PAGES', '0'],
		['EVENT_MAX_AGE_DAYS', '0'],
	])('refuse %s=%j by name, without telling a secret', (name, value) => {
		const refusal = (() => {
			try {
				settingsFrom({ [name]: value })
				return ''
			} catch (error) {
				return (error as Error).message
			}
		})()
		expect(refusal).toMatch(new RegExp(`^Expected ${name} to `))
		if (/KEY|SECRET/.test(name)) expect(refusal).not.toContain(value)
	})
})
