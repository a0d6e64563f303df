import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type express from 'express'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type CountReport, countLog } from '../../examples/replay/count.ts'
import { parseLine } from '../../examples/replay/parse.ts'
import { noProgress } from '../../examples/replay/progress.ts'
import { sampleLog } from '../../examples/replay/sample-log.ts'
import { type SendReport, sendLog } from '../../examples/replay/send.ts'
import { fileSource, type LogSource, sampleSource } from '../../examples/replay/source.ts'
import { keyOfPath } from '../../src/express.ts'
import { lanes } from '../../src/stores/store.ts'
import { served } from '../http/support/served.ts'
import { exampleServer, outputOf, runProgram } from './support/example-server.ts'

const realLog = '../shared/data/access.log'
const hasRealLog = existsSync(realLog)
const leftOut = hasRealLog ? '' : ' (left out: the log is not on this machine)'

async function logFile(text: string): Promise<LogSource> {
	const folder = await mkdtemp(join(tmpdir(), 'tallymark-replay-'))
	onTestFinished(() => rm(folder, { recursive: true }))
	const path = join(folder, 'access.log')
	await writeFile(path, text)
	return fileSource(path)
}

const line = (address: string, time: string, target: string, method = 'GET') =>
	`${address} - - [${time}] "${method} ${target} HTTP/1.1" 200 1 "-" "Mozilla/5.0"`

/** The views of each page that a server has to count for these lines, in the order of its list. */
function viewsOf(lines: readonly string[]): { page: string; views: number }[] {
	const views = new Map<string, number>()
	for (const text of lines) {
		const parsed = parseLine(text)
		if (parsed?.method === 'GET') views.set(keyOfPath(parsed.target), (views.get(keyOfPath(parsed.target)) ?? 0) + 1)
	}
	return [...views].map(([page, views]) => ({ page, views })).sort((a, b) => b.views - a.views || (a.page < b.page ? -1 : 1))
}

