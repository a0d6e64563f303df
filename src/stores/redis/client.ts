/**
 * What is asked of a Redis client: a pipeline, its state and its events. ioredis 5 and 6 have it, and so have iovalkey and the Cluster of each.
 * Nothing else is relied upon; least of all that a promise of the client settles, or that a command is sent once.
 */

import type { Script } from './scripts.ts'

/** An argument of a command. Texts go as UTF-8. */
export type Argument = string | number | Uint8Array

export interface RedisPipeline {
	call(command: string, args: (string | number | Uint8Array)[]): unknown
	callBuffer(command: string, args: (string | number | Uint8Array)[]): unknown
	exec(): Promise<readonly (readonly [error: Error | null, reply: unknown])[] | null>
}

export interface RedisClient {
	/** 'ready' when commands go out at once. A client that does not tell is taken for ready. */
	readonly status?: string
	pipeline(): RedisPipeline
	/** For a client that waits to be told to connect. */
	connect?(): Promise<unknown>
	on(event: string, listener: () => void): unknown
	off(event: string, listener: () => void): unknown
}

/** One command. */
export interface Command {
	readonly name: string
	readonly args: readonly Argument[]
	/** Its reply is bytes, not text. */
	readonly binary?: true
	/** The script that an EVALSHA runs. */
	readonly script?: Script
}

/** In lower case, as ioredis looks commands up when it has to find the keys. */
export function command(name: string, ...args: readonly Argument[]): Command {
	return { name, args }
}
