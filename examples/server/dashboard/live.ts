/** Server-sent events: one reading after the other for all who watch, none while nobody does. */
import type { Request, Response } from 'express'
import { addressOf } from '../../../src/http/address.ts'
import { HttpError } from '../errors.ts'

export interface LiveOptions {
	/** What is sent, as one line of text. */
	readonly read: () => Promise<string>
	/** Ends every stream, and takes no new one: a server that stops must not wait for who watches. */
	readonly stopping?: AbortSignal | undefined
	/** @default 1_000 */
	readonly everyMs?: number
	/** A comment after this much silence keeps proxies from taking the connection for dead. @default 15_000 */
	readonly heartbeatMs?: number
	/** Past it, 503. @default 200 */
	readonly mostClients?: number
	/** Of one address (IPv6: of one /64), 429 past it: nobody takes all the places. @default 40 */
	readonly mostOfAddress?: number
}

const retryMs = 2_000
/** Who has more than this waiting does not read: what comes next would be memory. */
const mostWaitingBytes = 262_144

export class LiveFeed {
	readonly #options: { readonly [Name in keyof LiveOptions]-?: Exclude<LiveOptions[Name], undefined> }
	/** With the address of each. */
	readonly #clients = new Map<Response, string | undefined>()
	#timer: NodeJS.Timeout | undefined
	#reading = false
	#last: string | undefined
	#sentAt = 0

	constructor(options: LiveOptions) {
		const { read, stopping = new AbortController().signal } = options
		const { everyMs = 1_000, heartbeatMs = 15_000, mostClients = 200, mostOfAddress = 40 } = options
		this.#options = { read, stopping, everyMs, heartbeatMs, mostClients, mostOfAddress }
		stopping.addEventListener('abort', () => this.#end(), { once: true })
	}

	/** Answers with the stream. Throws an HttpError 503 when the server stops or too many watch, 429 when too many of this address do. */
	join({ method, ip }: Request, response: Response): void {
		const { stopping, mostClients, mostOfAddress } = this.#options
		const address = addressOf(ip, 64)
		if (stopping.aborted) throw new HttpError(503, 'ERR_STOPPING', 'The server stops')
		if (this.#clients.size >= mostClients) throw new HttpError(503, 'ERR_TOO_MANY_CLIENTS', `Expected at most ${mostClients} clients`)
		if ([...this.#clients.values()].filter((each) => each === address).length >= mostOfAddress) {
			throw new HttpError(429, 'ERR_TOO_MANY_CLIENTS', `Expected at most ${mostOfAddress} clients of one address`)
		}
		response.writeHead(200, {
			'Content-Type': 'text/event-stream; charset=utf-8',
			'Cache-Control': 'no-store',
			// nginx would otherwise hold the events back until its buffer is full.
			'X-Accel-Buffering': 'no',
		})
		if (method === 'HEAD') return void response.end()
		response.write(`retry: ${retryMs}\n\n`)
		this.#clients.set(response, address)
		response.on('close', () => this.#left(response))
		// While somebody watches, the last reading is not old, or the next is due; the first to come starts them.
		if (this.#timer !== undefined && this.#last !== undefined) response.write(eventOf(this.#last))
		else if (!this.#reading && this.#timer === undefined) void this.#tick()
	}

	/** One reading at a time: the next is due after this one came, however long it took. */
	async #tick(): Promise<void> {
		const { read, stopping, everyMs, heartbeatMs } = this.#options
		this.#reading = true
		const text = await read().catch((error: unknown) => {
			if (!stopping.aborted) console.error(error)
			return this.#last
		})
		this.#reading = false
		// Nobody watches any more: whoever comes next is sent a reading of then.
		if (this.#clients.size === 0) return
		if (text !== undefined && text !== this.#last) this.#send(eventOf(text))
		else if (performance.now() - this.#sentAt >= heartbeatMs) this.#send(':\n\n')
		this.#last = text
		this.#timer = setTimeout(() => void this.#tick(), everyMs)
	}

	#send(text: string): void {
		this.#sentAt = performance.now()
		for (const client of this.#clients.keys()) {
			if (client.writableLength > mostWaitingBytes) client.destroy()
			else client.write(text)
		}
	}

	#left(client: Response): void {
		this.#clients.delete(client)
		if (this.#clients.size > 0) return
		clearTimeout(this.#timer)
		this.#timer = undefined
		this.#last = undefined
	}

	#end(): void {
		for (const client of this.#clients.keys()) client.end()
	}
}

function eventOf(text: string): string {
	return `event: summary\ndata: ${text}\n\n`
}
