/** Where every partition is, by the records of all nodes that answer, and what earlier moves have left undone. */
import { MismatchError } from '../../../errors.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import { totalsOf } from '../inventory.ts'
import type { Keys } from '../keys.ts'
import { readOwns } from './ensure-placement.ts'
import type { MoveTask } from './move.ts'
import type { Own } from './own.ts'
import type { Node, Owner, Placement } from './placement.ts'

/** What a node has of a partition that has gone on without it. */
export interface Leftover {
	readonly partition: number
	readonly node: string
	readonly own: Own
	/** Who has the partition. */
	readonly owner: string
}

export interface Survey {
	/** Moves that were begun, with the source sealed (or lost). */
	readonly begun: readonly MoveTask[]
	/** Who owns each partition, or will when what was begun is finished: by the records, and where the owner does not answer by the placement. */
	readonly owners: readonly Owner[]
	/** To be removed. */
	readonly leftovers: readonly Leftover[]
	readonly unreachable: ReadonlySet<string>
}

/** Read at one moment or another: a partition that was on its way may be seen at two nodes. */
const LOOKS = 3

/** Throws MismatchError when two nodes own one partition, or one has it of another ring. */
export async function survey(nodes: ReadonlyMap<string, Node>, keys: Keys, placement: Placement, timeoutMs: number): Promise<Survey> {
	for (let looks = 1; ; looks++) {
		try {
			return await look(nodes, keys, placement, timeoutMs)
		} catch (error) {
			if (looks === LOOKS || !(error instanceof MismatchError)) throw error
		}
	}
}

async function look(nodes: ReadonlyMap<string, Node>, keys: Keys, placement: Placement, timeoutMs: number): Promise<Survey> {
	const partitions = [...placement.owners.keys()]
	const names = [...nodes.keys()]
	const records = await Promise.all([...nodes.values()].map((node) => readOwns(node, keys, partitions, timeoutMs)))
	const unreachable = new Set(names.filter((_, i) => records[i] === undefined))
	const begun: MoveTask[] = []
	const stale: Leftover[] = []
	const owners = placement.owners.map((placed, partition): Owner => {
		const theirs = names.flatMap((node, i) => {
			const own = records[i]?.[partition]
			return own === undefined ? [] : [{ node, own }]
		})
		const active = theirs.filter(({ own }) => own.state === 'active')
		const stranger = active.find(({ own }) => own.state === 'active' && own.ring !== placement.id)
		if (stranger !== undefined)
			throw new MismatchError(`Partition ${partition} is on record at ${stranger.node} as one of another ring than ${placement.id}`)
		if (active.length > 1) throw new MismatchError(`Partition ${partition} has two owners: ${active.map(({ node }) => node).join(' and ')}`)
		const owner = active[0]
		const latest = Math.max(placed.epoch, owner?.own.epoch ?? 0)
		let next: Owner = owner === undefined ? placed : { node: owner.node, epoch: owner.own.epoch }
		for (const { node, own } of theirs) {
			// Sealed with the epoch of the owner: the move has come as far as the activation, and may yet be rolled back.
			const isBegun =
				own.state === 'sealed' && (owner === undefined ? own.epoch >= latest : own.epoch === owner.own.epoch && own.target === owner.node)
			if (isBegun && own.state === 'sealed') {
				begun.push({ partition, from: node, to: own.target, epoch: own.epoch })
				next = { node: own.target, epoch: own.epoch }
			} else if (own.state !== 'active' && owner !== undefined && own.epoch <= owner.own.epoch)
				stale.push({ partition, node, own, owner: owner.node })
		}
		// A source that has lost everything: its target cannot go on.
		const importing = theirs.find(({ own }) => own.state === 'importing' && own.epoch > latest)
		if (owner === undefined && next === placed && importing !== undefined && !theirs.some(({ node }) => node === placed.node))
			begun.push({ partition, from: placed.node, to: importing.node, epoch: importing.own.epoch })
		return next
	})
	return { begun, owners, leftovers: await withKeys(stale, nodes, keys, timeoutMs), unreachable }
}

/** Those that are worth being removed: a record of a partition that is gone stays for ever, and tells the way. */
async function withKeys(
	stale: readonly Leftover[],
	nodes: ReadonlyMap<string, Node>,
	keys: Keys,
	timeoutMs: number,
): Promise<readonly Leftover[]> {
	const found = await Promise.all(
		[...nodes].map(async ([name, { link }]) => {
			const theirs = stale.filter(({ node }) => node === name)
			const replies = await link.send(
				theirs.map(({ partition }) => command('exists', ...totalsOf(partition, keys))),
				timeoutMs,
			)
			return theirs.filter(({ own }, i) => own.state !== 'gone' || (!(replies[i] instanceof Failure) && Number(replies[i]) > 0))
		}),
	)
	return found.flat()
}
