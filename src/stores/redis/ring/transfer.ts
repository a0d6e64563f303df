/**
 * The keys of a partition: copied from one node to another, or removed from one. Both on condition of a record there, key by key.
 *
 * And both in one life of the server whose keys they are: their names are read page by page, and a server that was restarted (or a replica that has taken
 * over) has them in another order, so that a cursor of before skips some.
 */
import { StoreRefusedError } from '../../../errors.ts'
import { total } from '../../../time/granularity.ts'
import { lanes } from '../../store.ts'
import { type Command, command } from '../client.ts'
import { Failure } from '../failure.ts'
import { type InventoryItem, inventory } from '../inventory.ts'
import type { Keys } from '../keys.ts'
import { agreementField, identityField, parseAgreement, type StoredSettings } from '../meta.ts'
import { chunks } from '../visitor-form.ts'
import { askNode, tellNode } from './ask-node.ts'
import { runIdOf } from './durable.ts'
import type { Node } from './placement.ts'
import { REMOVED, RESTARTED, type Record, removeKeys, restoreKey } from './records.ts'

/** Sets in one answer, and visitors: sketches have 12 KB each, where they are many. */
const SETS = 8
const VISITORS = 200
/** What is in one answer takes so much memory at the server, or is one key; dumped, a sorted set takes a third of that. */
const BYTES = 4 * 2 ** 20
const NAMES = 500
/** Times that a removal is begun again, because the server was restarted. */
const LIVES = 5

export interface Transfer {
	readonly keys: Keys
	/** For small questions. */
	readonly timeoutMs: number
	/** For a few sets. */
	readonly copyTimeoutMs: number
	/** Called with keys and bytes that were copied. */
	readonly onCopied?: ((keys: number, bytes: number) => void) | undefined
}

/**
 * Copies everything of the partition, and what all partitions need, from `source` to `target`, as long as the target's record is `record`; answers false
 * when it is not, or the source was restarted meanwhile. Throws StoreRefusedError when the target answers that it will not take it.
 */
export async function copyPartition(source: Node, target: Node, partition: number, record: Record, transfer: Transfer): Promise<boolean> {
	const { keys, timeoutMs, copyTimeoutMs, onCopied } = transfer
	const life = await runIdOf(source, timeoutMs)
	const settings = await copyCommon(source, target, partition, transfer)
	if (settings === undefined) return true
	const own = keys.own(partition)
	/** The pages written last, while the next is read. */
	let writing: Promise<boolean> = Promise.resolve(true)
	try {
		for await (const items of pagesOf(source, partition, settings, keys, timeoutMs)) {
			// Sketches are small.
			const isSmall = items[0]?.kind === 'visitors' && settings.uniques === 'hyperloglog'
			for (const portion of isSmall ? [items] : await portionsOf(source, items, timeoutMs)) {
				const dumps = (await askNode(source, portion.map(dumpOf), copyTimeoutMs)) as readonly (Uint8Array | null)[]
				const commands: Command[] = []
				let bytes = 0
				for (const [i, { key, deadline }] of portion.entries()) {
					const dump = dumps[i]
					if (dump === null || dump === undefined) continue
					commands.push(restoreKey(own, record, key, deadline, dump))
					bytes += dump.length
				}
				if (!(await writing)) return false
				writing = write(target, commands, copyTimeoutMs).then((written) => {
					if (written) onCopied?.(commands.length, bytes)
					return written
				})
				// A failure is met when it is awaited, not before.
				writing.catch(() => {})
			}
		}
		return (await writing) && (await runIdOf(source, timeoutMs)) === life
	} catch (error) {
		await writing.catch(() => {})
		throw error
	}
}

/** Removes everything of the partition from a node, as long as its record is `record`; answers false when it is not. */
export async function removePartition(node: Node, partition: number, record: Record, { keys, timeoutMs }: Transfer): Promise<boolean> {
	for (let life = 1; life <= LIVES; life++) {
		const removed = await removeInOneLife(node, partition, record, keys, timeoutMs)
		if (removed !== RESTARTED) return removed === REMOVED
	}
	return false
}

