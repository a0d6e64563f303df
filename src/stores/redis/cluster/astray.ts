/** Commands that went to the wrong node of a cluster, and how they come to the right one. */
import type { Argument, Command } from '../client.ts'
import { Failure } from '../failure.ts'
import { type Reply, sendTogether } from '../wire.ts'
import { addressOf, type ClusterClient, type ClusterNode } from './cluster-client.ts'

/** States of a node in which commands go out, now or when the connection that is being made is there. */
export const takes = new Set<string | undefined>(['ready', 'wait', 'connecting', 'connect'])

/** A command that was answered by the wrong node. */
export interface Strayed {
	readonly place: number
	readonly command: Command
	readonly asks: boolean
	/** The address of the right one; '' where it is not told. */
	readonly to: string
}

export function strayedOf(commands: readonly Command[], replies: readonly Reply[]): Strayed[] {
	return commands.flatMap((command, place) => {
		const reply = replies[place]
		const word = reply instanceof Failure ? /^(MOVED|ASK|TRYAGAIN)\b(?: \d+ (\S+))?/.exec(reply.message) : null
		return word === null ? [] : [{ place, command, asks: word[1] === 'ASK', to: word[2] ?? '' }]
	})
}

/** Sends each to the node that was named, as far as there is a connection to it, and enters its reply. */
export async function lead(client: ClusterClient, strayed: readonly Strayed[], replies: Reply[]): Promise<void> {
	const nodes = new Map(client.nodes('all').map((node) => [addressOf(node), node]))
	const byNode = new Map<ClusterNode | undefined, Strayed[]>()
	for (const each of strayed) {
		const named = nodes.get(each.to)
		const node = named !== undefined && takes.has(named.status) ? named : undefined
		push(byNode, node, each)
	}
	await Promise.all(
		[...byNode].map(([node, some]) => (node === undefined ? findWay(client, some, replies) : sendThere(node, some, replies))),
	)
}

/** To the node that was named. */
async function sendThere(node: ClusterNode, strayed: readonly Strayed[], replies: Reply[]): Promise<void> {
	const commands = strayed.flatMap(({ command, asks }) => (asks ? [asking, command] : [command]))
	const [answers = []] = await Promise.all(sendTogether(node, [commands], { count: 0, timeoutMs: 0 }))
	let at = 0
	for (const { place, asks } of strayed) {
		if (asks) at++
		replies[place] = answers[at++]
	}
}

const asking: Command = { name: 'asking', args: [] }

/**
 * By the client's own search: a node that it was not connected to before, or under another address. Not where it reads from replicas: they do not know
 * that a slot is being moved.
 */
async function findWay(client: ClusterClient, strayed: readonly Strayed[], replies: Reply[]): Promise<void> {
	const { scaleReads, enableAutoPipelining } = client.options ?? {}
	if (scaleReads !== undefined && scaleReads !== 'master') return
	const find = async ({ place, command: { name, args, binary } }: Strayed) => {
		try {
			replies[place] = await (binary === true ? client.callBuffer(name, args as Argument[]) : client.call(name, args as Argument[]))
		} catch (error) {
			replies[place] = new Failure(error)
		}
	}
	if (enableAutoPipelining !== true) await Promise.all(strayed.map(find))
	// At the same time they would be a pipeline again.
	else for (const each of strayed) await find(each)
}

export function push<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
	const list = lists.get(key)
	if (list === undefined) lists.set(key, [value])
	else list.push(value)
}