describe('replay: counting', () => {
	const options = { uniques: 'set', top: 5, progress: noProgress } as const

	it('counts lines at their own time, whatever their order and offset, and reports what it cannot read', async () => {
		const log = [
			line('192.0.2.1', '17/May/2015:23:59:59 +0000', '/'),
			line('192.0.2.2', '18/May/2015:02:00:00 +0200', '/a?b'),
			'nonsense',
			'',
			line('192.0.2.1', '17/May/2015:23:59:01 +0000', '/'),
			line('192.0.2.2', '20/May/2015:00:00:00 +0000', `/${'x'.repeat(5_000)}`, 'POST'),
		]
		const report = await countLog(await logFile(`${log.join('\n')}\n`), options)
		expect(report).toMatchObject({
			lines: 6,
			hits: 4,
			unreadable: [
				{ line: 3, text: 'nonsense' },
				{ line: 4, text: '' },
			],
			targets: 3,
			uniques: { all: 2, home: 1, exact: true },
			busiestMinute: { start: '2015-05-17T23:59:00.000Z', hits: 2 },
			perDay: [
				{ start: '2015-05-17T00:00:00.000Z', hits: 2 },
				{ start: '2015-05-18T00:00:00.000Z', hits: 1 },
				{ start: '2015-05-19T00:00:00.000Z', hits: 0 },
				{ start: '2015-05-20T00:00:00.000Z', hits: 1 },
			],
		})
		expect(report.top[0]).toEqual({ target: '/', hits: 2 })
		expect(report.perHour).toHaveLength(50)
	})

	it('reads any end of line, a last line without one, and a file without lines', async () => {
		const text = line('192.0.2.1', '17/May/2015:23:59:59 +0000', '/')
		expect(await countLog(await logFile(`${text}\r\n${text}`), options)).toMatchObject({ lines: 2, hits: 2 })
		expect(await countLog(await logFile(''), options)).toMatchObject({ lines: 0, hits: 0, perDay: [], busiestMinute: undefined })
		expect(await countLog(await logFile('x'.repeat(1_000_000)), options)).toMatchObject({ lines: 1, hits: 0, unreadable: [{ line: 1 }] })
	})

	it('goes on when the log is longer than minutes, hours or days are kept', async () => {
		const years = [1975, 1996, 2013, 2015, 2015].map((year, index) => line('192.0.2.1', `1${index}/May/${year}:10:00:00 +0000`, '/'))
		const report = await countLog(await logFile(years.join('\n')), options)
		expect(report).toMatchObject({ hits: 5, busiestMinute: { start: '2015-05-13T10:00:00.000Z', hits: 1 } })
		expect(report.perDay.at(-1)).toEqual({ start: '2015-05-14T00:00:00.000Z', hits: 1 })
	})

	it('counts the sample log', async () => {
		const lines = sampleLog()
		const addresses = new Set(lines.map((text) => text.split(' ')[0]))
		const report = await countLog(sampleSource(), options)
		expect(report).toMatchObject({ lines: lines.length, hits: lines.length, unreadable: [], uniques: { all: addresses.size, exact: true } })
		expect(report.perDay.map(({ start }) => start.slice(0, 10))).toEqual(['2026-01-12', '2026-01-13', '2026-01-14'])
	})

	it.skipIf(!hasRealLog).each(['set', 'hyperloglog'] as const)(
		`counts 10,000 lines of a real log, uniques by %s${leftOut}`,
		async (uniques) => {
			const report = await countLog(await fileSource(realLog), { uniques, top: 5, progress: noProgress })
			expect(report).toMatchObject({
				lines: 10_000,
				hits: 10_000,
				unreadable: [],
				targets: 1_498,
				busiestMinute: { start: '2015-05-19T19:05:00.000Z', hits: 136 },
				perDay: [
					{ start: '2015-05-17T00:00:00.000Z', hits: 1_632 },
					{ start: '2015-05-18T00:00:00.000Z', hits: 2_893 },
					{ start: '2015-05-19T00:00:00.000Z', hits: 2_896 },
					{ start: '2015-05-20T00:00:00.000Z', hits: 2_579 },
				],
				top: [
					{ target: '/favicon.ico', hits: 807 },
					{ target: '/style2.css', hits: 546 },
					{ target: '/reset.css', hits: 538 },
					{ target: '/images/jordan-80.png', hits: 533 },
					{ target: '/images/web/2009/banner.png', hits: 516 },
				],
			})
			expect(report.perHour.filter(({ hits }) => hits > 0)).toHaveLength(84)
			expect(report.perHour.reduce((sum, { hits }) => sum + hits, 0)).toBe(10_000)
			if (uniques === 'set') expect(report.uniques).toEqual({ all: 1_753, home: 153, exact: true })
			else {
				expect(Math.abs(report.uniques.all / 1_753 - 1)).toBeLessThan(0.02)
				expect(Math.abs(report.uniques.home / 153 - 1)).toBeLessThan(0.02)
			}
		},
	)

	it.skipIf(!hasRealLog)(`counts each target of a real log as often as it is there${leftOut}`, async () => {
		const targets = new Map<string, number>()
		for (const text of readFileSync(realLog, 'utf8').trimEnd().split('\n')) {
			const target = text.split('"')[1]!.split(' ')[1]!
			targets.set(target, (targets.get(target) ?? 0) + 1)
		}
		const report = await countLog(await fileSource(realLog), { uniques: 'set', top: 10_000, progress: noProgress })
		expect(new Map(report.top.map(({ target, hits }) => [target, hits]))).toEqual(targets)
		expect(targets.get('/')).toBe(197)
	})
})

