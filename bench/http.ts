/**
 * What counting costs a server: processor time per request with the middleware, divided by that of the same server without it. Bare and counted are two
 * processes that answer the same requests in turns, one slice each, the first of a pair by turns; several pairs of processes, because the compiler makes
 * something else of each. The time is the server's own (user and system, all threads), so that neither the client nor the other processes are measured.
 *
 * V8 makes the objects of Node's `process.nextTick` in compiled code or in its runtime, which is 2 µs a request (measured on Node 20, four ticks a request).
 * Which of the two is decided in a process's first moments: a bare Fastify had either from run to run, one with a plugin or a hook mostly the slower. So
 * both servers settle it before they start (all have the slower kind then), or luck would be measured.
 *
 * The client has 40 browsers that look at 100 pages over 20 connections that stay open, with the headers that browsers send. Counted is with everything
 * that is on by default: normalised paths, lanes, anonymous visitors, batches, HyperLogLog.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import autocannon from 'autocannon'
import express from 'express'
import fastify from 'fastify'
import { hitCounter as expressCounter } from '../src/express.ts'
import { hitCounter as fastifyCounter } from '../src/fastify.ts'
import { Counter } from '../src/index.ts'
import { gate, printTable, type Spread, spread } from './harness.ts'

const pairs = Number(process.env['HTTP_PAIRS'] ?? 4)
const slices = Number(process.env['HTTP_SLICES'] ?? 6)
/** Slices that do not count: a server is compiled within its first 40,000 requests or so. */
const warmups = 4
const requestsPerSlice = Number(process.env['HTTP_REQUESTS'] ?? 10_000)
const body = `<!doctype html><title>A page</title>${'<p>Some words on a page. </p>'.repeat(20)}`

type Framework = 'express' | 'fastify'
type Kind = 'bare' | 'counted'

export async function run(): Promise<void> {
	const rows: string[][] = []
	const ratios: [Framework, Spread][] = []
	for (const framework of ['express', 'fastify'] as const) {
		const perRequest: Record<Kind, number[]> = { bare: [], counted: [] }
		const ratio: number[] = []
		for (let pair = 0; pair < pairs; pair++) {
			const servers = { bare: await Server.start(framework, 'bare'), counted: await Server.start(framework, 'counted') }
			for (let warmup = 0; warmup < warmups; warmup++) {
				for (const server of [servers.bare, servers.counted]) await server.slice(requestsPerSlice)
			}
			for (let slice = 0; slice < slices; slice++) {
				const order: readonly Kind[] = slice % 2 === 0 ? ['bare', 'counted'] : ['counted', 'bare']
				const cost = { bare: 0, counted: 0 }
				for (const kind of order) cost[kind] = await servers[kind].slice(requestsPerSlice)
				perRequest.bare.push(cost.bare)
				perRequest.counted.push(cost.counted)
				ratio.push(cost.counted / cost.bare)
			}
			for (const server of [servers.bare, servers.counted]) await server.stop()
		}
		const [bare, counted, of] = [spread(perRequest.bare), spread(perRequest.counted), spread(ratio)]
		rows.push([framework, ...[bare, counted].flatMap(({ median, min, max }) => [median, min, max].map((us) => us.toFixed(1)))])
		rows.at(-1)!.push(...[of.median, of.min, of.max].map((value) => value.toFixed(3)))
		ratios.push([framework, of])
	}
	console.log(`\nServer CPU per request, µs  (${pairs} pairs of processes, ${slices} slices of ${requestsPerSlice} requests each)`)
	printTable(['', 'bare', 'min', 'max', 'counted', 'min', 'max', 'ratio', 'min', 'max'], rows)
	for (const [framework, { median }] of ratios) gate(`CPU per request with the middleware, ${framework}`, median, { atMost: 1.05 })
}

class Server {
	readonly #child: ChildProcess
	readonly #url: string

	private constructor(child: ChildProcess, port: number) {
		this.#child = child
		this.#url = `http://127.0.0.1:${port}`
	}

	static async start(framework: Framework, kind: Kind): Promise<Server> {
		const child = fork(fileURLToPath(import.meta.url), ['serve', framework, kind], { execArgv: [] })
		const [port] = (await once(child, 'message')) as [number]
		return new Server(child, port)
	}

	/** Microseconds of processor time per request. */
	async slice(amount: number): Promise<number> {
		const before = await this.#cpu()
		const result = await autocannon({ url: this.#url, connections: 20, amount, requests: visits(this.#url) })
		if (result['2xx'] < amount || result.errors > 0)
			throw new Error(`${amount - result['2xx']} of ${amount} requests were not answered well`)
		return ((await this.#cpu()) - before) / amount
	}

	async stop(): Promise<void> {
		this.#child.kill()
		await once(this.#child, 'exit')
	}

	async #cpu(): Promise<number> {
		this.#child.send('cpu')
		const [{ user, system }] = (await once(this.#child, 'message')) as [NodeJS.CpuUsage]
		return user + system
	}
}

/** Each browser on pages of its own choice. */
function visits(url: string): autocannon.Request[] {
	return Array.from({ length: 1_000 }, (_, i) => ({
		method: 'GET',
		path: `${new URL(url).pathname}posts/a-page-about-something-${(i * 37) % 100}${i % 3 === 0 ? '?utm_source=mail' : ''}`,
		headers: {
			'user-agent': `Mozilla/5.0 (X11; Linux x86_64; rv:${100 + (i % 40)}.0) Gecko/20100101 Firefox/${100 + (i % 40)}.0`,
			accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
			'accept-language': 'en-GB,en;q=0.5',
			'accept-encoding': 'gzip, deflate, br',
			'upgrade-insecure-requests': '1',
			'sec-fetch-dest': 'document',
			'sec-fetch-mode': 'navigate',
			'sec-fetch-site': 'same-origin',
			'sec-fetch-user': '?1',
			cookie: 'session=7d9f3c1a5b; theme=dark',
		},
	}))
}

async function serve(framework: Framework, kind: Kind): Promise<void> {
	for (let i = 0; i < 100; i++) await settledTicks()
	const counter = new Counter()
	let port: number
	if (framework === 'express') {
		const app = express()
		if (kind === 'counted') app.use(expressCounter({ counter }))
		app.get('/posts/:slug', (_request, response) => void response.send(body))
		const server = app.listen(0, '127.0.0.1')
		await once(server, 'listening')
		port = (server.address() as { port: number }).port
	} else {
		const app = fastify()
		if (kind === 'counted') app.register(fastifyCounter, { counter })
		app.get('/posts/:slug', (_request, reply) => reply.type('text/html; charset=utf-8').send(body))
		port = Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port)
	}
	process.on('message', () => process.send!(process.cpuUsage()))
	// The parent is gone: so is this.
	process.on('disconnect', () => process.exit())
	process.send!(port)
}

/** See above: ticks with and without arguments, one after the other. */
function settledTicks(): Promise<void> {
	return new Promise((resolve) => process.nextTick(() => process.nextTick((done: () => void) => done(), resolve)))
}

if (process.argv[2] === 'serve') await serve(process.argv[3] as Framework, process.argv[4] as Kind)
