/**
 * The first placement is the ring's, published before any node owns anything. Its `id` follows from what it was made of, so that all processes of a
 * site may make it at the same time, and those that were configured otherwise find out: two ids can never be one ring.
 */
import { MismatchError, StoreUnavailableError } from '../../../errors.ts'
import { hashed, hashText } from '../../../hash/murmur64.ts'
import { Ring, type RingNode } from '../../../hash/ring.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Keys } from '../keys.ts'
import { formatOwn, type Own, parseOwn } from './own.ts'
import { type Node, type Patience, type PlacedNode, type Placement, type PlacementReading, publish, readPlacement } from './placement.ts'

/**
 * The placement, made if there is none, with an owner on record for every partition that has none; and every node that answers knows it. `ring` and
 * `members` are used only to make it. Throws StoreUnavailableError when there is none on the nodes that answer and others do not answer: they may
 * have it.
 */
export async function ensurePlacement(
	nodes: readonly Node[],
	keys: Keys,
	partitions: number,
	members: readonly PlacedNode[],
	timeoutMs: number,
	patience: Patience = {},
): Promise<PlacementReading & { readonly placement: Placement }> {
	let reading = await readPlacement(nodes, keys, timeoutMs, patience)
	if (reading.placement === undefined) {
		const [first] = reading.failed
		if (first !== undefined) {
			throw new StoreUnavailableError(
				`No node that answers knows where the partitions are, and ${first.node.name} does not answer: ${first.failure.message}`,
				{ cause: first.failure.cause },
			)
		}
		// Before any node owns anything: whoever finds another one published meanwhile has changed nothing.
		await publish(nodes, keys, firstPlacement(partitions, members), timeoutMs)
		reading = await readPlacement(nodes, keys, timeoutMs, patience)
	}
	const { placement } = reading
	if (placement === undefined) throw new StoreUnavailableError('The nodes do not keep the placement that is published to them')
	if (placement.owners.length !== partitions) {
		throw new MismatchError(`The ring has \`partitions\` ${placement.owners.length}, and this store has ${partitions}`)
	}
	if (reading.behind.length > 0) await publish(reading.behind, keys, placement, timeoutMs)
	await restoreOwners(nodes, reading.answered, keys, placement, timeoutMs)
	return { ...reading, placement }
}

/** The fair one, when nothing is stored yet. */
export function firstPlacement(partitions: number, members: readonly PlacedNode[]): Placement {
	const nodes = [...members].sort((a, b) => (a.name < b.name ? -1 : 1))
	const ring = new Ring(nodes.map(({ name, weight }): RingNode => ({ name, weight })))
	hashText(JSON.stringify([partitions, nodes.map(({ name, weight }) => [name, weight])]))
	const id = [hashed[1]!, hashed[0]!].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')
	return { id, version: 1, nodes, owners: ring.place(partitions).map((node) => ({ node, epoch: 1 })) }
}

/**
 * Puts a record where the placement names an owner and that one has none: it was just placed there, or the node has lost everything. Only when every
 * node of the placement answers and none has a newer record of the partition, for one that does not answer may be the owner by now. Answers the
 * partitions.
 */
export async function restoreOwners(
	nodes: readonly Node[],
	answered: readonly Node[],
	keys: Keys,
	placement: Placement,
	timeoutMs: number,
): Promise<number[]> {
	const byName = new Map(nodes.map((node) => [node.name, node]))
	const theirs = new Map<string, number[]>()
	placement.owners.forEach(({ node }, partition) => {
		theirs.set(node, [...(theirs.get(node) ?? []), partition])
	})
	const missing: number[] = []
	await Promise.all(
		[...theirs].map(async ([name, partitions]) => {
			const node = byName.get(name)
			if (node === undefined || !answered.includes(node)) return
			const records = await readOwns(node, keys, partitions, timeoutMs)
			partitions.forEach((partition, i) => {
				if (records?.[i] === undefined) missing.push(partition)
			})
		}),
	)
	if (missing.length === 0) return []
	const restored: number[] = []
	const all = placement.nodes.map(({ name }) => answered.find((node) => node.name === name))
	if (all.includes(undefined)) return []
	const records = await Promise.all(answered.map((node) => readOwns(node, keys, missing, timeoutMs)))
	if (records.includes(undefined)) return []
	await Promise.all(
		missing.map(async (partition, i) => {
			const { node, epoch } = placement.owners[partition]!
			if (records.some((theirs) => (theirs![i]?.epoch ?? 0) > epoch)) return
			const own: Own = { state: 'active', epoch, ring: placement.id }
			const [reply] = await byName.get(node)!.link.send([command('set', keys.own(partition), formatOwn(own), 'NX')], timeoutMs)
			if (!(reply instanceof Failure) && reply !== null) restored.push(partition)
		}),
	)
	return restored
}

/** The records that a node has of partitions; undefined when it does not answer. */
export async function readOwns(
	{ link }: Node,
	keys: Keys,
	partitions: readonly number[],
	timeoutMs: number,
): Promise<(Own | undefined)[] | undefined> {
	const replies = await link.send(
		partitions.map((partition) => command('get', keys.own(partition))),
		timeoutMs,
	)
	return replies.some((reply) => reply instanceof Failure) ? undefined : replies.map(parseOwn)
}
