/**
 * A TCP proxy that does to a connection what networks do: refuses it, resets it, holds it up, swallows what is sent, and loses or cuts a request or a
 * reply. It sees bytes and knows no protocol; a trap can wait for a request that contains some text, so that it hits the commands that count.
 *
 * It runs within the process of the campaign, which must never block while somebody talks through it: nothing there may run synchronously for long.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'

/** What can befall a single request or its reply. Whichever it is, the connection is reset afterwards. */
export type Mishap = 'loseRequest' | 'loseReply' | 'partialRequest' | 'partialReply'

export interface Trap {
	readonly mishap: Mishap
	/** How many requests fall into it. */
	readonly times: number
	/** In [0, 1): where a partial request or reply is cut. */
	readonly share: number
	/** Only requests that contain this text, whatever its case; '' for any. */
	readonly match: string
}

interface ArmedTrap extends Trap {
	fired: number
}

export class TcpProxy {
	/** Where connections go from now on; those that are open stay where they are. */
	target: number
	readonly #connections = new Set<Connection>()
	readonly #traps = new Set<ArmedTrap>()
	#server: Server | undefined
	#port = 0
	#stalled = false
	#swallowing = false

	private constructor(target: number) {
		this.target = target
	}

	/** A proxy on a free port, in front of the server on `target`. */
	static async start(target: number): Promise<TcpProxy> {
		const proxy = new TcpProxy(target)
		await proxy.#listen()
		return proxy
	}

	get port(): number {
		return this.#port
	}

	get connections(): number {
		return this.#connections.size
	}

	get stalled(): boolean {
		return this.#stalled
	}

	/** Whether what is sent vanishes. */
	get swallowing(): boolean {
		return this.#swallowing
	}

	/** Resets every connection and takes no new ones: a client that connects is refused. */
	refuse(): void {
		this.#server?.close()
		this.#server = undefined
		this.cut()
	}

