/** Commands that went to the wrong node of a cluster, and how they come to the right one. */
import type { Command } from '../client.ts'
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

/**
 * Sends each to the node that was named, and enters its reply, where the client has a connection to it. (It could search by itself, but what it sends then
 * ends the process with an unhandled rejection should that connection break.)
 */
export async function lead(client: ClusterClient, strayed: readonly Strayed[], replies: Reply[]): Promise<void> {
	const nodes = new Map(client.nodes('all').map((node) => [addressOf(node), node]))
	const byNode = new Map<ClusterNode, Strayed[]>()
	for (const each of strayed) {
		const node = nodes.get(mapped(client, each.to))
		if (node !== undefined && takes.has(node.status)) push(byNode, node, each)
	}
	await Promise.all([...byNode].map(([node, some]) => sendThere(node, some, replies)))
}

/** The address by which the client knows a node, of that by which the nodes do. */
function mapped({ options }: ClusterClient, address: string): string {
	const natMap = options?.natMap
	const other = typeof natMap === 'function' ? natMap(address) : natMap?.[address]
	return other === undefined || other === null ? address : `${other.host}:${other.port}`
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

export function push<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
	const list = lists.get(key)
	if (list === undefined) lists.set(key, [value])
	else list.push(value)
}
