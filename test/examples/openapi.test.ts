import { randomUUID } from 'node:crypto'
import { Validator } from '@seriousme/openapi-schema-validator'
import { chromium } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Operation } from '../../examples/server/api/operation.ts'
import { operations } from '../../examples/server/api/operations.ts'
import { errorAnswer } from '../../examples/server/api/schemas.ts'
import { collection } from '../../examples/server/collection.ts'
import { chromiumPath } from '../support/chromium.ts'
import { servedApp } from './support/app.ts'
import { browser } from './support/example-server.ts'

interface OpenApi {
	readonly openapi: string
	readonly paths: Readonly<
		Record<string, Readonly<Record<string, { readonly operationId: string; readonly parameters?: { name: string; in: string }[] }>>>
	>
}

describe('/openapi.json', () => {
	it('is OpenAPI 3.1, as a validator of others has it', async () => {
		const { get } = await servedApp()
		const document = await get('/openapi.json')
		const validator = new Validator()
		expect(await validator.validate(document)).toEqual({ valid: true })
		expect(validator.version).toBe('3.1')
		expect(() => validator.resolveRefs()).not.toThrow()
		// It can say no.
		expect(await new Validator().validate({ ...document, paths: { '/x': { get: { responses: 5 } } } })).toMatchObject({ valid: false })
	})

	it('has every endpoint with its parameters, each under an id of its own', async () => {
		const { get } = await servedApp()
		const { paths }: OpenApi = await get('/openapi.json')
		const described = Object.entries(paths).flatMap(([path, methods]) =>
			Object.entries(methods).map(([method, each]) => ({ path, method, ...each })),
		)
		for (const endpoint of [
			'POST /visit/{page_id}',
			'GET /visits/{page_id}',
			'GET /counters',
			'POST /counters/{name}',
			'GET /counters/{name}',
			'PUT /counters/{name}',
			'DELETE /counters/{name}',
			'POST /track',
			'GET /stats',
			'POST /events',
			'GET /analytics/page_views_per_minute',
			'GET /analytics/minute-buckets/{bucket_key}',
			'GET /analytics/hour-buckets/{bucket_key}',
			'GET /analytics/day-buckets/{bucket_key}',
			'GET /analytics/top',
			'GET /analytics/trending',
			'GET /health',
			'GET /metrics',
			'GET /pixel.gif',
			'GET /tally.js',
			'GET /badge/{page_id}.svg',
			'GET /badge/{page_id}.json',
			'GET /live',
			'GET /dashboard/summary.json',
			'GET /dashboard/page.json',
			'GET /dashboard/pages.json',
		]) {
			expect(described.map(({ method, path }) => `${method.toUpperCase()} ${path}`)).toContain(endpoint)
		}
		expect(new Set(described.map(({ operationId }) => operationId)).size).toBe(described.length)
		for (const { path, parameters = [] } of described) {
			const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
			expect(parameters.filter((each) => each.in === 'path').map((each) => each.name)).toEqual(named)
		}
	})

	it('has the timestamps that an event may have', async () => {
		const { get } = await servedApp()
		const { components } = await get('/openapi.json')
		const { anyOf } = components.schemas.Event.properties.timestamp
		const fits = (text: string) => anyOf.some(({ pattern }: { pattern: string }) => new RegExp(pattern).test(text))
		for (const end of [':03', ':03Z', ':03+05:30', ':03:04', ':03:04.5Z', ':03:04-05:00'])
			expect([end, fits(`2026-11-30T02${end}`)]).toEqual([end, true])
		for (const text of ['2026-11-30', '2026-11-31T02:03Z', '2026-11-30T02:03+5']) expect([text, fits(text)]).toEqual([text, false])
	})

	it('says of every answer what it is', async () => {
		const { ask } = await servedApp({ counts: { maxPages: 100 } })
		const event = { event_id: randomUUID(), user_id: 'ada', timestamp: new Date().toISOString(), event_type: 'page_view' }
		const now = new Date().toISOString()
		const minute = `${now.slice(0, 10)}_${now.slice(11, 16)}`
		const requests: [method: string, path: string, body?: unknown][] = [
			['POST', '/visit/home'],
			['GET', '/visits/home'],
			['GET', '/visits/home?lane=x'],
			['POST', '/track', { page_id: 'home', user_id: 'ada' }],
			['POST', '/track', {}],
			['GET', '/stats'],
			['GET', '/stats?uniques=0'],
			['POST', '/events', event],
			['POST', '/events', [event]],
			['POST', '/events', 'x'],
			['GET', '/counters'],
			['POST', '/counters/a'],
			['POST', '/counters/a'],
			['GET', '/counters/a'],
			['GET', '/counters/b'],
			['GET', '/counters'],
			['PUT', '/counters/a'],
			['PUT', '/counters/b'],
			['DELETE', '/counters/a'],
			['GET', '/analytics/page_views_per_minute'],
			['GET', '/analytics/series'],
			['GET', '/analytics/top'],
			['GET', '/analytics/top?by=uniques'],
			['GET', '/analytics/trending'],
			['GET', `/analytics/minute-buckets/${minute}`],
			['GET', `/analytics/hour-buckets/${minute.slice(0, 13)}`],
			['GET', `/analytics/day-buckets/${minute.slice(0, 10)}`],
			['GET', '/analytics/day-buckets/x'],
			['GET', '/badge/home.svg'],
			['GET', '/badge/home.json'],
			['GET', '/pixel.gif?page=/'],
			['GET', '/pixel.gif'],
			['GET', '/tally.js'],
			['GET', '/health'],
			['GET', '/metrics'],
			['GET', '/dashboard/summary.json'],
			['GET', '/dashboard/page.json?page=home'],
			['GET', '/dashboard/page.json?page=home&granularity=minute&last=1440'],
			['GET', '/dashboard/page.json'],
			['GET', '/dashboard/pages.json?prefix=h'],
			// Otherwise it does not end.
			['HEAD', '/live'],
		]
		const asked = new Set<Operation>()
		for (const [method, path, body] of requests) {
			const answer = await ask(path, {
				method,
				headers: { ...browser, ...(body !== undefined && { 'content-type': 'application/json' }) },
				...(body !== undefined && { body: JSON.stringify(body) }),
			})
			const operation = operations.find(
				(each) => each.method === method.toLowerCase().replace('head', 'get') && patternOf(each).test(path.split('?')[0]!),
			)!
			asked.add(operation)
			const said = operation.answers[answer.status]
			const schema = said?.schema ?? (answer.status >= 400 ? errorAnswer : undefined)
			if (answer.status < 400) expect([method, path, answer.status, said]).toEqual([method, path, answer.status, expect.anything()])
			if (schema) expect([path, schema.safeParse(JSON.parse(answer.body)).error]).toEqual([path, undefined])
			if (said?.type) expect(answer.headers['content-type']).toContain(said.type)
			if (!schema && !said?.type) expect(answer.body).toBe('')
		}
		expect([...operations].filter((each) => !asked.has(each)).map(({ path }) => path)).toEqual([])
	})
})

