/**
 * The published placement: where to look for a partition. Each node has a copy, the hash `ns:placement`:
 *
 *     <partition>   <epoch>:<name of the node>
 *     nodes         <version>:<JSON of {id, nodes: [{name, weight, address}]}>
 *
 * A copy only ever goes up: a field is replaced by one of a higher number. So copies that differ are merged by the highest, publishing can be repeated
 * by anybody at any time, and one that comes late changes nothing. A copy may be old; who owns a partition is what its nodes have on record (own.ts).
 *
 * The first one is made in ensure-placement.ts, and gives the ring its `id`.
 */
import { systemClock, type Timer } from '../../../clock.ts'
import { MismatchError } from '../../../errors.ts'
import { type Command, command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Keys } from '../keys.ts'
import type { Link, Reply } from '../link.ts'

/** A node that can be talked to. */
export interface Node {
	/** What the placement calls it. */
	readonly name: string
	readonly link: Link
}

/** A node as the placement has it. */
export interface PlacedNode {
	readonly name: string
	readonly weight: number
	/** A url without user and password; undefined where only clients were given. */
	readonly address?: string | undefined
}

export interface Owner {
	readonly node: string
	readonly epoch: number
}

export interface Placement {
	readonly id: string
	/** Of `nodes`: higher is newer. */
	readonly version: number
	readonly nodes: readonly PlacedNode[]
	/** By partition. */
	readonly owners: readonly Owner[]
}

/** What the nodes say, those that answered. */
export interface PlacementReading {
	/** The newest of everything; undefined when no node has any. */
	readonly placement: Placement | undefined
	readonly answered: readonly Node[]
	readonly failed: readonly { readonly node: Node; readonly failure: Failure }[]
	/** Nodes whose copy lacks something of `placement`. */
	readonly behind: readonly Node[]
}

const NODES = 'nodes'

/** Replaces those fields of KEYS[1] whose number is lower: ARGV has fields and values. Answers how many. */
const raise = `
local write = {}
for i = 1, #ARGV, 2 do
	local old = tonumber(string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+') or 0)
	if old < tonumber(string.match(ARGV[i + 1], '^%d+')) then
		write[#write + 1] = ARGV[i]
		write[#write + 1] = ARGV[i + 1]
	end
end
if #write > 0 then redis.call('HSET', KEYS[1], unpack(write)) end
return #write / 2`

export interface Patience {
	/** How long the others are waited for when one node has answered that knows the placement. Those that are late then count as failed. @default for ever */
	readonly patienceMs?: number | undefined
	/** Called with each node that answers, at that moment. */
	readonly onAnswer?: ((node: Node) => void) | undefined
}

/** Reads and merges the copies of all nodes that answer. Throws MismatchError when two of them are of different rings. */
export async function readPlacement(
	nodes: readonly Node[],
	keys: Keys,
	timeoutMs: number,
	{ patienceMs, onAnswer }: Patience = {},
): Promise<PlacementReading> {
	const asked = nodes.map(async (node) => {
		const [reply] = await node.link.send([command('hgetall', keys.placement)], timeoutMs)
		if (!(reply instanceof Failure)) onAnswer?.(node)
		return reply
	})
	const knows = (reply: Reply) => !(reply instanceof Failure) && fieldsOf(reply).has(NODES)
	const replies = await (patienceMs === undefined ? Promise.all(asked) : inTime(asked, knows, patienceMs))
	const answered: Node[] = []
	const failed: { node: Node; failure: Failure }[] = []
	const copies: { node: Node; copy: ReadonlyMap<string, string> }[] = []
	nodes.forEach((node, i) => {
		const reply = replies[i]
		if (reply instanceof Failure) {
			failed.push({ node, failure: reply })
			return
		}
		answered.push(node)
		copies.push({ node, copy: fieldsOf(reply) })
	})
	const newest = new Map<string, string>()
	for (const { copy } of copies) {
		for (const [field, value] of copy) if (numberOf(value) > numberOf(newest.get(field))) newest.set(field, value)
	}
	checkIds(copies)
	const behind = copies
		.filter(({ copy }) => [...newest].some(([field, value]) => numberOf(copy.get(field)) < numberOf(value)))
		.map(({ node }) => node)
	return { placement: parsePlacement(newest), answered, failed, behind }
}

