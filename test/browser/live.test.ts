import type { AddressInfo } from 'node:net'
import { connect, type Socket } from 'node:net'
import express from 'express'
import { expect, it, onTestFinished, vi } from 'vitest'
import { LiveFeed, type LiveOptions } from '../../examples/server/dashboard/live.ts'
import { answerError } from '../../examples/server/errors.ts'

interface Fed {
	readonly url: string
	readonly port: number
	/** How often was read. */
	readonly reads: () => number
	/** Resolves when the server has lost a connection. */
	nextClose(): Promise<void>
	/** Resolves when no connection is left. */
	close(): Promise<void>
}

/** A feed of 1, 2, 3, ..., or of what `read` makes of them. */
async function feed({
	read = String,
	...options
}: Omit<LiveOptions, 'read'> & { read?: (n: number) => string | Promise<string> } = {}): Promise<Fed> {
	let reads = 0
	const live = new LiveFeed({ everyMs: 5, ...options, read: async () => read(++reads) })
	const app = express()
	app.set('trust proxy', true)
	app.get('/live', (request, response) => live.join(request, response))
	app.get('/idle', (_request, response) => void response.end())
	app.use(answerError)
	const server = app.listen(0, '127.0.0.1')
	await new Promise((resolve) => server.once('listening', resolve))
	onTestFinished(() => {
		server.close()
		server.closeAllConnections()
	})
	const { port } = server.address() as AddressInfo
	const closes: (() => void)[] = []
	server.on('connection', (socket: Socket) => socket.once('close', () => closes.shift()?.()))
	return {
		port,
		url: `http://127.0.0.1:${port}`,
		reads: () => reads,
		nextClose: () => new Promise((resolve) => closes.push(resolve)),
		close: () => new Promise((resolve) => server.close(() => resolve())),
	}
}

interface Watcher {
	readonly headers: Headers
	/** The next event's data, or the next comment as `:`; undefined at the end. */
	next(): Promise<string | undefined>
	leave(): void
}

async function watcher(url: string, address = '192.0.2.1'): Promise<Watcher> {
	const leaving = new AbortController()
	onTestFinished(() => leaving.abort())
	const response = await fetch(`${url}/live`, { signal: leaving.signal, headers: { 'x-forwarded-for': address } })
	expect(response.status).toBe(200)
	const blocks = blocksOf(response.body!.pipeThrough(new TextDecoderStream()))
	expect((await blocks.next()).value).toBe('retry: 2000')
	return {
		headers: response.headers,
		next: async () => (await blocks.next()).value?.replace(/^event: summary\ndata: /, ''),
		leave: () => leaving.abort(),
	}
}

async function* blocksOf(chunks: AsyncIterable<string>): AsyncGenerator<string, undefined> {
	let text = ''
	for await (const chunk of chunks) {
		const blocks = (text + chunk).split('\n\n')
		text = blocks.pop()!
		yield* blocks
	}
}

it('is a stream that no cache and no proxy holds back', async () => {
	const { url } = await feed()
	const { headers } = await watcher(url)
	expect(headers.get('content-type')).toMatch(/^text\/event-stream/)
	expect(headers.get('cache-control')).toBe('no-store')
	expect(headers.get('x-accel-buffering')).toBe('no')
})

it('reads once for all who watch', async () => {
	const { url, reads } = await feed()
	const watchers = [await watcher(url)]
	for (let more = 0; more < 9; more++) watchers.push(await watcher(url))
	const seen = await Promise.all(
		watchers.map(async ({ next }) => {
			let last = 0
			for (let events = 0; events < 10; events++) last = Number(await next())
			return last
		}),
	)
	// Ten watchers with a timer each would have read some ten times as often as anybody saw.
	expect(reads()).toBeLessThan(2 * Math.max(...seen))
})

it('reads nothing while nobody watches, and anew for who comes then', async () => {
	const { url, reads, nextClose } = await feed({ everyMs: 1 })
	const first = await watcher(url)
	await first.next()
	const closed = nextClose()
	first.leave()
	await closed
	const before = reads()
	for (let requests = 0; requests < 50; requests++) await (await fetch(`${url}/idle`)).text()
	expect(reads() - before).toBeLessThanOrEqual(1)
	const now = reads()
	expect(Number(await (await watcher(url)).next())).toBe(now + 1)
})

it('shares the first reading, however long it takes', async () => {
	let answer = (_text: string) => {}
	const slow = new Promise<string>((resolve) => {
		answer = resolve
	})
	const { url, reads } = await feed({ everyMs: 60_000, read: () => slow })
	const watchers = [await watcher(url), await watcher(url), await watcher(url)]
	answer('first')
	for (const { next } of watchers) expect(await next()).toBe('first')
	expect(reads()).toBe(1)
})

it('forgets a reading that came when nobody watched any more', async () => {
	let answer = (_text: string) => {}
	const slow = new Promise<string>((resolve) => {
		answer = resolve
	})
	const { url, reads, nextClose } = await feed({ everyMs: 1, read: (n) => (n === 1 ? slow : 'same') })
	const first = await watcher(url)
	const closed = nextClose()
	first.leave()
	await closed
	answer('same')
	for (let requests = 0; requests < 50; requests++) await (await fetch(`${url}/idle`)).text()
	expect(reads()).toBe(1)
	expect(await (await watcher(url)).next()).toBe('same')
})

