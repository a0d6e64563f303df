/** That anybody can use it: by keyboard, by screen reader, in the dark, on a phone. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { expectGoodManners, withBrowser } from './support/browser.ts'
import { type DashboardServer, dashboardServer, noon } from './support/dashboard-server.ts'

const browser = withBrowser()
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

async function busyServer(): Promise<DashboardServer> {
	const server = await dashboardServer()
	for (let visitor = 0; visitor < 300; visitor++)
		void server.counter.hit(`/page/${visitor % 12}`, { visitor: `v${visitor}`, at: noon - visitor * 300_000 })
	void server.counter.hit(`/${'long'.repeat(100)}`, { by: 500 })
	await server.counter.flush()
	return server
}

/** Once the numbers are there. */
async function ready(page: Page): Promise<void> {
	await expect.poll(() => page.locator('#hits-total').textContent()).not.toBe('–')
}

const themeOf = (page: Page) => page.evaluate('getComputedStyle(document.body).backgroundColor')
const [light, dark] = ['rgb(245, 246, 244)', 'rgb(16, 21, 19)']

describe('accessibility', () => {
	const views = ['/', '/dashboard/page?page=%2Fpage%2F1&granularity=day'].flatMap((path) =>
		(['light', 'dark'] as const).flatMap((colorScheme) => [1280, 360].map((width) => [path, colorScheme, width] as const)),
	)
	it.each(views)('axe finds nothing on %s, %s, %i wide', async (path, colorScheme, width) => {
		const { origin } = await busyServer()
		const { page } = await browser.open(origin + path, { colorScheme, viewport: { width, height: 800 } })
		await ready(page)
		for (const summary of await page.locator('summary').all()) await summary.click()
		await page.evaluate(axe)
		const { violations, passes } = (await page.evaluate('axe.run()')) as AxeResults
		expect(passes.length).toBeGreaterThan(20)
		expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([])
	})

	it('says the number that moves to a screen reader, politely', async () => {
		const { origin, counter } = await dashboardServer()
		void counter.hit('/', { by: 4 })
		const { page } = await browser.open(origin)
		const status = page.locator('[role=status][aria-live=polite]')
		await expect.poll(() => status.textContent()).toBe('4 hits in the last minute, 4 today')
	})

	it('tells what a chart shows', async () => {
		const { origin, counter } = await dashboardServer()
		void counter.hit('/', { at: noon - 300_000, by: 9 })
		const { page } = await browser.open(origin)
		const chart = page.locator('#minutes [role=img]')
		await expect
			.poll(() => chart.getAttribute('aria-label'))
			.toBe('Hits per minute, the last 60 minutes. Hits: most 9, at 11:55. A table with every value follows.')
	})
})

describe('the keyboard', () => {
	it('reaches everything, and shows where it is', async () => {
		const { origin } = await busyServer()
		const { page } = await browser.open(origin)
		await ready(page)
		const stops: string[] = []
		for (let press = 0; press < 60; press++) {
			await page.keyboard.press('Tab')
			const [name, outline] = (await page.evaluate(
				'(({ activeElement: at }) => [at.id || at.getAttribute("aria-label") || at.className || at.tagName, getComputedStyle(at).outlineStyle])(document)',
			)) as [string, string]
			if (name === 'BODY') break
			expect([name, outline]).toEqual([name, 'solid'])
			stops.push(name)
		}
		expect(stops.slice(0, 5)).toEqual(['skip', 'tallymark: overview', 'find', 'BUTTON', 'theme'])
		expect(stops.slice(5, 8)).toEqual(['SUMMARY', 'SUMMARY', 'top-period'])
		// Ten links in each of two lists.
		expect(stops.slice(8)).toEqual(Array(20).fill('A'))
	})

	it('skips to the numbers, opens a table, and goes to a page and back', async () => {
		const { origin } = await busyServer()
		const opened = await browser.open(origin)
		const { page } = opened
		await ready(page)
		await page.keyboard.press('Tab')
		await page.keyboard.press('Enter')
		expect(await page.evaluate('document.activeElement.id')).toBe('content')
		await page.keyboard.press('Tab')
		await page.keyboard.press('Enter')
		await page.locator('#minutes table').waitFor()
		await page.locator('#top a').nth(1).focus()
		const name = await page.locator('#top a').nth(1).textContent()
		await page.keyboard.press('Enter')
		await expect.poll(() => page.locator('#page-name').textContent()).toBe(name)
		await page.locator('#granularity').focus()
		await page.keyboard.press('ArrowDown')
		await page.waitForURL(/granularity=hour&last=24/)
		await page.goBack()
		await ready(page)
		expectGoodManners(opened, origin)
	})

	it('keeps its place in a list whose order changes', async () => {
		const { origin, counter } = await dashboardServer()
		for (const [index, name] of ['/a', '/b', '/c'].entries()) void counter.hit(name, { by: 10 - index })
		const { page } = await browser.open(origin)
		const names = () => page.locator('#top a').allTextContents()
		await expect.poll(names).toEqual(['/a', '/b', '/c'])
		await page.locator('#top a').nth(1).focus()
		void counter.hit('/c', { by: 100 })
		await expect.poll(names).toEqual(['/c', '/a', '/b'])
		expect(await page.evaluate('document.activeElement.textContent')).toBe('/b')
	})
})