describe('replay: over HTTP', () => {
	it('sends the sample log; the server counts just what it acknowledged', async () => {
		const server = await exampleServer()
		const options = { url: new URL(server.url), concurrency: 100, progress: noProgress }
		const expected = viewsOf(sampleLog())
		const views = expected.reduce((sum, page) => sum + page.views, 0)
		const report = await sendLog(sampleSource(), options)
		expect(report).toMatchObject({
			statuses: { 200: 4_000 },
			failed: [],
			acknowledged: views,
			agrees: true,
			differences: [],
			server: { views },
		})
		expect(report.server.pages).toEqual(expected.slice(0, 10))
		// Once more, on top of what is there.
		expect(await sendLog(sampleSource(), options)).toMatchObject({ acknowledged: views, agrees: true, server: { views: 2 * views } })
	})

	it.skipIf(!hasRealLog)(`9,952 GETs of a real log by 100 clients at a time: none is lost${leftOut}`, async () => {
		const server = await exampleServer()
		const report = await sendLog(await fileSource(realLog), { url: new URL(server.url), concurrency: 100, progress: noProgress })
		expect(report).toMatchObject({
			lines: 10_000,
			statuses: { 200: 10_000 },
			failed: [],
			acknowledged: 9_952,
			agrees: true,
			differences: [],
			server: { views: 9_952 },
		})
		const pages = new Map<string, number>()
		for (const lane of lanes) {
			const answer = await fetch(`${server.url}/stats?limit=10000&uniques=0&lane=${lane}`)
			const ofLane = (await answer.json()) as { pages: { page: string; views: number }[] }
			for (const { page, views } of ofLane.pages) pages.set(page, (pages.get(page) ?? 0) + views)
		}
		expect(pages).toEqual(new Map(viewsOf(readFileSync(realLog, 'utf8').split('\n')).map(({ page, views }) => [page, views])))
		server.process.kill('SIGTERM')
		expect(await server.ended).toMatchObject({ code: 0, totals: { hits: 9_952, unstored: 0 } })
	})

	it('sends targets that no client would send as they stand', async () => {
		const server = await exampleServer()
		const targets = ['*', 'http://example.com/x', '/a b', '/é', '/a#b', '/..', '//x//', '/%', '/\\"', '/{}|^`', '/x?y z']
		const log = targets.map((target) => line('192.0.2.1', '17/May/2015:23:59:59 +0000', target)).join('\n')
		const report = await sendLog(await logFile(log), { url: new URL(server.url), concurrency: 3, progress: noProgress })
		expect(report).toMatchObject({ statuses: { 200: targets.length }, failed: [], acknowledged: targets.length, agrees: true })
	})

	it('says what was refused, what failed, and where the numbers differ; nothing is sent twice', async () => {
		const asked: string[] = []
		const { port } = await served((app) => {
			app.get('/stats', (request, response) => {
				const views = request.query['lane'] === 'human' ? asked.filter((path) => path === '/site/page').length : 0
				response.json({ views, unique_visitors: 1, pages: views ? [{ page: '/page', views }] : [] })
			})
			app.use((request: express.Request, response: express.Response) => {
				asked.push(request.url)
				if (request.url === '/site/broken') request.socket.destroy()
				else response.status(request.url === '/site/missing' ? 404 : 200).end()
			})
		})
		const targets = ['/page', '/missing', '/broken', '/page', '/lost']
		const log = targets.map((target) => line('192.0.2.1', '17/May/2015:23:59:59 +0000', target)).join('\n')
		const report = await sendLog(await logFile(log), {
			url: new URL(`http://127.0.0.1:${port}`),
			concurrency: 1,
			progress: noProgress,
			patienceMs: 0,
		})
		expect(report).toMatchObject({
			statuses: { 200: 3, 404: 1 },
			failed: [{ line: 3, reason: 'ECONNRESET' }],
			acknowledged: 3,
			agrees: false,
			differences: [{ page: '/lost', acknowledged: 1, counted: 0 }],
		})
		expect(asked.filter((path) => path === '/site/broken')).toHaveLength(1)
	})
})

describe('replay: the program', () => {
	const run = (...args: string[]) => outputOf(runProgram('examples/replay/main.ts', args))

	it('without a file counts the sample log, for people and for programs', async () => {
		const [text, json] = await Promise.all([run('--top', '3'), run('--json', '--uniques', 'set')])
		expect(text).toMatchObject({ code: 0, stderr: '' })
		for (const part of [
			'the sample log',
			'busiest minute',
			'Top targets',
			'Per day (UTC)',
			'2026-01-13',
			'Hits per hour',
			'┤',
			'a second',
		]) {
			expect(text.stdout).toContain(part)
		}
		const report: CountReport = JSON.parse(json.stdout)
		expect(report).toMatchObject({ hits: 4_000, uniques: { exact: true }, top: { length: 10 } })
	})

	it('with --url sends it, and says whether the numbers agree', async () => {
		const server = await exampleServer()
		const text = await run('--url', server.url)
		expect(text.code).toBe(0)
		expect(text.stdout).toMatch(/answered 200 +4000/)
		expect(text.stdout).toMatch(/The server's numbers grew by just what it acknowledged: \d+ views\./)
		const report: SendReport = JSON.parse((await run('--url', server.url, '--json', '--concurrency', '7')).stdout)
		expect(report.agrees).toBe(true)
	})

	it.each([
		[['--uniques', 'bloom'], 2, /Expected --uniques to be set or hyperloglog, got bloom[\s\S]*Usage/],
		[['--top', '0'], 2, /Expected --top to be a whole number from 1 to 10000, got 0/],
		[['--concurrency', 'many'], 2, /Expected --concurrency/],
		[['--url', 'localhost:3000'], 2, /Expected --url to be an http or https URL/],
		[['--nonsense'], 2, /--nonsense/],
		[['a.log', 'b.log'], 2, /Expected one log file, got 2/],
		[['nowhere.log'], 1, /no such file.*nowhere\.log/],
		[['--url', 'http://127.0.0.1:1'], 1, /ECONNREFUSED/],
	])('%j ends with %i and says why', async (args, code, message) => {
		const { code: ended, stdout, stderr } = await run(...args)
		expect([ended, stdout]).toEqual([code, ''])
		expect(stderr).toMatch(message)
		expect(stderr).not.toMatch(/^ {4}at /m)
	})
})