function patternOf({ path }: Operation): RegExp {
	return new RegExp(`^${path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`)
}

describe('the pages about the API', () => {
	it.each([
		['/docs', /Count a visit/],
		['/redoc', /Increment a counter/],
	])(
		'%s shows every endpoint, loads nothing from elsewhere and complains of nothing',
		async (path, shown) => {
			const { origin } = await servedApp()
			const executablePath = chromiumPath()
			if (executablePath === undefined) throw new Error('There is no Chromium on the PATH: npx tsx scripts/setup-tests.ts installs it')
			const chrome = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
			onTestFinished(() => chrome.close())
			const page = await chrome.newPage()
			const [complaints, requests]: [string[], string[]] = [[], []]
			page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
			page.on('pageerror', (error) => complaints.push(error.message))
			page.on('request', (request) => requests.push(request.url()))
			await page.goto(origin + path)
			await expect.poll(() => page.locator('#docs').textContent(), { timeout: 20_000 }).toMatch(shown)
			const text = await page.locator('#docs').textContent()
			for (const { summary } of operations) expect(text).toContain(summary)
			expect(complaints).toEqual([])
			expect(requests.length).toBeGreaterThan(2)
			expect(requests.filter((url) => !url.startsWith(origin) && !url.startsWith(`blob:${origin}`) && !url.startsWith('data:'))).toEqual([])
		},
		60_000,
	)

	it('/docs sends a request and shows its answer', async () => {
		const { origin, counting } = await servedApp()
		const chrome = await chromium.launch({ executablePath: chromiumPath()!, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
		onTestFinished(() => chrome.close())
		const page = await chrome.newPage()
		await page.goto(`${origin}/docs`)
		await page.getByText('Count a visit').click()
		await page.getByRole('button', { name: 'Try it out' }).click()
		await page.getByPlaceholder('page_id').fill('from/the docs')
		await page.getByRole('button', { name: 'Execute' }).click()
		await expect.poll(() => counting.pages.count('from/the docs'), { timeout: 20_000 }).toBe(1)
	}, 60_000)

	it('come with two files of their packages, and no other', async () => {
		const { ask } = await servedApp()
		for (const path of [
			'/docs/package.json',
			'/docs/../package.json',
			'/docs/%2e%2e/package.json',
			'/docs/swagger-ui.js',
			'/redoc/package.json',
		]) {
			expect([path, (await ask(path)).status]).toEqual([path, 404])
		}
		expect((await ask('/docs')).headers['content-security-policy']).toMatch(/default-src 'none'; script-src 'self';/)
	})
})

describe('the collection', () => {
	it('has a request for every endpoint', async () => {
		const { item } = (await collection('http://localhost:9')) as { item: Folder[] }
		const requests = item.flatMap((folder) => folder.item)
		expect(item.map(({ name }) => name)).toEqual([...new Set(operations.map(({ tag }) => tag))])
		expect(requests.map(({ name }) => name).sort()).toEqual(operations.map(({ summary }) => summary).sort())
		expect(JSON.stringify(requests.find(({ request }) => request.url.path.includes('events')))).toContain('page_view')
	})
})

interface Folder {
	readonly name: string
	readonly item: { readonly name: string; readonly request: { readonly method: string; readonly url: { readonly path: string[] } } }[]
}
