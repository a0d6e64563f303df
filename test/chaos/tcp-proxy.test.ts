import { once } from 'node:events'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Mishap, TcpProxy } from './tcp-proxy.ts'

/** Answers each chunk with itself in capitals, and remembers all it got. */
let server: Server
let received: string
let proxy: TcpProxy
const clients: Client[] = []

/** A client, what it got, and how its connection ended. */
class Client {
	readonly socket: Socket
	got = ''
	ended: 'open' | 'closed' | string = 'open'

	constructor(port: number) {
		this.socket = dial(port, '127.0.0.1')
		this.socket.on('data', (chunk) => {
			this.got += chunk
		})
		this.socket.on('error', (error: NodeJS.ErrnoException) => {
			this.ended = error.code ?? 'error'
		})
		this.socket.on('close', () => {
			if (this.ended === 'open') this.ended = 'closed'
		})
		clients.push(this)
	}
}

async function client(): Promise<Client> {
	const made = new Client(proxy.port)
	await once(made.socket, 'connect')
	return made
}

const until = (ready: () => boolean) => expect.poll(ready, { interval: 2, timeout: 2_000 }).toBe(true)
const moment = () => new Promise((resolve) => setTimeout(resolve, 40))

beforeEach(async () => {
	received = ''
	server = createServer((socket) => {
		socket.on('error', () => {})
		socket.on('data', (chunk) => {
			received += chunk
			socket.write(chunk.toString().toUpperCase())
		})
	})
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
	proxy = await TcpProxy.start((server.address() as { port: number }).port)
})

afterEach(async () => {
	for (const { socket } of clients.splice(0)) socket.destroy()
	await proxy.close()
	server.close()
})

describe('TcpProxy', () => {
	it('passes both directions on', async () => {
		const { socket, ...rest } = await client()
		expect(rest.got).toBe('')
		socket.write('hello')
		await until(() => clients[0]!.got === 'HELLO')
		expect(received).toBe('hello')
	})

	it('refuses, and takes connections on the same port again', async () => {
		const open = await client()
		const { port } = proxy
		await until(() => proxy.connections === 1)
		proxy.refuse()
		await until(() => open.ended === 'ECONNRESET')
		const refused = new Client(port)
		await until(() => refused.ended === 'ECONNREFUSED')
		await proxy.accept()
		expect(proxy.port).toBe(port)
		const again = await client()
		again.socket.write('x')
		await until(() => again.got === 'X')
	})

	it('cuts one connection or all', async () => {
		const [a, b, c] = [await client(), await client(), await client()]
		await until(() => proxy.connections === 3)
		proxy.cut(0.5)
		await until(() => [a, b, c].filter(({ ended }) => ended === 'ECONNRESET').length === 1)
		proxy.cut()
		await until(() => [a, b, c].every(({ ended }) => ended === 'ECONNRESET'))
	})

	it('stalls, and delivers all of it later, to connections made meanwhile too', async () => {
		const early = await client()
		await until(() => proxy.connections === 1)
		proxy.stall()
		const late = await client()
		early.socket.write('early ')
		late.socket.write('late ')
		await moment()
		expect(received).toBe('')
		proxy.resume()
		await until(() => early.got === 'EARLY ' && late.got === 'LATE ')
	})

	it('swallows what is sent and hides that the server is gone', async () => {
		const open = await client()
		open.socket.write('a')
		await until(() => open.got === 'A')
		proxy.swallow()
		open.socket.write('b')
		server.close()
		await moment()
		expect(open).toMatchObject({ got: 'A', ended: 'open' })
		expect(received).toBe('a')
		proxy.surface()
		await until(() => open.ended === 'ECONNRESET')
	})

	it('abandons a connection without a word; new ones work', async () => {
		const [open, other] = [await client(), await client()]
		await until(() => proxy.connections === 2)
		proxy.abandon(0)
		open.socket.write('a')
		other.socket.write('b')
		await until(() => other.got === 'B')
		await proxy.heal()
		await moment()
		expect(open).toMatchObject({ got: '', ended: 'open' })
		expect(received).toBe('b')
	})

	const mishaps: readonly (readonly [Mishap, received: string, got: string])[] = [
		['loseRequest', '', ''],
		['loseReply', 'the set', ''],
		['partialRequest', 'the', ''],
		['partialReply', 'the set', 'THE'],
	]
	it.each(mishaps)('%s: the server gets %j, the client %j', async (mishap, got, reply) => {
		const disarm = proxy.arm({ mishap, times: 1, share: 0.5, match: 'SET' })
		const victim = await client()
		victim.socket.write('get')
		await until(() => victim.got === 'GET')
		received = victim.got = ''
		victim.socket.write('the set')
		await until(() => victim.ended !== 'open')
		await moment()
		expect({ received, reply: victim.got }).toEqual({ received: got, reply })
		const next = await client()
		next.socket.write('the set')
		await until(() => next.got === 'THE SET')
		expect(disarm()).toBe(1)
	})

	it('heals whatever was done', async () => {
		proxy.arm({ mishap: 'loseRequest', times: 9, share: 0, match: '' })
		proxy.stall()
		proxy.swallow()
		proxy.refuse()
		await proxy.heal()
		const whole = await client()
		whole.socket.write('x')
		await until(() => whole.got === 'X')
	})
})
