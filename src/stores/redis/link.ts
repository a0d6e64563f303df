/**
 * The way to one server, or to one cluster. Everything that is sent within the same turn goes out as one pipeline, whoever sends it; every answer is a value, errors
 * included; and every call is answered within its time, whatever the client does: its promises are not relied upon, and it is never left to hold
 * commands back for a server that is away, for they would come late and twice.
 */
import { systemClock } from '../../clock.ts'
import type { NodeHealth } from '../store.ts'
import { type Argument, type Command, command, type RedisClient } from './client.ts'
import { Failure } from './failure.ts'
import { anyCommand, type Script, scripts } from './scripts.ts'
import { type Concerns, isWrite, type Reply, singleWire, type Wire } from './wire.ts'

export type { Reply } from './wire.ts'

interface Call {
	readonly commands: readonly Command[]
	/** Its time has run out: not sent any more if it was not yet. */
	late: boolean
	readonly answer: (replies: readonly Reply[]) => void
}

/** For how long it is kept in mind that a server was slow. */
const MEMORY_MS = 30_000
/** How long a slow one is waited for at least, if it is that slow. */
const SLOW_MS = 5_000

/** How long an answer may take at most that must come within `timeoutMs` of a quick server; our own clients give a connection up that is silent for longer. */
export function longestMs(timeoutMs: number): number {
	return Math.max(2 * timeoutMs, SLOW_MS)
}

export class Link {
	/** For messages and `servedBy`. */
	readonly name: string
	#client: RedisClient | undefined
	#opening: Promise<RedisClient> | undefined
	#failed: unknown
	/** Settles with the attempt to connect that is under way. */
	#connecting: Promise<void> | undefined
	readonly #open: () => RedisClient | Promise<RedisClient>
	readonly #wire: Wire
	#stopWatching = () => {}
	#loading: Promise<Failure | undefined> | undefined
	#calls: Call[] = []
	#scheduled = false
	/** The client's last word on why it is not ready. */
	#lastError: unknown
	readonly #onReady = new Set<(concerns: Concerns) => void>()
	/** How long the slowest answer took lately, and until when that counts. */
	#slowest = { ms: 0, until: 0 }

	constructor(name: string, open: () => RedisClient | Promise<RedisClient>, wire: Wire = singleWire({ count: 0, timeoutMs: 0 })) {
		this.name = name
		this.#open = open
		this.#wire = wire
	}

	/** Calls `listener` whenever a connection was made, anew or for the first time, with the keys that it concerns. Answers how to stop that. */
	onReady(listener: (concerns: Concerns) => void): () => void {
		this.#onReady.add(listener)
		return () => this.#onReady.delete(listener)
	}

	/** Why the server is away, when the client was told. */
	noteError(error: unknown): void {
		this.#lastError = error
	}

	/** Sends commands, in order, in one go. Answers each of them, after `timeoutMs` at the latest. Never rejects. */
	send(commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
		if (commands.length === 0) return Promise.resolve([])
		return new Promise((resolve) => {
			const timer = systemClock.setTimer(() => {
				call.late = true
				answer(failures(commands, this.#away(`no answer within ${timeoutMs} ms`)))
			}, timeoutMs)
			const answer = (replies: readonly Reply[]) => {
				timer.cancel()
				resolve(replies)
			}
			const call: Call = { commands, late: false, answer }
			this.#calls.push(call)
			this.#schedule()
		})
	}

	/**
	 * How long to wait for an answer before the same is sent again: `timeoutMs`, or twice as long as the slowest answer of the last half minute took. A
	 * server that takes longer for each answer would be sent everything again and again, and nothing would ever be acknowledged.
	 */
	patience(timeoutMs: number): number {
		const { ms, until } = this.#slowest
		return performance.now() > until ? timeoutMs : Math.max(timeoutMs, Math.min(longestMs(timeoutMs), Math.ceil(2 * ms)))
	}

	/** Makes sure that the server knows the scripts; once for all who ask at the same time. */
	load(timeoutMs: number): Promise<Failure | undefined> {
		this.#loading ??= this.#load(timeoutMs).finally(() => {
			this.#loading = undefined
		})
		return this.#loading
	}

