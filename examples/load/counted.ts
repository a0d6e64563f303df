/** What the server has counted on each page, held against what it acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from './client.ts'
import { nameOf, visitsPath } from './traffic.ts'

export interface Difference {
	readonly page: string
	readonly counted: number
	/** What it has to be: visits that were acknowledged, and as many more as got no answer. */
	readonly atLeast: number
	readonly atMost: number
}

export interface Expectation {
	/** Counts before the load. */
	readonly before: readonly number[]
	readonly acknowledged: Uint32Array
	readonly unknown: Uint32Array
	readonly patienceMs: number
}

const atOnce = 50
const againMs = 250

/** The count of each page. Rejects where the server does not say. */
export async function counted(client: Client, pages: number): Promise<number[]> {
	const counts: number[] = []
	while (counts.length < pages) {
		const piece = Array.from({ length: Math.min(atOnce, pages - counts.length) }, (_, index) => countOf(client, counts.length + index))
		counts.push(...(await Promise.all(piece)))
	}
	return counts
}

/** Reads until the counts are right or the patience is at its end; answers where they are wrong, and how many visits were counted in all. */
export async function differencesOf(client: Client, expectation: Expectation): Promise<{ total: number; differences: Difference[] }> {
	const { before, acknowledged, unknown, patienceMs } = expectation
	const deadline = performance.now() + patienceMs
	for (;;) {
		const after = await counted(client, before.length)
		const grown = after.map((count, page) => count - before[page]!)
		const differences = grown
			.map((counted, page) => ({
				page: nameOf(page),
				counted,
				atLeast: acknowledged[page]!,
				atMost: acknowledged[page]! + unknown[page]!,
			}))
			.filter(({ counted, atLeast, atMost }) => counted < atLeast || counted > atMost)
		// What is too much stays too much.
		const hopeless = differences.some(({ counted, atMost }) => counted > atMost)
		if (differences.length === 0 || hopeless || performance.now() >= deadline)
			return { total: grown.reduce((sum, count) => sum + count, 0), differences }
		await sleep(againMs)
	}
}

async function countOf(client: Client, page: number): Promise<number> {
	const path = visitsPath(page)
	const { status, body } = await client.send('GET', path)
	const count: unknown = status === 200 ? JSON.parse(body).count : undefined
	if (typeof count !== 'number') throw new Error(`Expected GET ${path} to answer 200 with a count, got ${status}: ${body.slice(0, 200)}`)
	return count
}
