import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, soon } from '../http/support/served.ts'
import { servedApp, told } from './support/app.ts'
import { browser, exampleServer } from './support/example-server.ts'

/** What the server answers to `bytes`, until it closes the connection. */
function raw(port: number, bytes: string | Buffer): Promise<string> {
	return new Promise((resolve) => {
		let text = ''
		const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
		socket.setEncoding('latin1').on('data', (piece) => {
			text += piece
		})
		// A server that has said enough may reset the connection while we still write.
		socket.on('error', () => {})
		socket.on('close', () => resolve(text))
	})
}

/** Of the server's process, as it tells by itself. */
async function residentMb(port: number): Promise<number> {
	const { body } = await ask(port, '/metrics')
	return Number(/^process_resident_memory_bytes (\d+)/m.exec(body)![1]) / 2 ** 20
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))

/** A request with these lines between its first line and its body; it asks to be the last on its connection. */
const visit = (lines: readonly string[], body = '') =>
	['POST /visit/x HTTP/1.1', 'Host: h', 'Connection: close', ...lines, '', body].join('\r\n')

describe('bodies', () => {
	it('of 10 MB are answered 413 wherever a body is taken, said or not said before', async () => {
		const { port, ask, get } = await servedApp()
		const big = 'x'.repeat(10_000_000)
		for (const path of ['/visit/x', '/track', '/events', '/counters/x']) {
			for (const type of ['application/json', 'text/plain', 'application/octet-stream']) {
				const answer = await ask(path, { method: 'POST', headers: { 'content-type': type, connection: 'close' }, body: big }).catch(
					() => undefined,
				)
				// A client that is still writing may find the connection closed before it reads the answer.
				if (answer !== undefined) expect([path, type, ...told(answer)]).toEqual([path, type, 413, 'ERR_BODY_TOO_LARGE'])
			}
			const announced = `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n{`
			expect([path, statusesOf(await raw(port, announced))]).toEqual([path, [413]])
			const chunk = `${(2_000_000).toString(16)}\r\n${'x'.repeat(2_000_000)}\r\n`
			const chunked = `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`
			expect([path, statusesOf(await raw(port, `${chunked}0\r\n\r\n`))]).toEqual([path, [413]])
		}
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it('that are no JSON, or not what they say, are answered 400 or 415', async () => {
		const { ask, get } = await servedApp()
		const json = { 'content-type': 'application/json' }
		const cases: [path: string, headers: Record<string, string>, body: string, status: number][] = [
			['/events', json, '{', 400],
			['/events', json, '{"a":1}}', 400],
			['/events', json, '"text"', 400],
			['/events', json, 'null', 400],
			['/events', json, '', 400],
			['/events', json, `${'['.repeat(50_000)}`, 400],
			['/events', json, `${'['.repeat(50_000)}${']'.repeat(50_000)}`, 400],
			['/events', json, '{"__proto__":{"event_id":"x"}}', 400],
			['/track', json, '\u0000', 400],
			['/track', { 'content-type': 'text/plain' }, '{"page_id":"a","user_id":"b"}', 415],
			['/track', {}, '{"page_id":"a","user_id":"b"}', 415],
			['/track', { 'content-type': 'application/json; charset=klingon' }, '{}', 415],
			['/track', { ...json, 'content-encoding': 'klingon' }, '{}', 415],
			['/track', { ...json, 'content-encoding': 'gzip' }, '{}', 400],
			['/visit/x', json, '{bad', 400],
		]
		for (const [path, headers, body, status] of cases) {
			const answer = await ask(path, { method: 'POST', headers, body })
			expect([path, headers, body.slice(0, 40), told(answer)[0]]).toEqual([path, headers, body.slice(0, 40), status])
		}
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it('that are a small thing grown large are refused as what they grow to', async () => {
		const { ask } = await servedApp()
		const { gzipSync } = await import('node:zlib')
		const bomb = gzipSync(Buffer.alloc(50_000_000, 32))
		expect(bomb.length).toBeLessThan(60_000)
		const { port } = await servedApp()
		const head = `POST /events HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`
		expect(statusesOf(await raw(port, Buffer.concat([Buffer.from(head), bomb])))).toEqual([413])
		expect((await ask('/health')).status).toBe(200)
	})
})

describe('headers', () => {
	it.each([
		['one of 20 kB', [`X-Long: ${'x'.repeat(20_000)}`], 431],
		['2,000 of them', Array.from({ length: 2_000 }, (_, at) => `X-${at}: ${'y'.repeat(10)}`), 431],
		['two different lengths', ['Content-Length: 2', 'Content-Length: 3'], 400],
		['the same length twice', ['Content-Length: 0', 'Content-Length: 0'], 400],
		['a length that is no number', ['Content-Length: 1e1'], 400],
		['a negative length', ['Content-Length: -1'], 400],
		['a length and chunks', ['Content-Length: 4', 'Transfer-Encoding: chunked'], 400],
		['chunks that are not last', ['Transfer-Encoding: chunked, identity'], 400],
		['chunks in disguise', ['Transfer-Encoding : chunked'], 400],
		['chunks with a tab before', ['Transfer-Encoding:\x0bchunked'], 400],
		['a name with a space', ['Bad Name: x'], 400],
		['a null byte', ['X-Null: a\0b'], 400],
		['a bare carriage return', ['X-Bare: a\rb'], 400],
		['a folded line', ['X-Folded: a', ' b: c', 'no colon'], 400],
	])('%s: refused', async (_name, lines, status) => {
		const { port, get } = await servedApp()
		const answer = await raw(port, visit(lines, '0\r\n\r\n'))
		expect(statusesOf(answer)).toEqual([status])
		const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))
		expect(error.code).toBe(status === 431 ? 'ERR_HEADERS_TOO_LARGE' : 'ERR_BAD_REQUEST')
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it('that hide a second request in a first one find it unanswered', async () => {
		const { port, get } = await servedApp()
		const hidden = 'POST /visit/hidden HTTP/1.1\r\nHost: h\r\n\r\n'
		for (const lines of [
			['Content-Length: 4', 'Transfer-Encoding: chunked'],
			['Transfer-Encoding: chunked', 'Content-Length: 4'],
			['Transfer-Encoding: xchunked'],
			['Content-Length: 0', `Content-Length: ${hidden.length}`],
		]) {
			const bytes = ['POST /visit/x HTTP/1.1', 'Host: h', ...lines, '', `0\r\n\r\n${hidden}`].join('\r\n')
			expect([lines, statusesOf(await raw(port, bytes))]).toEqual([lines, [400]])
		}
		expect(await get('/visits/hidden')).toMatchObject({ count: 0 })
	})

	it('and line breaks in names never end up in an answer as headers', async () => {
		const { ask } = await servedApp({ corsOrigin: ['https://a.example'] })
		const evil = '%0d%0aSet-Cookie:%20evil=1%0d%0a'
		for (const [path, method] of [
			[`/visit/${evil}`, 'POST'],
			[`/counters/${evil}`, 'POST'],
			[`/badge/${evil}.svg?label=${evil}`, 'GET'],
			[`/pixel.gif?page=${evil}`, 'GET'],
			[`/counters?cursor=${evil}&limit=1`, 'GET'],
			[`/site/${evil}`, 'GET'],
			[`/${evil}`, 'GET'],
		] as const) {
			const { headers, status } = await ask(path, { method })
			expect([path, headers['set-cookie'], status < 500]).toEqual([path, undefined, true])
		}
	})
})

describe('methods and paths', () => {
	it('that are not known are answered 400, 404 or 405', async () => {
		const { port, ask } = await servedApp()
		for (const [line, status] of [
			['HACK / HTTP/1.1', 400],
			['get /stats HTTP/1.1', 400],
			['GET /stats HTTP/9.9', 400],
			['GET  HTTP/1.1', 400],
			['\x16\x03\x01\x02\x00\x01', 400],
		] as const) {
			expect([line, statusesOf(await raw(port, `${line}\r\nHost: h\r\nConnection: close\r\n\r\n`))]).toEqual([line, [status]])
		}
		for (const [method, path, status, allow] of [
			['PROPFIND', '/stats', 405, 'GET, HEAD'],
			['TRACE', '/stats', 405, 'GET, HEAD'],
			['DELETE', '/visit/x', 405, 'POST'],
			['GET', '/visit/x', 405, 'POST'],
			['PATCH', '/counters/x', 405, 'POST, GET, HEAD, PUT, DELETE'],
			['PURGE', '/nowhere', 404, undefined],
			['POST', '/nowhere', 404, undefined],
		] as const) {
			const answer = await ask(path, { method })
			expect([method, path, told(answer), answer.headers['allow']]).toEqual([
				method,
				path,
				[status, status === 405 ? 'ERR_METHOD' : 'ERR_NOT_FOUND'],
				allow,
			])
		}
		expect(await raw(port, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n')).not.toMatch(/HTTP\/1\.1 200/)
	})

	it('of every kind lead to a page by that name, or to 4xx', async () => {
		const { ask, send, get } = await servedApp()
		for (const [id, page] of [
			['%00', '\0'],
			['%2e%2e', '..'],
			['%2e%2e%2f%2e%2e%2fetc%2fpasswd', '../../etc/passwd'],
			['%252e', '%2e'],
			['..%5c..', '..\\..'],
			['%F0%9F%92%A9', '💩'],
		]) {
			expect([id, await send(`/visit/${id}`)]).toEqual([
				id,
				{ status: 200, json: { status: 'success', message: expect.stringContaining(page!) } },
			])
			expect([id, await get(`/visits/${id}`)]).toMatchObject([id, { count: 1 }])
		}
		for (const [path, status] of [
			['/visit/%', 400],
			['/visit/%c0%ae', 400],
			['/visit/%ed%a0%80', 400],
			[`/visit/${'x'.repeat(513)}`, 400],
			[`/visit/${'%F0%9F%92%A9'.repeat(129)}`, 400],
			['/visit/', 404],
			['/visit/a/b', 404],
			['/visit/../visit', 404],
			[`/${'a/'.repeat(5_000)}`, 404],
			['/visit', 404],
		] as const) {
			expect([path.slice(0, 40), told(await ask(path, { method: 'POST' }))[0]]).toEqual([path.slice(0, 40), status])
		}
		expect(told(await ask(`/visits/${'x'.repeat(15_000)}`))[0]).toBe(400)
		expect((await ask('/health')).status).toBe(200)
	})

	it('that are longer than 16 kB are answered 431', async () => {
		const { port } = await servedApp()
		expect(statusesOf(await raw(port, `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n`))).toEqual([431])
	})
})

describe('slow clients', () => {
	const limits = { headersTimeoutMs: 200, requestTimeoutMs: 400, checkMs: 20 }

	it.each([
		['headers that never end', 'GET /stats HTTP/1.1\r\nHost: h\r\nX-A: '],
		['a body that never comes', 'POST /track HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{'],
		[
			'chunks that never end',
			'POST /track HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n',
		],
	])('with %s are answered 408, and let go', async (_name, bytes) => {
		const { port } = await servedApp({ limits })
		const answer = await raw(port, bytes)
		expect(statusesOf(answer)).toEqual([408])
		expect(answer).toContain('ERR_TIMEOUT')
	})

	it('that send a byte now and then do not get more time by it, and 200 of them keep nobody out', async () => {
		const { port, send } = await servedApp({ limits })
		const sockets: Socket[] = []
		onTestFinished(() => {
			for (const socket of sockets) socket.destroy()
		})
		const ended = Array.from({ length: 200 }, () => {
			return new Promise<string>((resolve) => {
				let text = ''
				const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: h\r\n'))
				sockets.push(socket)
				socket.on('error', () => {})
				socket.setEncoding('latin1').on('data', (piece) => {
					text += piece
				})
				socket.on('close', () => resolve(text))
			})
		})
		const drip = setInterval(() => {
			for (const socket of sockets) if (socket.writable) socket.write('X-A: b\r\n')
		}, 20)
		onTestFinished(() => clearInterval(drip))
		for (let i = 0; i < 20; i++) expect(await send('/visit/fast')).toMatchObject({ status: 200 })
		const answers = await Promise.all(ended)
		clearInterval(drip)
		expect(answers.filter((answer) => statusesOf(answer).join() === '408' || answer === '')).toHaveLength(200)
		expect(answers.some((answer) => answer.includes('408'))).toBe(true)
		expect(await send('/visit/fast')).toMatchObject({ status: 200 })
	})

	it('have the seconds that the server says by default', async () => {
		const { httpServer } = await import('../../examples/server/listen.ts')
		const server = httpServer(() => {})
		expect([server.headersTimeout, server.requestTimeout]).toEqual([10_000, 30_000])
	})
})

describe('clients that do not read', () => {
	const redoc = 'GET /redoc/redoc.standalone.js HTTP/1.1\r\nHost: h\r\n\r\n'

	/** A client that asks and takes nothing. */
	function deaf(port: number, requests: string): Socket {
		const socket = connect(port, '127.0.0.1', () => socket.write(requests))
		socket.on('error', () => {})
		onTestFinished(() => void socket.destroy())
		return socket.pause()
	}

	it('hold no memory: neither what is the same for all nor what is made for each waits in many copies', { timeout: 60_000 }, async () => {
		const { port } = await exampleServer()
		const event = (page: number) => ({
			event_id: crypto.randomUUID(),
			user_id: 'ada',
			timestamp: new Date().toISOString(),
			event_type: 'page_view',
			payload: { page_url: `/${page}/${'x'.repeat(400)}` },
		})
		for (let batch = 0; batch < 4; batch++) {
			const body = JSON.stringify(Array.from({ length: 1_000 }, (_, at) => event(batch * 1_000 + at)))
			await ask(port, '/events', { method: 'POST', headers: { 'content-type': 'application/json' }, body })
		}
		const stats = 'GET /stats?limit=10000&uniques=0 HTTP/1.1\r\nHost: h\r\n\r\n'
		expect((await ask(port, '/stats?limit=10000&uniques=0')).body.length).toBeGreaterThan(1_000_000)
		const before = await residentMb(port)
		for (let client = 0; client < 20; client++) deaf(port, (client % 2 === 0 ? redoc : stats).repeat(100))
		let most = 0
		for (let look = 0; look < 10; look++) {
			await new Promise((resolve) => setTimeout(resolve, 200))
			most = Math.max(most, await residentMb(port))
		}
		console.log(`20 clients that do not read: ${Math.round(before)} MB resident before, at most ${Math.round(most)} with them`)
		// 2,000 answers of more than a megabyte each were asked for; one for each client is in memory, and what the clients took.
		expect(most - before).toBeLessThan(250)
		expect((await ask(port, '/health')).status).toBe(200)
	})

	it('and ask for more than 100 answers at once are let go', async () => {
		const { port, ask, connections } = await servedApp()
		const clients = [101, 102].map((answers) => deaf(port, redoc.repeat(answers)))
		await Promise.all(clients.map((client) => new Promise((resolve) => client.once('connect', resolve))))
		expect((await ask('/health')).status).toBe(200)
		await expect.poll(connections).toBe(1)
	})

	it('are let go after their time, also who takes a byte now and then; not who only watches', async () => {
		const { port, ask, connections } = await servedApp({ limits: { answerTimeoutMs: 400, checkMs: 20 } })
		const live = connect(port, '127.0.0.1', () => live.write('GET /live HTTP/1.1\r\nHost: h\r\n\r\n'))
		onTestFinished(() => void live.destroy())
		live.resume()
		deaf(port, redoc.repeat(50))
		const slow = deaf(port, redoc.repeat(50))
		const drip = setInterval(() => slow.read(1), 20)
		onTestFinished(() => clearInterval(drip))
		await expect.poll(connections).toBe(3)
		await expect.poll(connections).toBe(1)
		expect(live.destroyed).toBe(false)
		expect((await ask('/health')).status).toBe(200)
	})

	it('are told from those who read what they asked for in advance, which comes whole and in order', async () => {
		const { port } = await servedApp()
		const paths = Array.from({ length: 100 }, (_, at) => (at % 10 === 0 ? '/redoc/redoc.standalone.js' : `/visits/page-${at}`))
		const last = 'GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'
		const text = await raw(port, paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`).join('') + last)
		expect(statusesOf(text)).toEqual([...paths.map(() => 200), 404])
		expect(text.length).toBeGreaterThan(10 * 1_000_000)
	})
})

describe('distinct random addresses', () => {
	// A million takes some minutes: ABUSE_URLS=1000000.
	const addresses = Number(process.env['ABUSE_URLS'] ?? 20_000)
	const maxPages = addresses / 10

	it(`${addresses} of them leave the memory bounded and the pages of the site countable`, { timeout: 60_000 + 4 * addresses }, async () => {
		const server = await exampleServer({ MAX_PAGES: String(maxPages) })
		const { port } = server
		const get = async (path: string) => JSON.parse((await ask(port, path)).body)
		const real = Array.from({ length: 20 }, (_, at) => `/real/${at}`)
		for (const page of real) await ask(port, `/site${page}`, { headers: browser })
		await soon(async () => expect((await get('/stats')).views).toBe(20))

		const memory: number[] = []
		let sent = 0
		/** Pipelined on one connection: a client of Node's would take longer than the server. */
		const flood = async (share: number) => {
			const socket = connect(port, '127.0.0.1')
			onTestFinished(() => void socket.destroy())
			let answered = 0
			let tail = ''
			let heard = () => {}
			socket.setEncoding('latin1').on('data', (text: string) => {
				const seen = tail + text
				answered += seen.split('HTTP/1.1 200').length - 1
				tail = seen.slice(-11)
				heard()
			})
			for (let at = 0; at < share; ) {
				let burst = ''
				const end = Math.min(share, at + 50)
				for (; at < end; at++) {
					const path = at % 2 === 0 ? `GET /site/${crypto.randomUUID()}` : `POST /visit/${crypto.randomUUID()}`
					burst += `${path} HTTP/1.1\r\nHost: h\r\nUser-Agent: ${browser['user-agent']}\r\nContent-Length: 0\r\n\r\n`
				}
				socket.write(burst)
				while (answered < at) {
					await new Promise<void>((resolve) => {
						heard = resolve
					})
				}
				sent = Math.max(sent, at)
			}
		}
		const connections = 4
		for (let round = 0; round < 5; round++) {
			await Promise.all(Array.from({ length: connections }, () => flood(addresses / 5 / connections)))
			memory.push((await server.held()) / 2 ** 20)
		}
		console.log(
			`${addresses} addresses, at most ${maxPages} pages: ${memory.map((mb) => mb.toFixed(1)).join(', ')} MB held, ${Math.round(await residentMb(port))} MB resident`,
		)
		// The bound is reached in the first of the five rounds. A page takes more than 500 bytes: all those of the other four would be 8 MB and more.
		expect(memory.at(-1)! - memory[0]!).toBeLessThan(2)
		for (const page of real) await ask(port, `/site${page}`, { headers: browser })
		await soon(async () => expect((await get('/stats')).views).toBe(addresses + 40))
		for (const page of real) expect([page, await get(`/visits/${encodeURIComponent(page)}`)]).toMatchObject([page, { count: 2 }])
		expect(await get('/visits/(other)')).toMatchObject({ count: addresses - maxPages + 20 })
		server.process.kill('SIGTERM')
		expect(await server.ended).toMatchObject({ code: 0, totals: { hits: addresses + 40, pages: maxPages + 1, unstored: 0 } })
	})
})