async function removeInOneLife(node: Node, partition: number, record: Record, keys: Keys, timeoutMs: number): Promise<number> {
	const runId = await runIdOf(node, timeoutMs)
	const [stored] = await askNode(node, [command('hget', keys.meta, agreementField)], timeoutMs)
	const settings = await settingsOf(node, partition, stored, keys, timeoutMs)
	if (settings === undefined) return REMOVED
	for await (const items of pagesOf(node, partition, settings, keys, timeoutMs)) {
		const names = items.map(({ key }) => key)
		// A set may go only when all visitors that it tells of have gone, by names that were read in this life, and in this life.
		const commands = chunks(names, NAMES).map((some) => removeKeys(keys.own(partition), record, some, runId))
		const replies = await askNode(node, commands, timeoutMs)
		const other = replies.find((reply) => Number(reply) !== REMOVED)
		if (other !== undefined) return Number(other)
	}
	return REMOVED
}

/**
 * The settings of the namespace, as a node has them stored; undefined when it has none, and nothing of the partition. Throws StoreRefusedError when it has
 * something of which nobody can say what it is called: what cannot be found must not be taken for nothing.
 */
async function settingsOf(
	node: Node,
	partition: number,
	stored: unknown,
	keys: Keys,
	timeoutMs: number,
): Promise<StoredSettings | undefined> {
	const settings = parseAgreement(stored)
	if (settings !== undefined) return settings
	if (typeof stored === 'string')
		throw new StoreRefusedError(`${node.name} has settings at ${keys.meta} that cannot be read: they are of another version, or damaged`)
	const totals = await askNode(
		node,
		lanes.map((lane) => command('exists', keys.hits(partition, lane, total))),
		timeoutMs,
	)
	if (totals.every((count) => Number(count) === 0)) return undefined
	throw new StoreRefusedError(
		`${node.name} has numbers of partition ${partition}, and no settings at ${keys.meta}: the next counter that connects writes them`,
	)
}

/** What is not of a partition: the settings, and the writers, whose sequences come with the partition. */
async function copyCommon(
	source: Node,
	target: Node,
	partition: number,
	{ keys, timeoutMs }: Transfer,
): Promise<StoredSettings | undefined> {
	const fields = [agreementField, identityField]
	const values = await askNode(
		source,
		fields.map((field) => command('hget', keys.meta, field)),
		timeoutMs,
	)
	const settings = await settingsOf(source, partition, values[0], keys, timeoutMs)
	if (settings === undefined) return undefined
	const told = fields.flatMap((field, i) => (values[i] === null ? [] : [command('hsetnx', keys.meta, field, String(values[i]))]))
	await tellNode(target, told, timeoutMs)
	let cursor = '0'
	do {
		const [page] = await askNode(source, [command('zscan', keys.writers, cursor, 'COUNT', NAMES)], timeoutMs)
		const [next, flat] = page as [string, readonly string[]]
		cursor = String(next)
		const entries = flat.flatMap((member, i) => (i % 2 === 0 ? [String(flat[i + 1]), member] : []))
		if (entries.length > 0) await tellNode(target, [command('zadd', keys.writers, 'NX', ...entries)], timeoutMs)
	} while (cursor !== '0')
	return settings
}

async function* pagesOf(
	node: Node,
	partition: number,
	settings: StoredSettings,
	keys: Keys,
	timeoutMs: number,
): AsyncGenerator<readonly InventoryItem[], void, undefined> {
	const ask = (commands: readonly Command[]) => askNode(node, commands, timeoutMs)
	let sets: InventoryItem[] = []
	for await (const page of inventory(partition, keys, settings, Date.now(), ask)) {
		if (page[0]?.kind === 'visitors') {
			yield* chunks(page, VISITORS)
			continue
		}
		sets.push(...page)
		while (sets.length >= SETS) {
			yield sets.slice(0, SETS)
			sets = sets.slice(SETS)
		}
	}
	if (sets.length > 0) yield sets
}

/** The same, in portions that go in one answer each. Where a server does not tell sizes, in one. */
async function portionsOf({ link }: Node, items: readonly InventoryItem[], timeoutMs: number): Promise<InventoryItem[][]> {
	const sizes = await link.send(
		items.map(({ key }) => command('memory', 'USAGE', key)),
		timeoutMs,
	)
	const portions: InventoryItem[][] = []
	let left = 0
	for (const [i, item] of items.entries()) {
		const size = sizes[i] instanceof Failure ? 0 : Number(sizes[i])
		if (portions.length === 0 || size > left) {
			portions.push([])
			left = BYTES
		}
		portions.at(-1)!.push(item)
		left -= size
	}
	return portions
}

function dumpOf({ key }: InventoryItem): Command {
	return { name: 'dump', args: [key], binary: true }
}

async function write(target: Node, commands: readonly Command[], timeoutMs: number): Promise<boolean> {
	const replies = await tellNode(target, commands, timeoutMs)
	return replies.every((reply) => Number(reply) === 1)
}
