import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/index.ts'
import { FaultyStore } from '../../src/testing.ts'
import { expectGoodManners, withBrowser } from './support/browser.ts'
import { type DashboardServer, dashboardServer, noon } from './support/dashboard-server.ts'

const browser = withBrowser()
const [hour, day] = [3_600_000, 86_400_000]
const grouped = new Intl.NumberFormat('en')

/** Hits of two days in several lanes, enough for thousands separators and for an estimate that is not exact. */
async function seed({ counter }: DashboardServer): Promise<void> {
	for (let visitor = 0; visitor < 1_500; visitor++)
		void counter.hit(visitor % 3 ? '/' : '/docs', { visitor: `v${visitor}`, at: noon - 300_000 })
	for (let visitor = 0; visitor < 40; visitor++) void counter.hit('/yesterday', { visitor: `y${visitor}`, at: noon - day })
	void counter.hit('/now', { at: noon, by: 12 })
	void counter.hit('/', { at: noon - 3 * hour, by: 20 })
	void counter.hit('/', { at: noon - 20 * hour, by: 10 })
	void counter.hit('/', { lane: 'bot', by: 7 })
	void counter.hit('/docs', { lane: 'ai', by: 5 })
	await counter.flush()
}

const text = (page: Page, id: string) => page.locator(`#${id}`).textContent()
const rowsOf = (page: Page, id: string) =>
	page.locator(`#${id} tr`).evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))

describe('the overview', () => {
	it('has the whole of today in its card, as the lanes and the top pages do', async () => {
		const { counter, summary } = await dashboardServer()
		void counter.hit('/', { by: 2 })
		void counter.hit('/', { at: noon + 3 * hour, by: 5 })
		await counter.flush()
		const { numbers } = await summary()
		expect([numbers?.hits.today, numbers?.lanes[0]?.today, numbers?.top.day[0]?.hits]).toEqual([7, 7, 7])
	})

	it('shows the numbers that the counter gives', async () => {
		const server = await dashboardServer()
		await seed(server)
		const { counter, origin } = server
		const opened = await browser.open(origin)
		const { page } = opened
		await expect.poll(() => text(page, 'hits-today')).toBe('1,532')

		const uniques = await counter.all.uniques({ period: 'day' })
		expect(uniques.exact).toBe(false)
		expect(await text(page, 'uniques-today')).toBe(grouped.format(uniques.value))
		expect(await text(page, 'uniques-today-error')).toMatch(
			new RegExp(`^± ${Math.round(uniques.value * uniques.error)} \\(standard error 0\\.\\d+%\\); yesterday 40$`),
		)
		expect(await text(page, 'hits-total')).toBe(grouped.format(await counter.all.count()))
		expect(await text(page, 'per-minute')).toBe('12')
		expect(await counter.all.rate()).toBe(12)
		// Until 12:00 today 20; yesterday, 10 at 16:00 and 40 at 12:00 are later than that.
		expect(await text(page, 'hits-compared')).toBe('yesterday 50')

		const top = await counter.top({ period: 'day' })
		expect(await rowsOf(page, 'top')).toEqual(top.map(({ key, hits }) => [key, grouped.format(hits)]))
		const trending = await counter.trending()
		const shown = await rowsOf(page, 'trending')
		expect(shown.map(([name]) => name)).toEqual(trending.map(({ key }) => key))
		// They decay while the test runs.
		for (const [index, { score }] of trending.entries())
			expect(Math.abs(Number(shown[index]![1]!.replace(',', '')) - score)).toBeLessThan(0.5)
		expect(await rowsOf(page, 'lanes')).toEqual([
			['People', '1,532', '1,582'],
			['Bots', '7', '7'],
			['AI crawlers', '5', '5'],
			['Prefetches', '0', '0'],
			['Opted out', '0', '0'],
			['Own visits', '0', '0'],
		])
		expect(await text(page, 'health')).toBe('memory is up')
		expectGoodManners(opened, origin)
	})

	it('compares the full hours of today with those of yesterday', async () => {
		const server = await dashboardServer()
		void server.counter.hit('/', { at: noon - day - 2 * hour, by: 100 })
		void server.counter.hit('/', { at: noon - 2 * hour, by: 112 })
		void server.counter.hit('/', { by: 1_000 })
		const { page } = await browser.open(server.origin)
		await expect.poll(() => text(page, 'hits-compared')).toBe('yesterday 100; +12% until 12:00')
	})

	it('has every value of a chart in a table', async () => {
		const server = await dashboardServer()
		await seed(server)
		const { page } = await browser.open(server.origin)
		await page.locator('#days summary').click()
		await expect.poll(() => rowsOf(page, 'days tbody')).toHaveLength(24)
		const rows = await rowsOf(page, 'days tbody')
		expect(rows.at(-1 - 12)).toEqual(['12:00', '12', '40'])
		expect(rows.at(-1 - 9)).toEqual(['09:00', '20', '0'])
		expect(rows.at(-1 - 13)).toEqual(['13:00', '–', '0'])
		expect(rows.at(-1 - 16)).toEqual(['16:00', '–', '10'])

		await page.locator('#minutes summary').click()
		await expect.poll(() => rowsOf(page, 'minutes tbody')).toHaveLength(60)
		const minutes = await rowsOf(page, 'minutes tbody')
		expect(minutes.slice(0, 2)).toEqual([
			['12:00', '12'],
			['11:59', '0'],
		])
		expect(minutes.find(([when]) => when === '11:55')).toEqual(['11:55', '1,500'])
	})

	it('lists the top pages of the period that is asked for', async () => {
		const server = await dashboardServer()
		await seed(server)
		const { page } = await browser.open(server.origin)
		for (const [period, top] of [
			['all time', await server.counter.top()],
			['this hour', await server.counter.top({ period: 'hour' })],
			['today', await server.counter.top({ period: 'day' })],
		] as const) {
			await page.locator('#top-period').selectOption({ label: period })
			expect(await rowsOf(page, 'top')).toEqual(top.map(({ key, hits }) => [key, grouped.format(hits)]))
		}
	})

	it('says that there is nothing yet', async () => {
		const { origin } = await dashboardServer()
		const opened = await browser.open(origin)
		await expect.poll(() => text(opened.page, 'hits-today')).toBe('0')
		expect(await text(opened.page, 'uniques-today-error')).toBe('exact; yesterday 0')
		for (const id of ['top-empty', 'trending-empty']) expect(await opened.page.locator(`#${id}`).isVisible()).toBe(true)
		expectGoodManners(opened, origin)
	})

	it('says that the store is down, and when it is back', async () => {
		const store = new FaultyStore(new MemoryStore())
		const server = await dashboardServer({ store })
		const { page } = await browser.open(server.origin)
		await expect.poll(() => text(page, 'health')).toBe('memory is up')
		store.down = true
		void server.counter.hit('/waiting', { by: 3 })
		await expect.poll(() => text(page, 'health')).toBe('memory is down')
		await expect.poll(() => text(page, 'pending')).toBe('3')
		await page.locator('#trouble').waitFor({ timeout: 15_000 })
		expect(await text(page, 'trouble')).toContain('The store does not answer')
		store.down = false
		await page.locator('#trouble').waitFor({ state: 'hidden', timeout: 15_000 })
		await expect.poll(() => text(page, 'hits-today')).toBe('3')
		await expect.poll(() => text(page, 'pending')).toBe('0')
	})
})
