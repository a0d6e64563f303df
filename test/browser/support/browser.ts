/** One headless Chromium for a test file; every page of it is watched for what no page of ours may do. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { chromiumPath } from '../../support/chromium.ts'

export interface Opened {
	readonly page: Page
	/** What the console said, errors of scripts included. */
	readonly complaints: readonly string[]
	readonly requests: readonly string[]
	readonly dialogs: readonly string[]
}

export function withBrowser(): { open(url: string, options?: BrowserContextOptions): Promise<Opened> } {
	let browser: Browser
	beforeAll(async () => {
		const executablePath = chromiumPath()
		if (executablePath === undefined) throw new Error('There is no Chromium on the PATH: npx tsx scripts/setup-tests.ts installs it')
		// Chromium's own sandbox cannot be had by root.
		browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
	})
	afterAll(() => browser?.close())
	return { open: (url, options) => open(browser, url, options) }
}

async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Opened> {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
	onTestFinished(() => context.close())
	// Below the time a test may take, so that it says what it has waited for.
	context.setDefaultTimeout(10_000)
	const page = await context.newPage()
	const [complaints, requests, dialogs]: [string[], string[], string[]] = [[], [], []]
	page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`))
	page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`))
	page.on('request', (request) => requests.push(request.url()))
	page.on('dialog', (dialog) => {
		dialogs.push(dialog.message())
		return dialog.dismiss()
	})
	await page.goto(url)
	await page.locator('#connection[data-state=live]').waitFor()
	return { page, complaints, requests, dialogs }
}

/** What a page must never have done, whatever was on it. */
export function expectGoodManners({ complaints, requests, dialogs }: Opened, origin: string): void {
	expect(complaints).toEqual([])
	expect(dialogs).toEqual([])
	expect(requests.length).toBeGreaterThan(3)
	expect(requests.filter((url) => new URL(url).origin !== origin)).toEqual([])
}
