import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { expectGoodManners, withBrowser } from './support/browser.ts'
import { dashboardServer, noon } from './support/dashboard-server.ts'

const browser = withBrowser()
const [hour, day] = [3_600_000, 86_400_000]

const text = (page: Page, id: string) => page.locator(`#${id}`).textContent()
const table = (page: Page) =>
	page.locator('#history tbody tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))
const urlOf = (origin: string, page: string, more = '') => `${origin}/dashboard/page?page=${encodeURIComponent(page)}${more}`

describe("a page's own view", () => {
	it('shows its numbers, and only its own', async () => {
		const { counter, origin } = await dashboardServer()
		for (let visitor = 0; visitor < 30; visitor++) void counter.hit('/a b', { visitor: `v${visitor}` })
		void counter.hit('/a b', { at: noon - 2 * day, by: 5 })
		void counter.hit('/other', { by: 1_000 })
		void counter.hit('/a b', { lane: 'bot', by: 1_000 })
		const opened = await browser.open(urlOf(origin, '/a b'))
		const { page } = opened
		await expect.poll(() => text(page, 'hits-today')).toBe('30')
		expect(await text(page, 'page-name')).toBe('/a b')
		expect(await page.title()).toBe('/a b – tallymark')
		expect(await text(page, 'hits-total')).toBe('35')
		expect(await text(page, 'uniques-today')).toBe(String((await counter.uniques('/a b', { period: 'day' })).value))
		expect(await text(page, 'per-minute')).toBe('30')
		expectGoodManners(opened, origin)
	})

	it('says what to do to who comes without a name', async () => {
		const { origin } = await dashboardServer()
		for (const query of ['', '?page=']) {
			const opened = await browser.open(`${origin}/dashboard/page${query}`)
			const { page } = opened
			expect(await text(page, 'page-name')).toBe('No page is chosen')
			expect(await text(page, 'trouble')).toMatch(/^Type its name into the field above/)
			expect(await page.locator('.card, .panel').count()).toBe(0)
			expectGoodManners(opened, origin)
		}
	})

	it('draws the range and the granularity that are chosen, and keeps them in the address', async () => {
		const { counter, origin } = await dashboardServer()
		for (let visitor = 0; visitor < 4; visitor++) void counter.hit('/', { visitor: `v${visitor}`, at: noon - 2 * hour })
		void counter.hit('/', { at: noon - 3 * day, by: 9 })
		const { page } = await browser.open(urlOf(origin, '/'))
		await page.locator('#history summary').click()
		await expect.poll(() => table(page)).toHaveLength(60)

		await page.locator('#granularity').selectOption('day')
		await page.locator('#history summary').click()
		await expect.poll(() => table(page)).toHaveLength(30)
		expect((await table(page)).slice(0, 4)).toEqual([
			['Tue, Mar 10, 2026', '4', '4'],
			['Mon, Mar 9, 2026', '0', '0'],
			['Sun, Mar 8, 2026', '0', '0'],
			['Sat, Mar 7, 2026', '9', '0'],
		])
		expect(new URL(page.url()).search).toBe('?page=%2F&granularity=day&last=30')

		await page.locator('#granularity').selectOption('hour')
		await page.locator('#last').selectOption({ label: '31 days' })
		await page.locator('#history summary').click()
		await expect.poll(() => table(page)).toHaveLength(744)
		expect((await table(page))[2]).toEqual(['Mar 10, 10:00', '4'])

		// A link to it shows the same.
		const again = await browser.open(page.url())
		await again.page.locator('#history summary').click()
		await expect.poll(() => table(again.page)).toHaveLength(744)
	})

	it('moves as hits come', async () => {
		const { counter, origin } = await dashboardServer()
		const { page } = await browser.open(urlOf(origin, '/live'))
		await expect.poll(() => text(page, 'hits-total')).toBe('0')
		void counter.hit('/live', { by: 7 })
		await expect.poll(() => text(page, 'hits-total')).toBe('7')
	})

	it('asks no more often than each five seconds, however many hits come, and shows the last', async () => {
		const { counter, origin } = await dashboardServer()
		const { page, requests } = await browser.open(urlOf(origin, '/busy'))
		await expect.poll(() => text(page, 'hits-total')).toBe('0')
		const hitting = setInterval(() => void counter.hit('/busy'), 50)
		// The server tells of a change some eight times meanwhile: each would be a reading.
		await new Promise((resolve) => setTimeout(resolve, 4_000))
		clearInterval(hitting)
		const total = String(await counter.count('/busy'))
		await expect.poll(() => text(page, 'hits-total')).toBe(total)
		expect(requests.filter((url) => url.includes('/dashboard/page.json')).length).toBeLessThanOrEqual(3)
	})

	it('waits as long as it is told to where it asked too often, and shows no trouble', async () => {
		const { counter, origin } = await dashboardServer()
		const { page } = await browser.open(urlOf(origin, '/'))
		await expect.poll(() => text(page, 'hits-total')).toBe('0')
		const asked: number[] = []
		await page.route('**/dashboard/page.json*', (route) => {
			if (asked.push(performance.now()) > 1) return route.continue()
			return route.fulfill({
				status: 429,
				headers: { 'retry-after': '2' },
				json: { error: { code: 'ERR_RATE_LIMIT', message: 'Too many' } },
			})
		})
		void counter.hit('/')
		await expect.poll(() => asked).toHaveLength(1)
		await expect.poll(() => text(page, 'hits-total')).toBe('1')
		expect(asked[1]! - asked[0]!).toBeGreaterThan(1_900)
		expect(asked[1]! - asked[0]!).toBeLessThan(4_500)
		expect(await text(page, 'trouble')).toBe('')
	})

	it('is opened by name, with names proposed', async () => {
		const { counter, origin } = await dashboardServer()
		for (const page of ['/docs', '/docs/redis', '/blog']) void counter.hit(page, { by: 3 })
		const { page } = await browser.open(origin)
		await page.locator('#find').fill('/d')
		const proposals = () => page.locator('#pages option').evaluateAll((options) => options.map((option) => option.getAttribute('value')))
		await expect.poll(proposals).toEqual(['/docs', '/docs/redis'])
		await page.locator('#find').fill('/docs/redis')
		await page.locator('#find').press('Enter')
		await expect.poll(() => text(page, 'hits-total')).toBe('3')
		expect(await text(page, 'page-name')).toBe('/docs/redis')
	})

	it.each(['week', 'toString', ''])('takes an address with granularity=%s for one without', async (granularity) => {
		const { counter, origin } = await dashboardServer()
		void counter.hit('/', { by: 2 })
		const opened = await browser.open(urlOf(origin, '/', `&granularity=${granularity}&last=x`))
		await expect.poll(() => text(opened.page, 'hits-total')).toBe('2')
		expect(await opened.page.locator('#granularity').inputValue()).toBe('minute')
		expectGoodManners(opened, origin)
	})

	it('says when the server is gone, and goes on when it is back', async () => {
		const { counter, origin } = await dashboardServer()
		const { page } = await browser.open(urlOf(origin, '/'))
		await expect.poll(() => text(page, 'hits-total')).toBe('0')
		await page.route('**/dashboard/page.json*', (route) => route.abort())
		void counter.hit('/')
		await page.locator('#trouble').getByText('The server does not answer').waitFor()
		await page.unroute('**/dashboard/page.json*')
		void counter.hit('/')
		await page.locator('#trouble').waitFor({ state: 'hidden' })
		await expect.poll(() => text(page, 'hits-total')).toBe('2')
	})

	it('waits for a slow answer, and then asks for what came meanwhile', async () => {
		const { counter, origin, stopping } = await dashboardServer()
		const { page } = await browser.open(urlOf(origin, '/'))
		await expect.poll(() => text(page, 'hits-total')).toBe('0')
		let asked = 0
		let release = () => {}
		const held = new Promise<void>((resolve) => {
			release = resolve
		})
		await page.route('**/dashboard/page.json*', async (route) => {
			const answer = await route.fetch()
			if (++asked === 1) await held
			await route.fulfill({ response: answer })
		})
		void counter.hit('/')
		await expect.poll(() => asked).toBe(1)
		void counter.hit('/')
		// The overview's own numbers have come by then, so the page was told while it waited.
		const watcher = await browser.open(origin)
		await expect.poll(() => text(watcher.page, 'hits-total')).toBe('2')
		expect(asked).toBe(1)
		// Nothing more is told from here on.
		stopping.abort()
		release()
		await expect.poll(() => text(page, 'hits-total')).toBe('2')
	})

	it('says what is wrong with a name that no page can have', async () => {
		const { origin } = await dashboardServer()
		const { page } = await browser.open(urlOf(origin, 'x'.repeat(600)))
		await expect.poll(() => text(page, 'trouble')).toMatch(/^Expected `key` to be .*512 bytes/)
	})
})
