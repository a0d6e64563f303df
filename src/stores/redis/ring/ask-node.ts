import { StoreRefusedError } from '../../../errors.ts'
import type { Command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Reply } from '../link.ts'
import type { Node } from './placement.ts'

/** Sends commands to a node, and throws the error of the first that failed: StoreUnavailableError, naming the node, when there was no answer. */
export async function askNode({ name, link }: Node, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
	const replies = await link.send(commands, timeoutMs)
	for (const reply of replies) if (reply instanceof Failure) throw reply.toError(name)
	return replies
}

/** What a server says of the moment, or of itself for a while. */
const momentary = /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/

/** The same, for what a node may be unwilling to take (it is full, or too old to read it): throws StoreRefusedError when it said so. */
export async function tellNode({ name, link }: Node, commands: readonly Command[], timeoutMs: number): Promise<readonly Reply[]> {
	const replies = await link.send(commands, timeoutMs)
	for (const reply of replies) {
		if (!(reply instanceof Failure)) continue
		const { cause, message } = reply
		const answered = cause instanceof Error && cause.name === 'ReplyError'
		if (!answered || momentary.test(message)) throw reply.toError(name)
		throw new StoreRefusedError(`${name} does not take what is moved to it: ${message}`, { cause })
	}
	return replies
}
