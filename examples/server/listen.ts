/** The HTTP server: how long a client may take, and what it is told when what it sends is no HTTP. */
import { createServer, type RequestListener, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'

export interface Limits {
	/** For the headers of a request, milliseconds. @default 10_000 */
	readonly headersTimeoutMs?: number
	/** For a whole request with its body. @default 30_000 */
	readonly requestTimeoutMs?: number
	/** How often the two are looked after. @default 1_000 */
	readonly checkMs?: number
}

/** Not listening yet. A client that takes longer is answered 408, one whose headers are above 16 kB 431. */
export function httpServer(app: RequestListener, limits: Limits = {}): Server {
	const {
		headersTimeoutMs: headersTimeout = 10_000,
		requestTimeoutMs: requestTimeout = 30_000,
		checkMs: connectionsCheckingInterval = 1_000,
	} = limits
	const server = createServer({ headersTimeout, requestTimeout, connectionsCheckingInterval, maxHeaderSize: 16_384 }, app)
	const answers = new WeakMap<Socket, ServerResponse>()
	server.on('request', (request, response) => answers.set(request.socket, response))
	server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
		const answer = answers.get(socket)
		const halfway = answer?.headersSent && !answer.writableFinished
		if (error.code === 'ECONNRESET' || !socket.writable || halfway) socket.destroy()
		else refuse(error, socket)
	})
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
