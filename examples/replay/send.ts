/** Sends a log's requests to a running example server, and holds its numbers against what it acknowledged. */
import http from 'node:http'
import https from 'node:https'
import { keyOfPath } from '../../src/http/key-of-path.ts'
import { lanes } from '../../src/stores/store.ts'
import type { UnreadableLine } from './count.ts'
import { type LogLine, parseLine } from './parse.ts'
import type { Progress } from './progress.ts'
import type { LogSource } from './source.ts'

export interface SendOptions {
	/** Where the server is, for example http://localhost:3000. */
	readonly url: URL
	/** Requests under way at a time, each on a connection that is kept. */
	readonly concurrency: number
	readonly progress: Progress
	/** The server counts after its answer, and one on a shared store sees the others' hits a little later: so long may its numbers take. @default 10_000 */
	readonly patienceMs?: number
}

export interface SendReport {
	readonly log: string
	readonly url: string
	readonly lines: number
	readonly unreadable: readonly UnreadableLine[]
	/** Requests that were answered, by status. */
	readonly statuses: Readonly<Record<string, number>>
	/** Requests without an answer. They may have been counted or not: nothing is sent a second time. */
	readonly failed: readonly { readonly line: number; readonly reason: string }[]
	/** GET requests that were answered with 2xx or 304: what the server has to have counted. */
	readonly acknowledged: number
	readonly server: ServerNumbers
	/** Whether the server's numbers grew by just what it acknowledged, in all and for each page. */
	readonly agrees: boolean
	/** Where they did not. */
	readonly differences: readonly { readonly page: string; readonly acknowledged: number; readonly counted: number }[]
	readonly seconds: number
}

export interface ServerNumbers {
	readonly views: number
	/** Of each lane together; nobody is in two of them but who fetches pages in advance. */
	readonly unique_visitors: number
	readonly pages: readonly { readonly page: string; readonly views: number }[]
}

/** As many as the server lists; where it has more pages, those beyond are not compared one by one. */
const comparedPages = 10_000
const answerTimeoutMs = 30_000

export async function sendLog(source: LogSource, { url, concurrency, progress, patienceMs = 10_000 }: SendOptions): Promise<SendReport> {
	const began = performance.now()
	const client = clientOf(url, concurrency)
	const before = await numbersOf(client)
	const unreadable: UnreadableLine[] = []
	const statuses: Record<string, number> = {}
	const failed: { line: number; reason: string }[] = []
	const acknowledged = new Map<string, number>()
	let lines = 0

	async function* requests() {
		for await (const piece of source.pieces()) {
			for (const text of piece.lines) {
				lines++
				const parsed = parseLine(text)
				if (parsed) yield { line: lines, parsed }
				else unreadable.push({ line: lines, text: text.slice(0, 200) })
				progress.update(piece.bytesRead, lines)
			}
		}
	}

	// Every worker takes the next request when it has its answer; the generator hands each of them out once.
	const queue = requests()
	async function work(): Promise<void> {
		for (;;) {
			const { value, done } = await queue.next()
			if (done) return
			const { line, parsed } = value
			try {
				const { status } = await client.send(parsed.method, pathOf(parsed), {
					'x-forwarded-for': parsed.address,
					...(parsed.agent !== '' && { 'user-agent': parsed.agent.replace(/[^\x20-\x7e]/g, '?') }),
				})
				statuses[status] = (statuses[status] ?? 0) + 1
				if (parsed.method === 'GET' && ((status >= 200 && status < 300) || status === 304)) {
					const page = keyOfPath(pathOf(parsed).slice('/site'.length))
					acknowledged.set(page, (acknowledged.get(page) ?? 0) + 1)
				}
			} catch (error) {
				failed.push({ line, reason: reasonOf(error) })
			}
		}
	}
	await Promise.all(Array.from({ length: concurrency }, work))
	progress.stop()
	const seconds = (performance.now() - began) / 1000

	let total = 0
	for (const views of acknowledged.values()) total += views
	const { server, differences } = await compared(client, before, acknowledged, total, patienceMs)
	client.close()
	return {
		log: source.name,
		url: url.href,
		lines,
		unreadable,
		statuses,
		failed,
		acknowledged: total,
		server: { ...server, pages: server.pages.slice(0, 10) },
		agrees: server.views - before.views === total && differences.length === 0,
		differences,
		seconds,
	}
}

