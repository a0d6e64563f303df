/** Requests to one server, over connections that are kept. */
import http from 'node:http'
import https from 'node:https'

export interface Reply {
	readonly status: number
	readonly body: string
}

export interface Client {
	/** Rejects where there is no whole answer: what was asked for may have happened or not. */
	send(method: string, path: string, headers?: Readonly<Record<string, string>>): Promise<Reply>
	close(): void
}

const answerTimeoutMs = 10_000

export function clientOf(url: URL, connections: number): Client {
	const { Agent, request } = url.protocol === 'https:' ? https : http
	const agent = new Agent({ keepAlive: true, maxSockets: connections })
	const base = url.pathname.replace(/\/$/, '')
	return {
		send: (method, path, headers = {}) =>
			new Promise((resolve, reject) => {
				const sent = request({ agent, method, headers, hostname: url.hostname, port: url.port, path: base + path }, (response) => {
					let body = ''
					response.setEncoding('utf8')
					response.on('data', (piece) => {
						body += piece
					})
					response.on('end', () => resolve({ status: response.statusCode!, body }))
					response.on('error', reject)
				})
				sent.setTimeout(answerTimeoutMs, () => sent.destroy(new Error(`no answer within ${answerTimeoutMs} ms`)))
				sent.on('error', reject)
				sent.end()
			}),
		close: () => agent.destroy(),
	}
}