	/** Undoes {@link refuse}. */
	async accept(): Promise<void> {
		if (this.#server === undefined) await this.#listen()
	}

	/** Resets all connections, or the one that `which` in [0, 1) points at. */
	cut(which?: number): void {
		for (const connection of this.#chosen(which)) connection.reset()
	}

	/** The same connections are dead from now on, for ever, and nobody is told: half open, as after a router forgot them. New ones work. */
	abandon(which?: number): void {
		for (const connection of this.#chosen(which)) connection.abandoned = true
	}

	/** Forwards nothing, in either direction, until {@link resume}: then all of it. */
	stall(): void {
		this.#stalled = true
		for (const connection of this.#connections) connection.hold()
	}

	resume(): void {
		this.#stalled = false
		for (const connection of this.#connections) connection.release()
	}

	/** Swallows everything in both directions, a close too: connections look alive and are dead. Ends with {@link surface}. */
	swallow(): void {
		this.#swallowing = true
		for (const connection of this.#connections) connection.broken = true
	}

	/** Undoes {@link swallow}; connections that lost something are reset, for the rest of their bytes makes no sense. */
	surface(): void {
		this.#swallowing = false
		for (const connection of [...this.#connections]) if (connection.broken) connection.reset()
	}

	/** Sets a trap. Answers how to take it away; that answers how many requests fell into it. */
	arm(trap: Trap): () => number {
		const armed = { ...trap, match: trap.match.toLowerCase(), fired: 0 }
		this.#traps.add(armed)
		return () => {
			this.#traps.delete(armed)
			return armed.fired
		}
	}

	/** Ends everything that was done to the network; connections that are whole stay, and so do those that were abandoned. */
	async heal(): Promise<void> {
		this.#traps.clear()
		this.surface()
		this.resume()
		await this.accept()
	}

	async close(): Promise<void> {
		this.refuse()
	}

	#chosen(which: number | undefined): Connection[] {
		const all = [...this.#connections]
		return which === undefined ? all : all.slice(Math.floor(which * all.length)).slice(0, 1)
	}

	/** @internal The trap that this request falls into. */
	trapFor(chunk: Buffer): Trap | undefined {
		if (this.#traps.size === 0) return undefined
		const text = chunk.toString('latin1').toLowerCase()
		for (const trap of this.#traps) {
			if (trap.fired === trap.times || !text.includes(trap.match)) continue
			trap.fired += 1
			return trap
		}
		return undefined
	}

	/** On the same port each time. Somebody else's outgoing connection may sit on it for a moment. */
	async #listen(): Promise<void> {
		for (let attempt = 1; ; attempt++) {
			try {
				this.#server = await this.#tryListen()
				return
			} catch (error) {
				if (attempt === 100) throw error
				await new Promise((resolve) => setTimeout(resolve, 20))
			}
		}
	}

	#tryListen(): Promise<Server> {
		return new Promise((resolve, reject) => {
			const server = createServer({ noDelay: true }, (client) => this.#connected(client))
			server.once('error', reject)
			server.listen(this.#port, '127.0.0.1', () => {
				const address = server.address()
				if (typeof address === 'object' && address !== null) this.#port = address.port
				resolve(server)
			})
		})
	}

	#connected(client: Socket): void {
		const connection = new Connection(client, this.target, this)
		this.#connections.add(connection)
		connection.onEnd = () => this.#connections.delete(connection)
		if (this.#stalled) connection.hold()
		if (this.#swallowing) connection.broken = true
	}
}

/** A client, and the connection to the server that was made for it. */
class Connection {
	/** Bytes were swallowed: it must not go on. */
	broken = false
	/** Nothing will ever go through it again. */
	abandoned = false
	onEnd = () => {}
	readonly #client: Socket
	readonly #upstream: Socket
	readonly #proxy: TcpProxy
	/** What is to become of the next reply. */
	#awaiting: Trap | undefined
	#ended = false

	constructor(client: Socket, target: number, proxy: TcpProxy) {
		this.#client = client
		this.#proxy = proxy
		this.#upstream = dial({ port: target, host: '127.0.0.1', noDelay: true })
		client.on('error', () => {})
		this.#upstream.on('error', () => {})
		client.on('data', (chunk) => this.#request(chunk))
		this.#upstream.on('data', (chunk) => this.#reply(chunk))
		client.on('close', () => this.#end())
		this.#upstream.on('close', () => {
			// Half open: the client is not told that nobody is there any more.
			if (!this.#isDead()) this.#end()
		})
	}

	hold(): void {
		this.#client.pause()
		this.#upstream.pause()
	}

	release(): void {
		this.#client.resume()
		this.#upstream.resume()
	}

	reset(): void {
		this.#client.resetAndDestroy()
		this.#upstream.destroy()
		this.#end()
	}

	#request(chunk: Buffer): void {
		if (this.#isDead()) return
		const trap = this.#proxy.trapFor(chunk)
		if (trap?.mishap === 'loseRequest') {
			this.reset()
		} else if (trap?.mishap === 'partialRequest') {
			// The server gets the first part and the end of the connection; the client learns nothing.
			this.#upstream.end(partOf(chunk, trap.share))
			this.#client.resetAndDestroy()
		} else {
			if (trap !== undefined) this.#awaiting = trap
			this.#upstream.write(chunk)
		}
	}

	#reply(chunk: Buffer): void {
		if (this.#isDead()) return
		if (this.#awaiting === undefined) {
			this.#client.write(chunk)
		} else if (this.#awaiting.mishap === 'loseReply') {
			this.reset()
		} else {
			this.#client.end(partOf(chunk, this.#awaiting.share))
			this.#upstream.destroy()
		}
	}

	#isDead(): boolean {
		if (this.#proxy.swallowing) this.broken = true
		return this.abandoned || this.broken
	}

	#end(): void {
		if (this.#ended) return
		this.#ended = true
		this.#client.destroySoon()
		// What was passed on is still delivered.
		this.#upstream.destroySoon()
		this.onEnd()
	}
}

/** Some of it, never all. */
function partOf(chunk: Buffer, share: number): Buffer {
	return chunk.subarray(0, Math.floor(chunk.length * share))
}
