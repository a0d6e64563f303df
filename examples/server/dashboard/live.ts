/** Server-sent events: one reading after the other for all who watch, none while nobody does. */
import type { Response } from 'express'
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
}

const retryMs = 2_000
/** Who has more than this waiting does not read: what comes next would be memory. */
const mostWaitingBytes = 262_144

export class LiveFeed {
	readonly #options: { readonly [Name in keyof LiveOptions]-?: Exclude<LiveOptions[Name], undefined> }
	readonly #clients = new Set<Response>()
	#timer: NodeJS.Timeout | undefined
	#reading = false
	#last: string | undefined
	#sentAt = 0

	constructor({ read, stopping = new AbortController().signal, everyMs = 1_000, heartbeatMs = 15_000, mostClients = 200 }: LiveOptions) {
		this.#options = { read, stopping, everyMs, heartbeatMs, mostClients }
		stopping.addEventListener('abort', () => this.#end(), { once: true })
	}

	/** Answers with the stream. Throws an HttpError 503 when the server stops or too many watch. */
	join(response: Response): void {
		const { stopping, mostClients } = this.#options
		if (stopping.aborted) throw new HttpError(503, 'ERR_STOPPING', 'The server stops')
		if (this.#clients.size >= mostClients) throw new HttpError(503, 'ERR_TOO_MANY_CLIENTS', `Expected at most ${mostClients} clients`)
		response.writeHead(200, {
			'Content-Type': 'text/event-stream; charset=utf-8',
			'Cache-Control': 'no-store',
			// nginx would otherwise hold the events back until its buffer is full.
			'X-Accel-Buffering': 'no',
		})
		response.write(`retry: ${retryMs}\n\n`)
		this.#clients.add(response)
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
		for (const client of this.#clients) {
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
		for (const client of this.#clients) client.end()
	}
}

function eventOf(text: string): string {
	return `event: summary\ndata: ${text}\n\n`
}
