import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { reportText } from '../../examples/load/print.ts'
import { type LoadOptions, runLoad } from '../../examples/load/run.ts'
import { exampleServer, outputOf, runProgram } from '../examples/support/example-server.ts'

interface Deviations {
	/** Whether the visit is counted; the answer says so in any case. */
	readonly counts?: (visit: number) => boolean
	/** What a visit is answered with; undefined: the connection is cut. */
	readonly answers?: (visit: number) => number | undefined
	/** How long answers wait from now on, milliseconds. */
	readonly stalls?: (visit: number) => number
}

/** A server that counts, but for what it is told to do wrong. */
async function fakeServer({ counts = () => true, answers = () => 200, stalls = () => 0 }: Deviations = {}): Promise<{
	url: URL
	arrivals: number[]
}> {
	const hits = new Map<string, number>()
	const arrivals: number[] = []
	let visits = 0
	let readyAt = 0
	const listener: RequestListener = (request, response) => {
		arrivals.push(performance.now())
		const page = request.url!.split('/').at(-1)!
		if (request.method === 'GET') {
			const body = JSON.stringify({ count: hits.get(page) ?? 0 })
			setTimeout(() => response.end(body), readyAt - performance.now())
			return
		}
		const visit = ++visits
		if (stalls(visit) > 0) readyAt = performance.now() + stalls(visit)
		const status = answers(visit)
		if (counts(visit)) hits.set(page, (hits.get(page) ?? 0) + 1)
		if (status === undefined) request.socket.destroy()
		else setTimeout(() => response.writeHead(status).end('{}'), readyAt - performance.now())
	}
	const server = createServer(listener).listen(0, '127.0.0.1')
	await new Promise((resolve) => server.once('listening', resolve))
	onTestFinished(() => {
		server.close()
		server.closeAllConnections()
	})
	return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), arrivals }
}

const load = (url: URL, options: Partial<LoadOptions> = {}) =>
	runLoad({ url, rate: 400, seconds: 0.5, pages: 5, users: 10, patienceMs: 300, ...options })

describe('a run', () => {
	it('measures every request, and finds the counts right', async () => {
		const { url } = await fakeServer()
		const progress: number[] = []
		const report = await load(url, { warmUpSeconds: 0.1, progress: (answered) => progress.push(answered) })
		expect(report).toMatchObject({ requests: 240, acknowledged: 120, unknown: 0, counted: 120, differences: [], failures: {} })
		expect(report.latencies.map(({ name, count }) => [name, count])).toEqual([
			['POST /visit/:page_id', 100],
			['GET /visits/:page_id', 80],
			['GET /analytics/...', 20],
		])
		expect(report.late.count).toBe(200)
		expect(progress).toEqual(Array.from({ length: 240 }, (_, index) => index + 1))
		for (const { mean, p50, p90, p99, p999, max } of report.latencies) {
			expect(mean).toBeGreaterThan(0)
			expect([p50, p90, p99, p999, max].every((value, index, all) => index === 0 || value >= all[index - 1]!)).toBe(true)
		}
	})

	it('adds to what was counted before', async () => {
		const { url } = await fakeServer()
		await load(url)
		expect(await load(url)).toMatchObject({ acknowledged: 100, counted: 100, differences: [] })
	})

	it('goes on sending while the server stalls, and measures what that costs everybody', async () => {
		const { url, arrivals } = await fakeServer({ stalls: (visit) => (visit === 20 ? 300 : 0) })
		const { latencies } = await load(url)
		// From the 40th request on, 120 more were due in these 300 ms: two of three visits waited, most of them for long.
		expect(latencies[0]!.max).toBeGreaterThan(250)
		expect(latencies[0]!.p50).toBeGreaterThan(20)
		const stalled = arrivals[40 + 5]!
		expect(arrivals.filter((at) => at >= stalled && at < stalled + 250).length).toBeGreaterThan(60)
	})

	it('finds a hit that was acknowledged and not counted', async () => {
		const { url } = await fakeServer({ counts: (visit) => visit !== 50 })
		const report = await load(url)
		expect(report.differences).toHaveLength(1)
		const [{ counted, atLeast, atMost }] = report.differences as [(typeof report.differences)[0]]
		expect([atLeast - counted, atMost]).toEqual([1, atLeast])
		expect(reportText(report)).toMatch(/load-\d: \d+ expected, \d+ counted\nThe counts of 1 pages are WRONG\.$/)
	})

	it('finds a hit that was refused and counted all the same', async () => {
		const { url } = await fakeServer({ answers: (visit) => (visit === 50 ? 503 : 200) })
		const report = await load(url)
		expect(report.failures).toEqual({ 'POST /visit/:page_id: 503': 1 })
		expect(report.differences.map(({ counted, atMost }) => counted - atMost)).toEqual([1])
	})

	it.each([true, false])('takes either outcome of a visit without an answer (counted: %s)', async (isCounted) => {
		const { url } = await fakeServer({ answers: (visit) => (visit === 50 ? undefined : 200), counts: (visit) => visit !== 50 || isCounted })
		const report = await load(url)
		expect(report).toMatchObject({ acknowledged: 99, unknown: 1, counted: isCounted ? 100 : 99, differences: [] })
		expect(Object.keys(report.failures)).toEqual([expect.stringContaining('POST /visit/:page_id: ')])
	})
})

