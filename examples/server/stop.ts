/** A graceful stop: no request that was answered is forgotten. */
import type { Server } from 'node:http'
import type { Counter } from '../../src/index.ts'
import { lanes } from '../../src/stores/store.ts'
import { type Counting, closeCounting } from './counting.ts'
import type { Tracker } from './tracker.ts'

export interface Totals {
	/** Hits on all pages, in all lanes; undefined where the store could not be asked any more. */
	readonly hits: number | undefined
	readonly pages: number | undefined
	/** Hits that could not be stored in time. */
	readonly unstored: number
}

/** Stops listening, lets running requests finish, and then closes the counters: requests first, for each of them may still count. */
export async function stop(server: Server, counting: Counting, tracker?: Tracker, deadlineMs = 10_000): Promise<Totals> {
	await closeServer(server, deadlineMs)
	const [hits, pages] = await Promise.all([hitsOf(counting.pages), pagesOf(counting.pages)]).catch(() => [undefined, undefined])
	const [counted, tracked] = await Promise.all([closeCounting(counting, deadlineMs), tracker?.close(deadlineMs)])
	return { hits, pages, unstored: counted.unstored + (tracked?.unstored ?? 0) }
}

/** Resolves when the last connection is closed: at once where it is idle, after its response where it is not, in any case at the deadline. */
async function closeServer(server: Server, deadlineMs: number): Promise<void> {
	const closed = new Promise((resolve) => server.close(resolve))
	// Node closes the idle connections once, when it stops listening; those that become idle later would stay until they time out.
	const sweep = setInterval(() => server.closeIdleConnections(), 20)
	const deadline = setTimeout(() => server.closeAllConnections(), deadlineMs)
	await closed
	clearInterval(sweep)
	clearTimeout(deadline)
}

async function hitsOf(counter: Counter): Promise<number> {
	const counts = await Promise.all(lanes.map((lane) => counter.lane(lane).all.count()))
	return counts.reduce((sum, count) => sum + count, 0)
}

async function pagesOf(counter: Counter): Promise<number> {
	const pages = new Set<string>()
	for (const lane of lanes) {
		let cursor: string | undefined
		do {
			const page = await counter.lane(lane).list({ limit: 10_000, ...(cursor !== undefined && { cursor }) })
			for (const key of page.keys) pages.add(key)
			cursor = page.cursor
		} while (cursor !== undefined)
	}
	return pages.size
}
