import { describe, expect, it } from 'vitest'
import { nameText } from '../../examples/server/dashboard/client/format.ts'
import { expectGoodManners, withBrowser } from './support/browser.ts'
import { dashboardServer } from './support/dashboard-server.ts'

const browser = withBrowser()

const names = [
	'<script>globalThis.caught = 1; alert(1)</script>',
	'<img src=x onerror="globalThis.caught = 1; alert(1)">',
	'"><svg onload=alert(1)>',
	'</td></tr></table><h1>taken over</h1>',
	'javascript:alert(1)',
	'//evil.example/x',
	'\u202Egnp.exe',
	'مرحبا/بالعالم',
	'🎉👩‍👩‍👧 & &lt;b&gt;',
	'{{main}} $& $1 $`',
]

describe('page names that mean harm', () => {
	it('are shown as the text that they are', async () => {
		const { counter, origin } = await dashboardServer()
		for (const [index, name] of names.entries()) void counter.hit(name, { by: names.length - index })
		const opened = await browser.open(origin)
		const { page } = opened
		for (const table of ['top', 'trending']) {
			await expect.poll(() => page.locator(`#${table} a`).allTextContents()).toEqual(names.map(nameText))
		}
		expect(
			await page.evaluate('[document.scripts.length, document.images.length, document.querySelectorAll("h1").length, globalThis.caught]'),
		).toEqual([1, 0, 1, undefined])
		expectGoodManners(opened, origin)
	})

	it.each(names)('%s has its own view', async (name) => {
		const { counter, origin } = await dashboardServer()
		void counter.hit(name, { by: 3 })
		const opened = await browser.open(origin)
		const { page } = opened
		await page.locator('#top a').click()
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('3')
		expect(await page.locator('#page-name').textContent()).toBe(nameText(name))
		await page.locator('#find').fill(name.slice(0, 2))
		await expect
			.poll(() => page.locator('#pages option').evaluateAll((options) => options.map((option) => option.getAttribute('value'))))
			.toEqual([name])
		expect(await page.evaluate('[document.scripts.length, globalThis.caught]')).toEqual([1, undefined])
		expectGoodManners(opened, origin)
	})

	it.each([
		['/plain/path?x=1 é', '/plain/path?x=1 é'],
		['/caf\u0301e', '/caf\u0301e'],
		[
			'👩‍👩‍👧 👍🏽 ❤️ 1️⃣ 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} 🇩🇪',
			'👩‍👩‍👧 👍🏽 ❤️ 1️⃣ 🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} 🇩🇪',
		],
		['می\u200cخواهم क्\u200dष', 'می\u200cخواهم क्\u200dष'],
		['/ho\u200dme\u200d', '/ho⟨U+200D⟩me⟨U+200D⟩'],
		['/home\u200b', '/home⟨U+200B⟩'],
		['/home\u{e0041}\ufe0f', '/home⟨U+E0041⟩⟨U+FE0F⟩'],
		['\u202egnp.exe\u2066', '⟨U+202E⟩gnp.exe⟨U+2066⟩'],
		['\u3164', '⟨U+3164⟩'],
		['\u00ad\u2028\u2029\ufeff\x7f\x85', '⟨U+00AD⟩⟨U+2028⟩⟨U+2029⟩⟨U+FEFF⟩⟨U+007F⟩⟨U+0085⟩'],
		['\t\n\0', '␉␊␀'],
		[' a b  c\u00a0d ', '␣a b␣␣c⟨U+00A0⟩d␣'],
		['   ', '␣␣␣'],
	])('%j is shown as %j', (name, shown) => {
		expect(nameText(name)).toBe(shown)
	})

	it('that cannot be seen get signs that can', async () => {
		const { counter, origin } = await dashboardServer()
		void counter.hit('a\nb\0', { by: 3 })
		void counter.hit('  ', { by: 2 })
		const { page } = await browser.open(origin)
		await expect.poll(() => page.locator('#top a').allTextContents()).toEqual(['a␊b␀', '␣␣'])
		await page.locator('#top a').first().click()
		await expect.poll(() => page.locator('#hits-total').textContent()).toBe('3')
	})
})
