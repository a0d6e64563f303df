import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/index.ts'
import { FaultyStore } from '../../src/testing.ts'
import { servedApp } from './support/app.ts'

/** The samples of a scrape by name and labels. */
async function scraped(app: Awaited<ReturnType<typeof servedApp>>): Promise<Map<string, number>> {
	const { status, headers, body } = await app.ask('/metrics')
	expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^text\/plain; version=0\.0\.4/)])
	const samples = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
	return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

describe('GET /metrics', () => {
	it('tells hits by lane, what waits, the store, and the process', async () => {
		const app = await servedApp()
		await app.counting.pages.hit('/a', { by: 3 })
		await app.counting.pages.hit('/a', { lane: 'bot' })
		const samples = await scraped(app)
		expect(samples.get('tallymark_hits{lane="human"}')).toBe(3)
		expect(samples.get('tallymark_hits{lane="bot"}')).toBe(1)
		expect(samples.get('tallymark_store_up{node="memory"}')).toBe(1)
		expect(samples.get('tallymark_pending_hits')).toBe(4)
		expect(samples.get('tallymark_dropped_hits')).toBe(0)
		expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0)
		await app.counting.pages.flush()
		expect((await scraped(app)).get('tallymark_pending_hits')).toBe(0)
	})

	it('times requests by the pattern of their route, so that no address makes a series of its own', async () => {
		const app = await servedApp()
		for (let at = 0; at < 50; at++) {
			await app.ask(`/visit/page-${at}`, { method: 'POST' })
			await app.ask(`/nowhere-${at}`)
			await app.ask(`/site/${at}`)
		}
		const samples = await scraped(app)
		const counts = [...samples].filter(([name]) => name.startsWith('http_request_duration_seconds_count'))
		expect(new Map(counts)).toEqual(
			new Map([
				['http_request_duration_seconds_count{method="POST",route="/visit/:page_id",status="200"}', 50],
				['http_request_duration_seconds_count{method="GET",route="none",status="404"}', 50],
				['http_request_duration_seconds_count{method="GET",route="/site",status="200"}', 50],
			]),
		)
	})

	it('answers while the store is away, and says that it is', async () => {
		let away = false
		const store = new FaultyStore(new MemoryStore(), { plan: () => (away ? 'before' : undefined) })
		const app = await servedApp({ counts: { store } })
		away = true
		const samples = await scraped(app)
		expect([...samples].find(([name]) => name.startsWith('tallymark_store_up'))?.[1]).toBe(0)
		expect(samples.get('tallymark_hits{lane="human"}')).toBeNaN()
		away = false
	})
})
