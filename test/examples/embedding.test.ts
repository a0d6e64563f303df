import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { soon } from '../http/support/served.ts'
import { chromiumPath } from '../support/chromium.ts'
import { servedApp, told } from './support/app.ts'
import { browser } from './support/example-server.ts'

const human = { headers: browser }

describe('GET /badge', () => {
	it('shows a number, and counts nothing', async () => {
		const { ask, get, counting } = await servedApp()
		await counting.pages.hit('home', { by: 1_234, visitor: 'ada' })
		for (let i = 0; i < 3; i++) {
			const { status, headers, body } = await ask('/badge/home.svg', human)
			expect([status, headers['content-type']]).toEqual([200, 'image/svg+xml; charset=utf-8'])
			expect(body).toContain('>1,234</text>')
		}
		expect(await get('/visits/home')).toMatchObject({ count: 1_234 })
		expect((await ask('/badge/home.svg?metric=uniques&label=people&color=%23ff8800&style=flat-square')).body).toMatch(
			/<title>people: 1<\/title>.*#ff8800/,
		)
		expect(await get('/badge/home.json?color=green')).toEqual({ schemaVersion: 1, label: 'views', message: '1,234', color: 'green' })
	})

	it('counts a view after it answered, where it is asked to', async () => {
		const { ask, get } = await servedApp()
		expect((await ask('/badge/home.svg?count=1', human)).body).toContain('>0</text>')
		await soon(async () => expect(await get('/visits/home')).toMatchObject({ count: 1 }))
		await ask('/badge/home.json?count', human)
		await soon(async () => expect(await get('/visits/home')).toMatchObject({ count: 2 }))
		// Whoever comes by an image proxy is somebody, though nobody knows who.
		await ask('/badge/home.svg?count=1', { headers: { 'user-agent': 'github-camo (876de43e)' } })
		await soon(async () => expect(await get('/visits/home')).toMatchObject({ count: 3 }))
		expect(await get('/stats')).toMatchObject({ views: 3, unique_visitors: 1 })
		await ask('/badge/home.svg?count=1', { headers: { 'user-agent': 'Googlebot/2.1' } })
		await soon(async () => expect(await get('/visits/home?lane=bot')).toMatchObject({ count: 1 }))
		await ask('/badge/home.svg?count=0', human)
		await ask('/badge/home.svg?count=1', { ...human, method: 'HEAD' })
		expect(await get('/visits/home')).toMatchObject({ count: 3 })
	})

	it('is asked for each time, and sent only when it changed', async () => {
		const { ask, counting } = await servedApp()
		const first = await ask('/badge/home.svg')
		expect(first.headers).toMatchObject({
			'cache-control': 'no-cache',
			'content-security-policy': "default-src 'none'",
			'x-content-type-options': 'nosniff',
		})
		const known = { headers: { 'if-none-match': String(first.headers['etag']) } }
		const second = await ask('/badge/home.svg', known)
		expect([second.status, second.body, second.headers['etag']]).toEqual([304, '', first.headers['etag']])
		await counting.pages.hit('home')
		const third = await ask('/badge/home.svg', known)
		expect([third.status, third.headers['etag'] === first.headers['etag']]).toEqual([200, false])
	})

	it('has any page, and nothing of its name or label becomes markup', async () => {
		const { ask, counting } = await servedApp()
		await counting.pages.hit('</svg>.svg')
		const { body } = await ask(`/badge/${encodeURIComponent('</svg>.svg')}.svg?label=${encodeURIComponent('"><script>')}`)
		expect(body).toContain('>1</text>')
		expect(body).not.toContain('<script')
	})

	it('says which colours there are to who names another', async () => {
		const { ask } = await servedApp()
		for (const color of ['nope', '%23ggg']) {
			const { error } = JSON.parse((await ask(`/badge/home.svg?color=${color}`)).body)
			expect(error.message).toMatch(/^color: Expected #rgb, #rrggbb, or one of brightgreen, green, /)
		}
	})

	it.each(['color=url(x)', 'color=%23ggg', 'style=round', 'metric=users', 'count=2', 'label=a&label=b'])('refuses ?%s', async (query) => {
		const { ask } = await servedApp()
		expect(told(await ask(`/badge/home.svg?${query}`))).toEqual([400, 'ERR_BAD_REQUEST'])
	})
})

describe('GET /pixel.gif', () => {
	it('is a picture that is never cached, and counts the page it is told', async () => {
		const { ask, get } = await servedApp()
		const { status, headers } = await ask('/pixel.gif?page=%2Fabout%3Fx%3D1', human)
		expect([status, headers['content-type'], headers['cache-control'], headers['cross-origin-resource-policy']]).toEqual([
			200,
			'image/gif',
			'no-store',
			'cross-origin',
		])
		await soon(async () => expect(await get('/visits/%2Fabout')).toMatchObject({ count: 1 }))
		await ask('/pixel.gif', { headers: { ...browser, referer: 'https://site.example/blog/?utm=1' } })
		await soon(async () => expect(await get('/visits/%2Fblog')).toMatchObject({ count: 1 }))
	})

	it('counts neither HEAD nor what it cannot name, bots and prefetches apart', async () => {
		const { ask, get } = await servedApp()
		expect((await ask('/pixel.gif?page=/a', { ...human, method: 'HEAD' })).status).toBe(200)
		expect(told(await ask('/pixel.gif', human))).toEqual([400, 'ERR_BAD_REQUEST'])
		expect(told(await ask('/pixel.gif?page=', human))).toEqual([400, 'ERR_BAD_REQUEST'])
		await ask('/pixel.gif?page=/a', { headers: { 'user-agent': 'Googlebot/2.1' } })
		await ask('/pixel.gif?page=/a', { headers: { ...browser, 'sec-purpose': 'prefetch' } })
		await soon(async () => expect(await get('/stats?lane=bot')).toMatchObject({ views: 1 }))
		await soon(async () => expect(await get('/stats?lane=prefetch')).toMatchObject({ views: 1 }))
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})
})

describe('GET /tally.js', () => {
	it('is a script of at most 1 kB that other sites may load', async () => {
		const { ask } = await servedApp()
		const { headers, body } = await ask('/tally.js')
		expect(headers).toMatchObject({ 'content-type': 'text/javascript; charset=utf-8', 'cross-origin-resource-policy': 'cross-origin' })
		expect(Buffer.byteLength(body)).toBeLessThanOrEqual(1_024)
		expect(body).toBe(readFileSync('examples/server/public/tally.js', 'utf8'))
	})

	it('counts the pages of another site in a browser, those of a single-page application too', async () => {
		const { origin, get } = await servedApp()
		const site = createServer((_request, response) => {
			response
				.setHeader('content-type', 'text/html')
				.end(`<!doctype html><title>A site</title><script defer src="${origin}/tally.js"></script>`)
		}).listen(0, '127.0.0.1')
		await new Promise((resolve) => site.once('listening', resolve))
		onTestFinished(() => void site.close())
		const executablePath = chromiumPath()
		if (executablePath === undefined) throw new Error('There is no Chromium on the PATH: npx tsx scripts/setup-tests.ts installs it')
		const chrome = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
		onTestFinished(() => chrome.close())
		const context = await chrome.newContext({ userAgent: browser['user-agent'] })
		const page = await context.newPage()
		const complaints: string[] = []
		page.on('console', (message) => complaints.push(message.text()))
		page.on('pageerror', (error) => complaints.push(error.message))
		// Another host than the counter's, as it would be.
		await page.goto(`http://localhost:${(site.address() as AddressInfo).port}/welcome?from=mail`)
		const pages = async () => (await get('/stats?uniques=0')).pages
		await expect.poll(pages, { timeout: 10_000 }).toEqual([{ page: '/welcome', views: 1 }])
		await page.evaluate("history.pushState({}, '', '/welcome?tab=2'); history.pushState({}, '', '/next'); tally('/by/hand')")
		await expect.poll(pages, { timeout: 10_000 }).toHaveLength(3)
		await page.goBack()
		await page.goBack()
		await expect.poll(pages, { timeout: 10_000 }).toEqual([
			{ page: '/welcome', views: 2 },
			{ page: '/by/hand', views: 1 },
			{ page: '/next', views: 1 },
		])
		expect(complaints).toEqual([])
	})
})
