/**
 * How commands get to the servers behind a client: to the one there is, or to those of a cluster. A {@link Wire} gathers and sends; it knows neither
 * time-outs nor reconnections, which are the link's.
 */
import type { Argument, Command, RedisClient } from './client.ts'
import { Failure } from './failure.ts'
import { hangs, renewed, sent } from './patience.ts'

/** What Redis replied, or a {@link Failure}. */
export type Reply = unknown

/** Whether a key is on a server that may have lost something. */
export type Concerns = (key: string) => boolean

/** A server that a client speaks to. `client` is undefined where there is no connection. */
export interface Server {
	readonly name: string
	readonly role: 'master' | 'replica'
	readonly client: RedisClient | undefined
}

export interface Wire {
	/** Sends the commands of each call in their order, those of all calls in one go. Answers each call; an answer may never come, but does not reject. */
	send(client: RedisClient, calls: readonly (readonly Command[])[]): Promise<readonly Reply[]>[]
	/** Calls `suspect` whenever a connection was made, or a key has another owner. Answers how to stop that. */
	watch(client: RedisClient, suspect: (concerns?: Concerns) => void): () => void
	/** Every server behind the client; undefined where the client is the way to one. */
	servers(client: RedisClient): readonly Server[] | undefined
}

/** A write counts as stored when this many replicas have it. */
export interface Replicas {
	/** 0: nobody is asked. */
	readonly count: number
	/** How long the server may wait for them. Whatever else was sent over the same connection waits too. */
	readonly timeoutMs: number
}

/** Commands in one pipeline at most: a longer one is cut, so that nobody else waits for all of it. */
const PIPELINE = 2_000

/** The client is the way to one server. */
export function singleWire(replicas: Replicas): Wire {
	return {
		send: (client, calls) => sendTogether(client, calls, replicas),
		watch(client, suspect) {
			const ready = () => {
				renewed(client)
				suspect()
			}
			client.on('ready', ready)
			return () => void client.off('ready', ready)
		},
		servers: () => undefined,
	}
}

/** Calls to one server, in as few pipelines as may be. */
export function sendTogether(client: RedisClient, calls: readonly (readonly Command[])[], replicas: Replicas): Promise<readonly Reply[]>[] {
	const answers: Promise<readonly Reply[]>[] = []
	for (let from = 0; from < calls.length; ) {
		let length = 0
		let to = from
		while (to < calls.length && (to === from || length + calls[to]!.length <= PIPELINE)) length += calls[to++]!.length
		const some = calls.slice(from, to)
		const all = execute(client, some.flat(), replicas)
		let at = 0
		for (const { length } of some) {
			const first = at
			at += length
			answers.push(all.then((replies) => replies.slice(first, first + length)))
		}
		from = to
	}
	return answers
}

async function execute(client: RedisClient, commands: readonly Command[], replicas: Replicas): Promise<readonly Reply[]> {
	const waits = replicas.count > 0 && commands.some(isWrite)
	const waiting = hangs(client)
	if (waiting !== undefined && (await waiting)) {
		const failure = new Failure(new Error('it does not answer what it was sent before'))
		return commands.map(() => failure)
	}
	const answered = sent(client)
	try {
		const pipeline = client.pipeline()
		for (const { name, args, binary } of commands) {
			if (binary === true) pipeline.callBuffer(name, args as Argument[])
			else pipeline.call(name, args as Argument[])
		}
		if (waits) pipeline.call('wait', [replicas.count, replicas.timeoutMs])
		const results = (await pipeline.exec()) ?? []
		const replies = commands.map((_, i): Reply => replyOf(results[i]))
		return waits ? onlyIfReplicated(commands, replies, [replyOf(results[commands.length])], replicas.count) : replies
	} catch (error) {
		const failure = new Failure(error)
		return commands.map(() => failure)
	} finally {
		answered()
	}
}

function replyOf(result: readonly [error: Error | null, reply: unknown] | undefined | null): Reply {
	if (result === undefined || result === null) return new Failure(new Error('the pipeline was not answered'))
	return result[0] === null ? result[1] : new Failure(result[0])
}

/** What was written counts for nothing unless each of the servers says that enough of its replicas have it: it is then sent again, and found there. */
export function onlyIfReplicated(
	commands: readonly Command[],
	replies: readonly Reply[],
	acknowledgements: readonly Reply[],
	count: number,
): readonly Reply[] {
	const short = acknowledgements.find((reply) => reply instanceof Failure || Number(reply) < count)
	if (short === undefined) return replies
	const what = short instanceof Failure ? short.message : `${short} of ${count} replicas have it`
	const failure = new Failure(new Error(`NOREPLICAS ${what}`))
	return replies.map((reply, i) => (reply instanceof Failure || !isWrite(commands[i]!) ? reply : failure))
}

const reads = new Set(
	'get hget hmget hscan sscan hgetall zscan zscore zmscore zrange zrangebyscore pfcount scard ping info config wait time script exists pttl type dump'.split(
		' ',
	),
)

/** A script is taken for one that writes, unless it says that it does not. */
export function isWrite({ name, script }: Command): boolean {
	return !reads.has(name) && script?.reads !== true
}