/** What has been answered when all have, or `patienceMs` after the first that is good. */
function inTime(asked: readonly Promise<Reply>[], isGood: (reply: Reply) => boolean, patienceMs: number): Promise<Reply[]> {
	return new Promise((resolve) => {
		const replies: Reply[] = asked.map(() => late)
		let left = asked.length
		let timer: Timer | undefined
		for (const [i, each] of asked.entries()) {
			void each.then((reply) => {
				replies[i] = reply
				left--
				if (left === 0) {
					timer?.cancel()
					resolve(replies)
				} else if (isGood(reply)) timer ??= systemClock.setTimer(() => resolve([...replies]), patienceMs)
			})
		}
	})
}

const late = new Failure(new Error('it takes longer than others'))

/** What is to be raised. */
export interface Publication {
	readonly id: string
	readonly version: number
	readonly nodes: readonly PlacedNode[]
	/** By partition; those left out are not published. */
	readonly owners: readonly (Owner | undefined)[]
}

/** Raises the copies of `nodes`, and answers which of them did not answer. */
export async function publish(
	nodes: readonly Node[],
	keys: Keys,
	{ id, version, nodes: members, owners }: Publication,
	timeoutMs: number,
): Promise<Failed[]> {
	const fields = [NODES, `${version}:${JSON.stringify({ id, nodes: members })}`]
	owners.forEach((owner, partition) => {
		if (owner !== undefined) fields.push(String(partition), entryOf(owner))
	})
	return raiseAll(nodes, keys, fields, timeoutMs)
}

/** Raises the owner of one partition. */
export async function publishOwner(
	nodes: readonly Node[],
	keys: Keys,
	partition: number,
	owner: Owner,
	timeoutMs: number,
): Promise<Failed[]> {
	return raiseAll(nodes, keys, [String(partition), entryOf(owner)], timeoutMs)
}

export interface Failed {
	readonly node: Node
	readonly failure: Failure
}

async function raiseAll(nodes: readonly Node[], keys: Keys, fields: readonly string[], timeoutMs: number): Promise<Failed[]> {
	// EVAL, not EVALSHA: it is rare, and needs nobody to have loaded it.
	const raised: Command = command('eval', raise, 1, keys.placement, ...fields)
	const replies = await Promise.all(nodes.map(({ link }) => link.send([raised], timeoutMs)))
	return nodes.flatMap((node, i) => {
		const reply = replies[i]![0]
		return reply instanceof Failure ? [{ node, failure: reply }] : []
	})
}

function fieldsOf(reply: unknown): Map<string, string> {
	if (!Array.isArray(reply)) return new Map(Object.entries(Object(reply) as Record<string, string>))
	return new Map(Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), String(reply[2 * i + 1])]))
}

function entryOf({ node, epoch }: Owner): string {
	return `${epoch}:${node}`
}

/** The number that a value begins with; 0 for none. */
function numberOf(value: string | undefined): number {
	return Number(/^\d+/.exec(value ?? '')?.[0] ?? 0)
}

function restOf(value: string): string {
	return value.slice(value.indexOf(':') + 1)
}

function idOf(copy: ReadonlyMap<string, string>): string | undefined {
	const value = copy.get(NODES)
	return value === undefined ? undefined : membersOf(value).id
}

function membersOf(value: string): { id: string; nodes: readonly PlacedNode[] } {
	try {
		const { id, nodes } = JSON.parse(restOf(value)) as { id: string; nodes: readonly PlacedNode[] }
		if (typeof id === 'string' && Array.isArray(nodes)) return { id, nodes }
	} catch {}
	throw new MismatchError(`The placement was not written by tallymark: ${value.slice(0, 80)}`)
}

function checkIds(copies: readonly { node: Node; copy: ReadonlyMap<string, string> }[]): void {
	let first: { node: Node; id: string } | undefined
	for (const { node, copy } of copies) {
		const id = idOf(copy)
		if (id === undefined) continue
		first ??= { node, id }
		if (id !== first.id) {
			throw new MismatchError(
				`Nodes of one ring must have one placement: ${first.node.name} is of the ring ${first.id}, and ${node.name} of the ring ${id}`,
			)
		}
	}
}

function parsePlacement(fields: ReadonlyMap<string, string>): Placement | undefined {
	const nodes = fields.get(NODES)
	if (nodes === undefined) return undefined
	const owners = Array.from({ length: fields.size - 1 }, (_, partition): Owner => {
		const value = fields.get(String(partition))
		if (value === undefined) throw new MismatchError(`The placement names no owner of partition ${partition} of ${fields.size - 1}`)
		return { node: restOf(value), epoch: numberOf(value) }
	})
	return { ...membersOf(nodes), version: numberOf(nodes), owners }
}
