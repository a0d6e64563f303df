/**
 * The HTTP server: how long a client may take to send and to read, how much it may ask for at once, and what it is told when what it sends is no HTTP.
 *
 * The requests of a connection are answered one after the other, as it is answered anyway. Node would begin all that a client has sent in advance: who
 * sends a hundred requests for large answers, and reads none, would have all of them in the memory of this server.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

export interface Limits {
	/** For the headers of a request, milliseconds. @default 10_000 */
	readonly headersTimeoutMs?: number
	/** For a whole request with its body. @default 30_000 */
	readonly requestTimeoutMs?: number
	/** For a client to take what it asked for, counted from when it lets something wait. @default 60_000 */
	readonly answerTimeoutMs?: number
	/** How often these are looked after. @default 1_000 */
	readonly checkMs?: number
	/** Requests that a connection has sent before its earlier ones were answered; with more it is closed. @default 100 */
	readonly mostWaiting?: number
}

/** The requests of one connection. */
interface Line {
	running: ServerResponse | undefined
	readonly waiting: [IncomingMessage, ServerResponse][]
	/** Since when the client does not take all that there is for it. */
	behindSince: number | undefined
}

/** Not listening yet. A client that takes longer is answered 408, one whose headers are above 16 kB 431. */
export function httpServer(app: RequestListener, limits: Limits = {}): Server {
	const {
		headersTimeoutMs: headersTimeout = 10_000,
		requestTimeoutMs: requestTimeout = 30_000,
		answerTimeoutMs = 60_000,
		checkMs: connectionsCheckingInterval = 1_000,
		mostWaiting = 100,
	} = limits
	const server = createServer({ headersTimeout, requestTimeout, connectionsCheckingInterval, maxHeaderSize: 16_384 })
	const lines = new Map<Socket, Line>()
	server.on('connection', (socket) => {
		lines.set(socket, { running: undefined, waiting: [], behindSince: undefined })
		socket.once('close', () => lines.delete(socket))
	})
	server.on('request', (request, response) => {
		const line = lines.get(request.socket)!
		if (line.running === undefined) run(line, request, response)
		else if (line.waiting.length < mostWaiting) line.waiting.push([request, response])
		else request.socket.destroy()
	})
	function run(line: Line, request: IncomingMessage, response: ServerResponse): void {
		line.running = response
		response.once('close', () => {
			line.running = undefined
			const next = line.waiting.shift()
			// After a last answer, or without a client, nobody hears the others.
			if (next !== undefined && request.socket.writable) run(line, ...next)
		})
		app(request, response)
	}

	server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
		const answer = lines.get(socket)?.running
		const halfway = answer?.headersSent && !answer.writableFinished
		if (error.code === 'ECONNRESET' || !socket.writable || halfway) socket.destroy()
		else refuse(error, socket)
	})

	const check = setInterval(() => {
		const now = performance.now()
		for (const [socket, line] of lines) {
			line.behindSince = socket.writableLength === 0 ? undefined : (line.behindSince ?? now)
			if (line.behindSince !== undefined && now - line.behindSince >= answerTimeoutMs) socket.destroy()
		}
	}, connectionsCheckingInterval)
	check.unref()
	server.once('close', () => clearInterval(check))
	return server
}

const told: Readonly<Record<string, readonly [status: number, code: string, message: string]>> = {
	HPE_HEADER_OVERFLOW: [431, 'ERR_HEADERS_TOO_LARGE', 'The headers are above 16 kB'],
	ERR_HTTP_REQUEST_TIMEOUT: [408, 'ERR_TIMEOUT', 'The request took too long to arrive'],
}

/** What could not be read as a request is answered by hand, and the connection closed: nobody knows where the next request in it begins. */
function refuse({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
	const [status, name, message] = told[code] ?? [400, 'ERR_BAD_REQUEST', 'This is no HTTP request']
	const body = JSON.stringify({ error: { code: name, message } })
	socket.end(
		[
			`HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
			'Content-Type: application/json; charset=utf-8',
			`Content-Length: ${Buffer.byteLength(body)}`,
			'Connection: close',
			'',
			body,
		].join('\r\n'),
	)
}
