/** A store on a real Redis whose client can be tampered with, and sessions that remember what they reported. */
import { Redis } from 'ioredis'
import { type RedisClient, type RedisPipeline, RedisStore, type RedisStoreOptions } from '../../../src/redis.ts'
import type { SessionSettings, StoreEvent } from '../../../src/stores/store.ts'
import { Desk, type Writer } from '../../../src/testing/contract/desk.ts'

export interface Sent {
	readonly name: string
	readonly args: readonly (string | number | Uint8Array)[]
}

type Results = [Error | null, unknown][]

/** What is done with a pipeline instead of sending it; the default is `send()`. */
export type Tampering = (commands: readonly Sent[], send: () => Promise<Results>) => Promise<Results>

/** Another client's pipelines, seen and spoilt. */
export class TamperedClient implements RedisClient {
	readonly redis: Redis
	/** Every pipeline so far. */
	readonly pipelines: Sent[][] = []
	tamper: Tampering | undefined

	constructor(redis: Redis) {
		this.redis = redis
	}

	get status(): string {
		return this.redis.status
	}

	pipeline(): RedisPipeline {
		const pipeline = this.redis.pipeline()
		const commands: Sent[] = []
		const send = async () => ((await pipeline.exec()) ?? []) as Results
		return {
			call: (name, args) => {
				commands.push({ name, args })
				pipeline.call(name, args as Buffer[])
			},
			callBuffer: (name, args) => {
				commands.push({ name, args })
				pipeline.callBuffer(name, args as Buffer[])
			},
			exec: () => {
				this.pipelines.push(commands)
				return this.tamper === undefined ? send() : this.tamper(commands, send)
			},
		}
	}

	connect(): Promise<void> {
		return this.redis.connect()
	}

	on(event: string, listener: () => void): void {
		this.redis.on(event, listener)
	}

	off(event: string, listener: () => void): void {
		this.redis.off(event, listener)
	}

	/** Tampers with the next pipeline that `concerns` (by default: that counts or claims, which a session's tidying up does not), then no more. */
	once(tamper: Tampering, concerns: (commands: readonly Sent[]) => boolean = writes): void {
		this.tamper = (commands, send) => {
			if (!concerns(commands)) return send()
			this.tamper = undefined
			return tamper(commands, send)
		}
	}
}

function writes(commands: readonly Sent[]): boolean {
	return commands.some(({ name }) => name === 'evalsha' || name === 'set')
}

/** Executed, and the connection breaks before the reply. */
export const loseReply: Tampering = async (_, send) => {
	await send()
	throw new Error('Connection is closed.')
}
/** Lost before the server sees it. */
export const loseRequest: Tampering = async () => {
	throw new Error('Connection is closed.')
}
/** Executed, and the promise never settles. */
export const hang: Tampering = async (_, send) => {
	await send()
	return new Promise(() => {})
}
/** Executed, and some of the answers are replaced by an error. */
export function answerInstead(message: string, concerns: (command: Sent) => boolean): Tampering {
	return async (commands, send) => (await send()).map((result, i) => (concerns(commands[i]!) ? [new Error(message), undefined] : result))
}
/** Not executed; every command is answered by an error. */
export function refuse(message: string): Tampering {
	return async (commands) => commands.map(() => [new Error(message), undefined])
}

/** A script on this part of a key. */
export function onKey(part: string): (command: Sent) => boolean {
	return ({ name, args }) => name === 'evalsha' && String(args[2]).includes(part)
}

export interface Bench {
	readonly client: TamperedClient
	readonly redis: Redis
	readonly store: RedisStore
	readonly desk: Desk
	/** Of the sessions opened by `open`. */
	readonly events: StoreEvent[]
	open(settings?: Partial<SessionSettings>): Writer
	/** Closes the sessions and the client. */
	end(): Promise<void>
}

/** One partition by default, so that a batch is a pipeline. */
export function bench(port: number, options: RedisStoreOptions = {}, clientOptions: object = {}): Bench {
	const redis = new Redis({ ...clientOptions, port })
	redis.on('error', () => {})
	const client = new TamperedClient(redis)
	const store = new RedisStore(client, { partitions: 1, name: String(port), writeTimeoutMs: 1_000, readTimeoutMs: 1_000, ...options })
	const desk = new Desk(store, 'hyperloglog', false)
	const events: StoreEvent[] = []
	return {
		client,
		redis,
		store,
		desk,
		events,
		open: (settings) => desk.open({ report: (event) => void events.push(event), ...settings }),
		end: async () => {
			client.tamper = undefined
			await desk.close()
			redis.disconnect()
		},
	}
}

/** Calls `act` until it succeeds. */
export async function until<Result>(act: () => Promise<Result>, forMs = 10_000): Promise<Result> {
	for (const end = Date.now() + forMs; ; ) {
		try {
			return await act()
		} catch (error) {
			if (Date.now() > end) throw error
			await sleep(50)
		}
	}
}

export function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Hits reported as lost, by what was lost. */
export function lost(events: readonly StoreEvent[]): Record<string, number> {
	const sums: Record<string, number> = {}
	for (const event of events) {
		if (event.type !== 'rollback') continue
		const what = event.what.split(' ')[0]!
		sums[what] = (sums[what] ?? 0) + event.hits
	}
	return sums
}
