/** What Node's own response tells and takes, for the frameworks that stand on it. */
import { look } from './look.ts'
import type { NodeRequest } from './request.ts'

/** What is asked of a response: HTTP/1's and HTTP/2's have it. */
export interface NodeResponse {
	statusCode: number
	/** Whether the application has ended it. */
	readonly writableEnded: boolean
	/** Whether all of it was handed to the system. */
	readonly writableFinished: boolean
	on(event: 'close' | 'finish', listener: () => void): unknown
	getHeader(name: string): number | string | string[] | undefined
	setHeader(name: string, value: string[]): unknown
	writeHead(status: number, ...rest: never[]): unknown
}

/**
 * To be called on entry: calls `sent` when the response has finished, once, and not when the client left before.
 *
 * Over HTTP/1 that is 'finish', unless the connection broke. Not 'close': a request that was injected (light-my-request) has not finished by then, and
 * what tells are getters, which V8 does not cache where a prototype was set, as Express sets it. Over HTTP/2 it is 'close': what was sent until the
 * client left is finished too, but the application has not ended it.
 */
export function whenSent(request: NodeRequest, response: NodeResponse, sent: () => void): void {
	if ((look(request, 'httpVersionMajor') ?? 1) >= 2) {
		response.on('close', () => {
			if (response.writableFinished && response.writableEnded) sent()
		})
		return
	}
	let finished = false
	response.on('finish', () => {
		// An injected request finishes twice.
		if (finished || look(request, 'socket')?.errored) return
		finished = true
		sent()
	})
}

/** Asks `cookieFor` when the headers are about to be sent, and sends its answer with them, beside cookies of the application's own. */
export function sendCookie(response: NodeResponse, cookieFor: (status: number) => string | undefined): void {
	const { writeHead } = response
	response.writeHead = (status: number, ...rest: unknown[]) => {
		response.writeHead = writeHead
		// As it will be in a moment, for who looks at the response.
		response.statusCode = status
		const cookie = cookieFor(status)
		return writeHead.call(response, status, ...((cookie === undefined ? rest : withCookie(response, rest, cookie)) as never[]))
	}
}

/** Headers that come with `writeHead` replace those of the same name that were set before: ours goes where the others are. */
function withCookie(response: NodeResponse, rest: readonly unknown[], cookie: string): readonly unknown[] {
	const at = rest.findIndex((each) => typeof each === 'object' && each !== null)
	const headers = rest[at] as Record<string, unknown> | unknown[] | undefined
	if (Array.isArray(headers)) {
		if (headers.some((each, index) => index % 2 === 0 && isSetCookie(each))) return rest.with(at, [...headers, 'Set-Cookie', cookie])
	} else if (headers !== undefined) {
		const name = Object.keys(headers).find(isSetCookie)
		if (name !== undefined) return rest.with(at, { ...headers, [name]: [headers[name], cookie].flat() })
	}
	// Not `appendHeader`, which HTTP/2's response has not had from the first Node 20 on.
	response.setHeader('Set-Cookie', [response.getHeader('Set-Cookie') ?? [], cookie].flat().map(String))
	return rest
}

function isSetCookie(name: unknown): boolean {
	return typeof name === 'string' && name.toLowerCase() === 'set-cookie'
}
