import { request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import express, { type Express } from 'express'
import { onTestFinished, vi } from 'vitest'
import type { TallymarkError } from '../../../src/errors.ts'
import type { HitTarget } from '../../../src/http/hit-counter.ts'

export interface Hit {
	readonly key: string
	readonly visitor?: string
	readonly lane?: string
	readonly at?: number
}

/** A counter that writes down what it is given. */
export function notebook(): HitTarget & { readonly hits: Hit[]; readonly keys: string[]; readonly errors: TallymarkError[] } {
	const hits: Hit[] = []
	const errors: TallymarkError[] = []
	return {
		hits,
		errors,
		get keys() {
			return hits.map((hit) => hit.key)
		},
		async hit(key, options) {
			hits.push({ key, ...options })
		},
		report(error) {
			errors.push(error)
		},
	}
}

/** What `ask` says it is, unless told otherwise. */
export const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'

export interface Answer {
	readonly status: number
	readonly headers: NodeJS.Dict<string | string[]>
	readonly body: string
}

export type Ask = (path: string, options?: { method?: string; headers?: Record<string, string>; body?: string }) => Promise<Answer>

/** Serves an application on a free port until the test ends; answers a function that sends it a request, with the path as it is given. */
export async function served(build: (app: Express) => void): Promise<{
	readonly port: number
	readonly ask: Ask
}> {
	const app = express()
	build(app)
	const server = app.listen(0, '127.0.0.1')
	await new Promise((resolve) => server.once('listening', resolve))
	onTestFinished(() => {
		server.close()
		server.closeAllConnections()
	})
	const { port } = server.address() as AddressInfo
	return { port, ask: (path, options) => ask(port, path, options) }
}

export function ask(
	port: number,
	path: string,
	{ method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
	return new Promise((resolve, reject) => {
		const request = httpRequest(
			{ host: '127.0.0.1', port, path, method, headers: { 'user-agent': firefox, ...headers }, agent: false },
			(response) => {
				let text = ''
				response.setEncoding('utf8')
				response.on('data', (piece) => {
					text += piece
				})
				response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }))
				response.on('error', reject)
			},
		)
		request.on('error', reject)
		request.end(body)
	})
}

/** The same over HTTP/2, each request on a connection of its own. */
export function askHttp2(port: number, path: string, { method = 'GET', headers = {}, body }: Parameters<Ask>[1] = {}): Promise<Answer> {
	return new Promise((resolve, reject) => {
		const session = connectHttp2(`http://127.0.0.1:${port}`)
		session.on('error', reject)
		const request = session.request({ ':path': path, ':method': method, 'user-agent': firefox, ...headers }, { endStream: false })
		let answered: Omit<Answer, 'body'> = { status: 0, headers: {} }
		let text = ''
		request.on('response', ({ ':status': status, ...rest }) => {
			answered = { status: status!, headers: rest }
		})
		request.setEncoding('utf8').on('data', (piece) => {
			text += piece
		})
		request.on('error', reject)
		request.on('close', () => {
			session.close()
			if (request.rstCode === 0) resolve({ ...answered, body: text })
			else reject(new Error(`The stream was reset: ${request.rstCode}`))
		})
		request.end(body)
	})
}

/** Asks for a page and leaves as soon as some of it is there. */
export function abandon(port: number, path: string): void {
	const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\nUser-Agent: ${firefox}\r\n\r\n`))
	socket.once('data', () => socket.destroy())
}

export function abandonHttp2(port: number, path: string): void {
	const session = connectHttp2(`http://127.0.0.1:${port}`)
	const request = session.request({ ':path': path, 'user-agent': firefox })
	request.once('data', () => session.destroy())
}

/** Waits until `check` no longer throws: the count is taken after the response, so a client may be there first. */
export function soon<T>(check: () => T): Promise<T> {
	return vi.waitFor(check, { timeout: 10_000, interval: 2 })
}

/** The warnings of this process, from now until the test ends. */
export function warnings(): (Error & { code?: string })[] {
	const seen: Error[] = []
	const listener = (warning: Error) => seen.push(warning)
	process.on('warning', listener)
	onTestFinished(() => void process.off('warning', listener))
	return seen
}
