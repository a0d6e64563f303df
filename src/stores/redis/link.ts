/**
 * The way to one server. Everything that is sent within the same turn goes out as one pipeline, whoever sends it; every answer is a value, errors
 * included; and every call is answered within its time, whatever the client does: its promises are not relied upon, and it is never left to hold
 * commands back for a server that is away, for they would come late and twice.
 */
import { systemClock } from '../../clock.ts'
import type { Argument, Command, RedisClient } from './client.ts'
import { Failure } from './failure.ts'
import { type Script, scripts } from './scripts.ts'

/** What Redis replied, or a {@link Failure}. */
export type Reply = unknown

interface Call {
	readonly commands: readonly Command[]
	/** Its time has run out: not sent any more if it was not yet. */
	late: boolean
	readonly answer: (replies: readonly Reply[]) => void
}

/** Commands in one pipeline at most: a longer one is cut, so that nobody else waits for all of it. */
const PIPELINE = 2_000

export class Link {
	/** For messages and `servedBy`. */
	readonly name: string
	#client: RedisClient | undefined
	#opening: Promise<RedisClient> | undefined
	#failed: unknown
	/** Settles with the attempt to connect that is under way. */
	#connecting: Promise<void> | undefined
	readonly #open: () => RedisClient | Promise<RedisClient>
	#calls: Call[] = []
	#scheduled = false
	/** The client's last word on why it is not ready. */
	#lastError: unknown
	readonly #onReady = new Set<() => void>()
	readonly #ready = () => {
		this.#lastError = undefined
		for (const listener of this.#onReady) listener()
	}

	constructor(name: string, open: () => RedisClient | Promise<RedisClient>) {
		this.name = name
		this.#open = open
	}

	/** Calls `listener` whenever the connection was made, anew or for the first time. Answers how to stop that. */
	onReady(listener: () => void): () => void {
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

	/** Makes sure that the server knows the scripts. */
	async load(timeoutMs: number): Promise<Failure | undefined> {
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

	/** Lets go of the client: its listeners are removed, and what is on the way is not answered any more. */
	detach(): void {
		this.#client?.off('ready', this.#ready)
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
		for (let from = 0; from < calls.length; ) {
			let length = 0
			let to = from
			while (to < calls.length && (to === from || length + calls[to]!.commands.length <= PIPELINE)) length += calls[to++]!.commands.length
			execute(client, calls.slice(from, to))
			from = to
		}
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
				client.on('ready', this.#ready)
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

function execute(client: RedisClient, calls: readonly Call[]): void {
	const pipeline = client.pipeline()
	for (const { commands } of calls) {
		for (const { name, args, binary } of commands) {
			if (binary === true) pipeline.callBuffer(name, args as Argument[])
			else pipeline.call(name, args as Argument[])
		}
	}
	pipeline.exec().then(
		(results) => {
			let at = 0
			for (const { commands, answer } of calls) {
				answer(
					commands.map(() => {
						const result = results?.[at++]
						if (result === undefined || result === null) return new Failure(new Error('the pipeline was not answered'))
						return result[0] === null ? result[1] : new Failure(result[0])
					}),
				)
			}
		},
		(error: unknown) => {
			for (const { commands, answer } of calls) answer(failures(commands, error))
		},
	)
}

function failures(commands: readonly Command[], error: unknown): Failure[] {
	const failure = new Failure(error)
	return commands.map(() => failure)
}

/** A script as a command. */
export function evaluate(script: Script, key: string, args: readonly Argument[]): Command {
	// A script that no server has seen yet is answered NOSCRIPT, which loads it.
	return { name: 'evalsha', args: [script.sha ?? '0'.repeat(40), 1, key, ...args] }
}