describe('dark and light', () => {
	it.each([
		['light', light],
		['dark', dark],
	] as const)('follows the system: %s', async (colorScheme, background) => {
		const { origin } = await dashboardServer()
		const { page } = await browser.open(origin, { colorScheme })
		expect(await themeOf(page)).toBe(background)
		expect(await page.locator('#theme').getAttribute('aria-pressed')).toBe(String(colorScheme === 'dark'))
	})

	it('follows the button, which is remembered, and paints the charts anew', async () => {
		const { origin } = await busyServer()
		const { page } = await browser.open(origin, { colorScheme: 'light' })
		await ready(page)
		const drawn = () => page.evaluate('document.querySelector("#minutes canvas").toDataURL()')
		const before = await drawn()
		await page.locator('#theme').click()
		expect(await themeOf(page)).toBe(dark)
		await expect.poll(drawn).not.toBe(before)
		await page.reload()
		await ready(page)
		expect(await themeOf(page)).toBe(dark)
		await page.locator('#theme').click()
		expect(await themeOf(page)).toBe(light)
	})
})

describe('a phone', () => {
	it.each([
		['the overview', '/'],
		["a page's view", '/dashboard/page?page=%2Fpage%2F1'],
		['a name of 400 letters', `/dashboard/page?page=${'long'.repeat(100)}`],
	])('360 pixels are wide enough for %s', async (_, path) => {
		const { origin } = await busyServer()
		const { page } = await browser.open(origin + path, { viewport: { width: 360, height: 740 } })
		await ready(page)
		for (const summary of await page.locator('summary').all()) await summary.click()
		expect(await page.evaluate('[document.documentElement.scrollWidth, document.documentElement.clientWidth]')).toEqual([360, 360])
		// The charts are as wide as their place, no wider.
		for (const canvas of await page.locator('canvas').all()) expect((await canvas.boundingBox())!.width).toBeLessThan(336)
	})

	it.each([
		[360, 2],
		[768, 2],
		[1280, 4],
	])('%i pixels are wide enough for numbers of 13 digits, each in one line, in rows of %i', async (width, inRow) => {
		const { origin, counter } = await dashboardServer()
		void counter.hit('/', { by: 1_111_111_111_111, visitor: 'a' })
		void counter.hit('/', { by: 9_876_543_210, lane: 'bot' })
		const { page } = await browser.open(origin, { viewport: { width, height: 740 } })
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('1,111,111,111,111')
		expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
		const numbers = (await page.evaluate(`[...document.querySelectorAll('.number')].map((number) => {
			const range = document.createRange()
			range.selectNodeContents(number)
			return [range.getClientRects().length, range.getBoundingClientRect().right <= number.getBoundingClientRect().right]
		})`)) as [number, boolean][]
		expect(numbers).toEqual(Array(4).fill([1, true]))
		const tops = (await page.evaluate(
			`[...document.querySelectorAll('.card')].map((card) => card.getBoundingClientRect().top)`,
		)) as number[]
		expect(tops.filter((top) => top === tops[0])).toHaveLength(inRow)
		// Names have room beside them.
		expect((await page.locator('#lanes tr th').first().boundingBox())!.width).toBeGreaterThan(90)
	})

	it('turned, the charts take the width that there is', async () => {
		const { origin } = await busyServer()
		const { page } = await browser.open(origin, { viewport: { width: 360, height: 740 } })
		await ready(page)
		const width = async () => (await page.locator('#minutes canvas').boundingBox())!.width
		const before = await width()
		await page.setViewportSize({ width: 740, height: 360 })
		await expect.poll(width).toBeGreaterThan(before + 300)
	})
})