/** The request's path under /site. What the log has and a request cannot have is percent-encoded. */
function pathOf({ target }: LogLine): string {
	const path = target.replace(/[^\x21-\x7e]+/g, (text) => encodeURIComponent(text))
	return path.startsWith('/') ? `/site${path}` : `/site/${path}`
}

/** Asks for the server's numbers until they agree, or patience ends. */
async function compared(
	client: Client,
	before: ServerNumbers,
	acknowledged: ReadonlyMap<string, number>,
	total: number,
	patienceMs: number,
) {
	const until = performance.now() + patienceMs
	for (;;) {
		const server = await numbersOf(client)
		const differences = differencesOf(before, server, acknowledged)
		if ((server.views - before.views === total && differences.length === 0) || performance.now() > until) return { server, differences }
		await new Promise((resolve) => setTimeout(resolve, 100))
	}
}

function differencesOf(before: ServerNumbers, after: ServerNumbers, acknowledged: ReadonlyMap<string, number>) {
	const earlier = viewsOf(before)
	const now = viewsOf(after)
	// A list that is full says nothing about the pages that are not on it.
	const known = (list: ServerNumbers, page: string) => list.pages.length < comparedPages || list.pages.some((each) => each.page === page)
	return [...new Set([...now.keys(), ...acknowledged.keys()])]
		.map((page) => ({ page, acknowledged: acknowledged.get(page) ?? 0, counted: (now.get(page) ?? 0) - (earlier.get(page) ?? 0) }))
		.filter((each) => each.acknowledged !== each.counted && known(before, each.page) && known(after, each.page))
}

function viewsOf({ pages }: ServerNumbers): Map<string, number> {
	return new Map(pages.map(({ page, views }) => [page, views]))
}

/** The server's numbers in all lanes: it tells bots from people, a log has both. */
async function numbersOf(client: Client): Promise<ServerNumbers> {
	const ofLanes = await Promise.all(
		lanes.map(async (lane) => {
			const { status, body } = await client.send('GET', `/stats?limit=${comparedPages}&uniques=0&lane=${lane}`, {})
			if (status !== 200) throw new Error(`GET /stats was answered with ${status}: is this the example server?`)
			return JSON.parse(body) as ServerNumbers
		}),
	)
	const views = new Map<string, number>()
	for (const { pages } of ofLanes) for (const page of pages) views.set(page.page, (views.get(page.page) ?? 0) + page.views)
	return {
		views: ofLanes.reduce((sum, lane) => sum + lane.views, 0),
		unique_visitors: ofLanes.reduce((sum, lane) => sum + lane.unique_visitors, 0),
		pages: [...views].map(([page, views]) => ({ page, views })).sort((a, b) => b.views - a.views || (a.page < b.page ? -1 : 1)),
	}
}

interface Client {
	send(method: string, path: string, headers: Record<string, string>): Promise<{ status: number; body: string }>
	close(): void
}

/** Sends on kept connections, as many as there are requests at a time. */
function clientOf(url: URL, concurrency: number): Client {
	const { request, Agent } = url.protocol === 'https:' ? https : http
	const agent = new Agent({ keepAlive: true, maxSockets: concurrency })
	const base = url.pathname.replace(/\/$/, '')
	return {
		send(method, path, headers) {
			return new Promise((resolve, reject) => {
				const options = { method, headers, agent, timeout: answerTimeoutMs, path: base + path }
				const sent = request(url, options, (response) => {
					let body = ''
					response.setEncoding('utf8')
					response.on('data', (piece: string) => {
						body += piece
					})
					response.on('end', () => resolve({ status: response.statusCode!, body }))
					response.on('error', reject)
				})
				sent.on('error', reject)
				sent.on('timeout', () => sent.destroy(new Error(`no answer within ${answerTimeoutMs / 1000} s`)))
				sent.end()
			})
		},
		close: () => agent.destroy(),
	}
}

function reasonOf(error: unknown): string {
	const { code, message } = error as NodeJS.ErrnoException
	return code ?? message
}
