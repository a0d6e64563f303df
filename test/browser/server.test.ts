/** The dashboard as the example server has it. */
import { describe, expect, it } from 'vitest'
import { exampleServer } from '../examples/support/example-server.ts'
import { ask, soon } from '../http/support/served.ts'
import { expectGoodManners, withBrowser } from './support/browser.ts'

const browser = withBrowser()

const visit = (port: number, page: string) => ask(port, `/visit/${encodeURIComponent(page)}`, { method: 'POST' })

describe('the example server', () => {
	// Two seconds are the promise; a machine that is busy with other tests may need another try.
	it('shows a visit within two seconds, and the numbers of its other endpoints', { retry: 2 }, async () => {
		const { port, url } = await exampleServer()
		await visit(port, '/first')
		const opened = await browser.open(url)
		const { page } = opened
		const showing = (hits: string, timeout = 10_000) =>
			page
				.locator('#hits-total')
				.and(page.getByText(hits, { exact: true }))
				.waitFor({ timeout })
		await showing('1')
		await visit(port, '/second')
		await showing('2', 2_000)

		await visit(port, '/second')
		await showing('3')
		const { views, unique_visitors, pages } = JSON.parse((await ask(port, '/stats')).body)
		expect([views, unique_visitors]).toEqual([3, 1])
		await soon(async () => {
			const rows = await page.locator('#top tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))
			expect(rows).toEqual(pages.map((each: { page: string; views: number }) => [each.page, String(each.views)]))
		})
		expect(await page.locator('#uniques-total').textContent()).toBe('1 unique visitor, exact')
		const { count } = JSON.parse((await ask(port, '/visits/%2Fsecond')).body)
		await page.getByRole('link', { name: '/second' }).first().click()
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe(String(count))
		expectGoodManners(opened, url)
	})

	it('asks for a password where there is a READ_KEY, and is live with it', async () => {
		const { port, url } = await exampleServer({ READ_KEY: 'a-key-for-those-who-read' })
		await visit(port, '/')
		const { page } = await browser.open(url, { httpCredentials: { username: 'me', password: 'a-key-for-those-who-read' } })
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('1')
		await page.getByRole('link', { name: '/', exact: true }).first().click()
		await expect.poll(() => page.locator('#page-name').textContent()).toBe('/')
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('1')
	})

	it('sends less than 150 kB, all of it its own, under a strict policy', async () => {
		const { port, url } = await exampleServer()
		const opened = await browser.open(url)
		const paths = [...new Set(opened.requests.map((request) => new URL(request).pathname))]
		expect(paths).toEqual(expect.arrayContaining(['/', '/dashboard/app.js', '/dashboard/app.css']))
		let bytes = 0
		for (const path of [...paths.filter((path) => path !== '/live'), '/dashboard/page', '/dashboard/icon.svg']) {
			const { status, headers, body } = await ask(port, path)
			expect([path, status, headers['content-encoding']]).toEqual([path, 200, undefined])
			bytes += Buffer.byteLength(body)
			const policy = String(headers['content-security-policy']).split('; ')
			expect(policy).toEqual(
				expect.arrayContaining(["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'"]),
			)
			expect(policy.join()).not.toMatch(/unsafe|\*|data:|https?:/)
			expect(headers['x-content-type-options']).toBe('nosniff')
		}
		expect(bytes).toBeGreaterThan(50_000)
		expect(bytes).toBeLessThan(150_000)
	})

	it('is asked again only whether its files are the same', async () => {
		const { port } = await exampleServer()
		const { headers } = await ask(port, '/dashboard/app.js')
		const again = await ask(port, '/dashboard/app.js', { headers: { 'if-none-match': headers['etag'] as string } })
		expect([again.status, again.body]).toEqual([304, ''])
	})

	it('stops while somebody watches: at once, and with every hit', async () => {
		const server = await exampleServer()
		await visit(server.port, '/')
		const { page } = await browser.open(server.url)
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('1')
		const began = performance.now()
		server.process.kill('SIGTERM')
		expect(await server.ended).toEqual({ code: 0, totals: { hits: 1, pages: 1, unstored: 0 } })
		// With its stream open the server would have waited for its deadline of 10 s.
		expect(performance.now() - began).toBeLessThan(9_000)
		await page.locator('#connection[data-state=lost]').waitFor()
	})

	it('answers what cannot be shown with 400', async () => {
		const { port } = await exampleServer()
		for (const [path, code] of [
			['/dashboard/page.json', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&page=b', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&granularity=week', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&granularity=day&granularity=hour', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&last=0', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&last=x', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&last=1e9', 'ERR_BAD_REQUEST'],
			['/dashboard/page.json?page=a&granularity=hour&last=1000', 'ERR_TALLYMARK_RANGE'],
			['/dashboard/pages.json', 'ERR_BAD_REQUEST'],
		] as const) {
			const { status, body } = await ask(port, path)
			expect([path, status, JSON.parse(body).error.code]).toEqual([path, 400, code])
		}
	})
})