describe('npm run load', () => {
	const program = 'examples/load/main.ts'

	it('starts a server of its own, tells latencies and that the counts are right', async () => {
		const args = ['--rate', '200', '--seconds', '1', '--warm-up', '1', '--pages', '20', '--users', '50']
		const { code, stdout, stderr } = await outputOf(runProgram(program, args))
		expect([code, stderr]).toEqual([0, ''])
		expect(stdout).toMatch(/^200 requests a second for 1 s, 20 pages, 50 users, http:\/\/127\.0\.0\.1:\d+\n/)
		expect(stdout).toMatch(/^POST \/visit\/:page_id +100( +\d+\.\d{3}){6}$/m)
		expect(stdout).toMatch(/^200 visits acknowledged; 200 counted\nThe counts of all pages are right\.$/m)
	})

	it('loads a server that runs, as JSON where asked', async () => {
		const { url, port } = await exampleServer()
		const { code, stdout } = await outputOf(
			runProgram(program, ['--url', url, '--rate', '100', '--seconds', '1', '--warm-up', '0', '--json']),
		)
		expect(code).toBe(0)
		expect(JSON.parse(stdout)).toMatchObject({ requests: 100, acknowledged: 50, counted: 50, differences: [] })
		const { views } = (await (await fetch(`http://127.0.0.1:${port}/stats`)).json()) as { views: number }
		expect(views).toBe(50)
	})

	it('ends with 1 where the counts are wrong', async () => {
		const { url } = await fakeServer({ answers: (visit) => (visit === 5 ? 503 : 200) })
		const args = ['--url', url.href, '--rate', '100', '--seconds', '1', '--warm-up', '0', '--pages', '3']
		const { code, stdout } = await outputOf(runProgram(program, args))
		expect(code).toBe(1)
		expect(stdout).toMatch(/^1 times POST \/visit\/:page_id: 503$/m)
	})

	it.each([
		[['--rate', '0'], 'Expected --rate to be a whole number from 1 to 100000, got 0'],
		[['--seconds', '1.5'], 'Expected --seconds to be a whole number from 1 to 86400, got 1.5'],
		[['--url', 'localhost'], 'Expected --url to be an http or https URL, got localhost'],
		[['--speed', '1'], "Unknown option '--speed'"],
	])('says what is wrong with %j', async (args, sentence) => {
		const { code, stdout, stderr } = await outputOf(runProgram(program, args))
		expect([code, stdout]).toEqual([2, ''])
		expect(stderr).toContain(sentence)
		expect(stderr).toContain('Usage: npm run load')
	})
})