	async #load(timeoutMs: number): Promise<Failure | undefined> {
		const replies = await this.send(
			scripts.map(({ source }) => ({ name: 'script', args: ['LOAD', source] })),
			timeoutMs,
		)
		for (const [i, reply] of replies.entries()) {
			if (reply instanceof Failure) return reply
			scripts[i]!.sha = String(reply)
		}
		return undefined
	}

	/** The state of each server. */
	async health(timeoutMs: number): Promise<readonly NodeHealth[]> {
		const own = await this.#ping(timeoutMs)
		const servers = this.#client === undefined ? undefined : this.#wire.servers(this.#client)
		if (servers === undefined || servers.length === 0) return [own]
		return Promise.all(
			servers.map(async ({ name, role, client }): Promise<NodeHealth> => {
				if (client === undefined) return { name, role, status: 'down', latencyMs: undefined, reason: 'not connected' }
				const link = new Link(name, () => client)
				const health = await link.#ping(timeoutMs)
				link.detach()
				return { ...health, role }
			}),
		)
	}

	async #ping(timeoutMs: number): Promise<NodeHealth> {
		const start = performance.now()
		const [reply] = await this.send([command('ping')], timeoutMs)
		if (reply instanceof Failure) return { name: this.name, status: 'down', latencyMs: undefined, reason: reply.message }
		return { name: this.name, status: 'up', latencyMs: performance.now() - start }
	}

	/** Lets go of the client: its listeners are removed, and what is on the way is not answered any more. */
	detach(): void {
		this.#stopWatching()
		this.#onReady.clear()
	}

	#schedule(): void {
		if (this.#scheduled) return
		this.#scheduled = true
		// A few turns later: others that were woken by the same answer are then done as well.
		void Promise.resolve()
			.then(() => {})
			.then(() => {})
			.then(() => this.#flush())
	}

	#flush(): void {
		this.#scheduled = false
		const calls = this.#calls
		this.#calls = []
		const client = this.#client
		if (client !== undefined && (client.status === undefined || client.status === 'ready')) {
			this.#exec(client, calls)
			return
		}
		void this.#whenReady().then(
			(ready) =>
				this.#exec(
					ready,
					calls.filter(({ late }) => !late),
				),
			(error: unknown) => {
				for (const { commands, answer } of calls) answer(failures(commands, error))
			},
		)
	}

	#exec(client: RedisClient, calls: readonly Call[]): void {
		const answers = this.#wire.send(
			client,
			calls.map(({ commands }) => commands),
		)
		const start = performance.now()
		for (const [i, { answer }] of calls.entries()) {
			void answers[i]!.then((replies) => {
				// A connection that broke says nothing of the server.
				if (replies.some((reply) => !(reply instanceof Failure))) this.#noteTime(performance.now() - start)
				answer(replies)
			})
		}
	}

	/** An answer came, in time or late. */
	#noteTime(ms: number): void {
		const now = performance.now()
		if (ms >= this.#slowest.ms || now > this.#slowest.until) this.#slowest = { ms, until: now + MEMORY_MS }
	}

	/** The client once it can take commands. Rejects at once when the server is known to be away. */
	async #whenReady(): Promise<RedisClient> {
		const client = this.#client ?? (await this.#connect())
		const { status } = client
		if (status === undefined || status === 'ready') return client
		if (status === 'wait') client.connect?.().catch(() => {})
		// While it connects, a call waits for it (and for its time to run out); between two attempts it is better told at once.
		else if (status !== 'connecting' && status !== 'connect') throw this.#away(`the connection is down (${status})`)
		this.#connecting ??= this.#connected(client).finally(() => {
			this.#connecting = undefined
		})
		await this.#connecting
		return client
	}

	#connected(client: RedisClient): Promise<void> {
		return new Promise((resolve, reject) => {
			const settle = (finish: () => void) => () => {
				for (const [event, listener] of Object.entries(listeners)) client.off(event, listener)
				finish()
			}
			const fail = settle(() => reject(this.#away('no connection')))
			// An error tells why; the end of the attempt follows it.
			const error: (error?: unknown) => void = (error) => this.noteError(error)
			const listeners: Record<string, () => void> = { ready: settle(resolve), close: fail, end: fail, error }
			for (const [event, listener] of Object.entries(listeners)) client.on(event, listener)
		})
	}

	async #connect(): Promise<RedisClient> {
		if (this.#failed !== undefined) throw this.#failed
		this.#opening ??= (async () => {
			try {
				const client = await this.#open()
				this.#client = client
				this.#stopWatching = this.#wire.watch(client, (concerns = () => true) => {
					this.#lastError = undefined
					for (const listener of this.#onReady) listener(concerns)
				})
				return client
			} catch (error) {
				this.#failed = error
				throw error
			}
		})()
		return this.#opening
	}

	/** That there is no answer, and why, as far as the client was told. */
	#away(what: string): Error {
		const error = this.#lastError
		if (error === undefined) return new Error(what)
		const { message, code } = error as { message?: string; code?: string }
		return new Error(`${what}: ${message || code || String(error)}`, { cause: error })
	}
}

function failures(commands: readonly Command[], error: unknown): Failure[] {
	const failure = new Failure(error)
	return commands.map(() => failure)
}

const UNKNOWN = '0'.repeat(40)

/** A command that is carried out only where `key` is `record`: see {@link Script.fenced}. What only reads is left as it is. */
export function fenced(command: Command, key: string, record: string): Command {
	const { name, args, script } = command
	// What comes as its text sees to it by itself.
	if (name === 'eval' || !isWrite(command)) return command
	const { sha } = (script ?? anyCommand).fenced!
	if (script !== undefined) {
		const end = 2 + Number(args[1])
		return { name, args: [sha ?? UNKNOWN, end - 1, ...args.slice(2, end), key, ...args.slice(end), record], script }
	}
	return { name: 'evalsha', args: [sha ?? UNKNOWN, 1, key, name, ...args, record], script: anyCommand }
}

/** A script as a command. `others`: keys besides. */
export function evaluate(script: Script, key: string, args: readonly Argument[], others: readonly string[] = []): Command {
	// A script that no server has seen yet is answered NOSCRIPT, which loads it.
	return { name: 'evalsha', args: [script.sha ?? UNKNOWN, 1 + others.length, key, ...others, ...args], script }
}

/** The same command, by the name that its script has now. */
export function renewed(command: Command): Command {
	const { name, args, script } = command
	return script === undefined || name !== 'evalsha' ? command : { ...command, args: [script.sha ?? UNKNOWN, ...args.slice(1)] }
}
