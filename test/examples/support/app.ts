/** The example's application, served over HTTP by this process: quicker to start than the program, and its parts are at hand. */
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { type AppOptions, createApp } from '../../../examples/server/app.ts'
import { type Counting, type CountingOptions, closeCounting, openCounting } from '../../../examples/server/counting.ts'
import { httpServer, type Limits } from '../../../examples/server/listen.ts'
import type { Answer } from '../../http/support/served.ts'
import { ask } from '../../http/support/served.ts'

/** What JSON.parse answers. */
type Json = ReturnType<typeof JSON.parse>

export interface ServedApp {
	readonly port: number
	readonly origin: string
	readonly counting: Counting
	/** Connections that the server holds. */
	readonly connections: () => Promise<number>
	/** Sends a request with the path as it is given. */
	readonly ask: (path: string, options?: { method?: string; headers?: Record<string, string>; body?: string }) => Promise<Answer>
	/** Sends `body` as JSON, with POST unless told otherwise; answers status and parsed body. */
	readonly send: (
		path: string,
		body?: unknown,
		method?: string,
		headers?: Record<string, string>,
	) => Promise<{ status: number; json: Json }>
	/** Reads JSON. */
	readonly get: (path: string, headers?: Record<string, string>) => Promise<Json>
}

export async function servedApp(
	options: Partial<Omit<AppOptions, 'counting'>> & { readonly limits?: Limits; readonly counts?: CountingOptions } = {},
): Promise<ServedApp> {
	const { limits, counts, ...rest } = options
	const counting = openCounting(counts)
	const server = httpServer(createApp({ ...rest, counting }), limits)
	server.listen(0, '127.0.0.1')
	await new Promise((resolve) => server.once('listening', resolve))
	onTestFinished(async () => {
		server.close()
		server.closeAllConnections()
		await closeCounting(counting, 1_000)
	})
	const { port } = server.address() as AddressInfo
	return {
		port,
		origin: `http://127.0.0.1:${port}`,
		counting,
		connections: () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count))),
		ask: (path, request) => ask(port, path, request),
		async send(path, body, method = 'POST', headers = {}) {
			const json = body === undefined ? {} : { body: JSON.stringify(body) }
			const answer = await ask(port, path, {
				method,
				headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
				...json,
			})
			return { status: answer.status, json: answer.body === '' ? undefined : JSON.parse(answer.body) }
		},
		get: async (path, headers = {}) => JSON.parse((await ask(port, path, { headers })).body),
	}
}

/** That an answer is an error of ours. */
export function told({ status, body, headers }: Answer): [number, string] {
	const { error } = JSON.parse(body)
	if (typeof error.message !== 'string' || error.message === '' || !String(headers['content-type']).startsWith('application/json')) {
		throw new Error(`No error of the server's: ${body}`)
	}
	return [status, error.code]
}