it('gives who comes later the last reading at once', async () => {
	const { url, reads } = await feed({ everyMs: 60_000 })
	expect(await (await watcher(url)).next()).toBe('1')
	expect(await (await watcher(url)).next()).toBe('1')
	expect(reads()).toBe(1)
})

it('sends what has changed, and a sign of life in long silence', async () => {
	const { url, reads } = await feed({ read: (n) => (n < 20 ? 'same' : 'other'), heartbeatMs: 0 })
	const { next } = await watcher(url)
	expect(await next()).toBe('same')
	let beats = 0
	let text = await next()
	for (; text === ':'; text = await next()) beats += 1
	expect(text).toBe('other')
	expect(beats).toBe(18)
	expect(reads()).toBeGreaterThanOrEqual(20)
})

it('takes so many, and no more', async () => {
	const { url, nextClose } = await feed({ mostClients: 2 })
	const [first] = [await watcher(url), await watcher(url)]
	const refused = await fetch(`${url}/live`)
	expect([refused.status, await refused.json()]).toEqual([
		503,
		{ error: { code: 'ERR_TOO_MANY_CLIENTS', message: 'Expected at most 2 clients' } },
	])
	const closed = nextClose()
	first!.leave()
	await closed
	expect(await (await watcher(url)).next()).toMatch(/^\d+$/)
})

it('takes fewer of one address', async () => {
	const { url, nextClose } = await feed({ mostOfAddress: 2 })
	const refused = async (address: string) => (await fetch(`${url}/live`, { headers: { 'x-forwarded-for': address } })).status
	for (const [one, another, other] of [
		['192.0.2.1', '192.0.2.1', '192.0.2.2'],
		['2001:db8::1', '2001:db8::2', '2001:db8:0:1::1'],
	] as const) {
		const first = await watcher(url, one)
		await watcher(url, another)
		expect(await refused(one)).toBe(429)
		await watcher(url, other)
		const closed = nextClose()
		first.leave()
		await closed
		await watcher(url, one)
	}
})

it('answers HEAD at once, and reads nothing for it', async () => {
	const { url, reads } = await feed()
	const answer = await fetch(`${url}/live`, { method: 'HEAD' })
	expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([200, 'text/event-stream; charset=utf-8', ''])
	expect(reads()).toBe(0)
})

it('ends every stream when the server stops, so that it can', async () => {
	const stopping = new AbortController()
	const { url, close } = await feed({ stopping: stopping.signal })
	const watchers = [await watcher(url), await watcher(url)]
	stopping.abort()
	for (const { next } of watchers) {
		let text = await next()
		while (text !== undefined) text = await next()
	}
	const refused = await fetch(`${url}/live`, { headers: { connection: 'close' } })
	expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: 'ERR_STOPPING' } }])
	await close()
})

it('lets go of who does not read, and of nobody else', async () => {
	const piece = 'x'.repeat(300_000)
	let events = 0
	let went = () => {}
	// The next one comes when the one who reads has had the last.
	const read = async (n: number) => {
		if (n > events + 1)
			await new Promise<void>((resolve) => {
				went = resolve
			})
		return `${n} ${piece}`
	}
	const { url, port } = await feed({ read, everyMs: 1 })
	const { next } = await watcher(url)
	const deaf = connect(port, '127.0.0.1')
	const ended = new Promise((resolve) => deaf.once('close', resolve))
	deaf.on('error', () => {})
	deaf.write('GET /live HTTP/1.1\r\nHost: x\r\n\r\n')
	deaf.pause()
	let gone = false
	void ended.then(() => {
		gone = true
	})
	// The one who reads sees more than any buffer of the system's holds of the other.
	while (events < 100) {
		expect(await next()).toMatch(/^\d+ x/)
		events++
		went()
	}
	deaf.resume()
	await ended
	expect(gone).toBe(true)
	expect(await next()).toMatch(/^\d+ x/)
})

it('reads no more often because those who come find no reading', async () => {
	const said = vi.spyOn(console, 'error').mockImplementation(() => {})
	onTestFinished(() => said.mockRestore())
	const { url, reads } = await feed({
		everyMs: 60_000,
		read: () => {
			throw new Error('not now')
		},
	})
	for (let more = 0; more < 10; more++) await watcher(url)
	expect(reads()).toBe(1)
})

it('goes on after a reading that failed', async () => {
	const said = vi.spyOn(console, 'error').mockImplementation(() => {})
	onTestFinished(() => said.mockRestore())
	const { url } = await feed({
		read: (n) => {
			if (n === 2) throw new Error('not now')
			return String(n)
		},
	})
	const { next } = await watcher(url)
	expect([await next(), await next()]).toEqual(['1', '3'])
	expect(said.mock.calls.flat().map(String)).toEqual(['Error: not now'])
})
