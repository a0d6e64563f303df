/**
 * Moves one partition from S to T, while it is being counted, in steps that any number of coordinators may take at the same time, each of which may be
 * cut short, repeated, or delayed for as long as it likes. A step compares what a node has on record (own.ts) and changes it, or does nothing. Whoever
 * finds something unexpected looks again, and what another one has done is not done again.
 *
 *     prepare           T: not active, before e     -> removes what it had of the partition, then importing e
 *     seal              S: active before e          -> sealed e: nobody writes from here on
 *     awaitSeal         S                           the seal can no longer be rolled back
 *     copy              S -> T, importing e         every key, with its deadline
 *     activate          T: importing e              -> active e: writers go on
 *     awaitActivation   T                           it can no longer be rolled back
 *     publish           everywhere                  where the partition is, if newer
 *     tombstone         S: sealed e                 -> gone e
 *     remove            S, gone e                   its copy
 *
 * To give a move up takes e + 1: the target must refuse for good before the source opens again.
 *
 *     abortTarget       T: not active, up to e      -> gone e + 1, wait until that is durable
 *     abortSource       S: sealed e, active before  -> active e + 1, wait until that is durable, publish
 *                       (or absent)
 *
 * Rules that are easy to miss (test/model explores the protocol, and needs each of them):
 * - Copying and activating are one life of the target's server. Had it been restarted in between, it may have lost some of the copy and still be
 *   importing; so activating compares the run_id from before the copy.
 * - The copy is read in one life of the source's server (transfer.ts): what it has does not change by a restart, once the seal is durable, but it is found
 *   by cursors, which do not outlive it.
 * - What the target has of the partition is removed before it imports: the copy must not be joined by keys of an earlier stay. That may be the only copy
 *   as long as the source's activation could be rolled back, so the source is waited for first. And the removal must not be rolled back alone: it and the
 *   record that follows are one life of the target's server.
 * - An importing, or sealed, record of an older move is no obstacle: that move is over, and its last step was rolled back.
 * - A source that is found open again is waited for, as if this coordinator had opened it.
 * - A source that has lost everything has the partition still, empty, when nobody else can have got it: so that move is given up too.
 */
import { isTallymarkError, StoreUnavailableError } from '../../../errors.ts'
import type { Move } from '../../../hash/placement-plan.ts'
import { type Durability, isDurable, runIdOf } from './durable.ts'
import type { Own } from './own.ts'
import { type Node, type Owner, publishOwner } from './placement.ts'
import { changeRecord, type Record, readRecord, recordOf } from './records.ts'
import { copyPartition, removePartition, type Transfer } from './transfer.ts'

export type MoveStep =
	| 'prepare'
	| 'seal'
	| 'awaitSeal'
	| 'copy'
	| 'activate'
	| 'awaitActivation'
	| 'publish'
	| 'tombstone'
	| 'remove'
	| 'abortTarget'
	| 'abortSource'

export interface MoveTask extends Move {
	/** Even; see `nextEpoch`. */
	readonly epoch: number
}

export interface MoveContext extends Durability, Transfer {
	readonly timeoutMs: number
	/** The `id` of the placement. */
	readonly ring: string
	/** By name; all that the placement is to be published to. */
	readonly nodes: ReadonlyMap<string, Node>
	/** Every node of the ring has answered: nobody else owns what these do not own. */
	readonly isComplete: boolean
	/** Before the seal, a move stops; after it, it is brought to its end. */
	readonly signal?: { readonly aborted: boolean } | undefined
	/** Called before each step, which waits for it. */
	readonly onStep?: ((step: MoveStep, task: MoveTask) => void | Promise<void>) | undefined
	/** Called with how long nobody could write, milliseconds. */
	readonly onHeld?: ((ms: number) => void) | undefined
}

/** `over`: others have brought it to an end, one way or the other. `stopped`: by the signal, before anything was sealed. */
export type MoveOutcome = 'moved' | 'aborted' | 'over' | 'stopped'

/** Times that a move is begun again, because nodes went back in time, or others were at it. */
const ROUNDS = 50
/** Between attempts to write a record to a node that is full. */
const ROOM_MS = 100

/**
 * Rejects with StoreUnavailableError when a node does not answer: the same call later goes on from there. Rejects with StoreRefusedError when the target
 * does not take the copy: the move is given up then, and the source open again.
 */
export async function movePartition(task: MoveTask, context: MoveContext): Promise<MoveOutcome> {
	const source = nodeOf(task.from, task, context)
	const target = nodeOf(task.to, task, context)
	const mover = new Mover(task, source, target, context)
	for (let round = 0; round < ROUNDS; round++) {
		const outcome = await mover.run()
		if (outcome !== 'again') return outcome
	}
	throw new StoreUnavailableError(`Partition ${task.partition} does not get from ${task.from} to ${task.to}: their records keep changing`)
}

type Attempt = MoveOutcome | 'again'

class Mover {
	readonly #task: MoveTask
	readonly #source: Node
	readonly #target: Node
	readonly #context: MoveContext
	readonly #importing: Record
	readonly #active: Record
	readonly #sealed: Record
	readonly #gone: Record
	/** The target's, when the move is given up, and the source's. */
	readonly #refusing: Record
	readonly #reopened: Record
	/** When this coordinator sealed the source. */
	#sealedAt: number | undefined

	constructor(task: MoveTask, source: Node, target: Node, context: MoveContext) {
		const { epoch, from, to } = task
		const { ring } = context
		this.#task = task
		this.#source = source
		this.#target = target
		this.#context = context
		this.#importing = recordOf({ state: 'importing', epoch })
		this.#active = recordOf({ state: 'active', epoch, ring })
		this.#sealed = recordOf({ state: 'sealed', epoch, target: to })
		this.#gone = recordOf({ state: 'gone', epoch, target: to })
		this.#refusing = recordOf({ state: 'gone', epoch: epoch + 1, target: from })
		this.#reopened = recordOf({ state: 'active', epoch: epoch + 1, ring })
	}

	/** Once from wherever the move is. */
	async run(): Promise<Attempt> {
		const theirs = await this.#read(this.#target)
		if (theirs.text === this.#active.text) return this.#finish()
		if (theirs.text === this.#refusing.text) return this.#reopen()
		if (theirs.text !== this.#importing.text) {
			if (!canImport(theirs.own, this.#task.epoch)) return 'over'
			const prepared = await this.#prepare(theirs)
			if (prepared !== 'done') return prepared
		}
		return this.#carry()
	}

	async #prepare(theirs: Record): Promise<Attempt | 'done'> {
		await this.#step('prepare')
		const { partition, epoch } = this.#task
		const ours = await this.#read(this.#source)
		if (ours.text === this.#reopened.text) return this.#reopen()
		if (isActiveBefore(ours.own, epoch)) {
			if (this.#context.signal?.aborted === true) return 'stopped'
			if (!(await this.#lasts(this.#source, ours))) return 'again'
		} else if (ours.own === undefined) return this.#restore()
		else if (ours.text !== this.#sealed.text) return 'over'
		// Otherwise a copy that comes late, of the move it was importing for, would join this one.
		if (theirs.own?.state === 'importing') {
			const closed = recordOf({ state: 'gone', epoch: theirs.own.epoch, target: this.#task.from })
			await this.#change(this.#target, theirs, closed)
			return 'again'
		}
		const runId = await runIdOf(this.#target, this.#context.timeoutMs)
		if (!(await removePartition(this.#target, partition, theirs, this.#context))) return 'again'
		return (await this.#change(this.#target, theirs, this.#importing, runId)) ? 'done' : 'again'
	}

	/** The target is importing. */
	async #carry(): Promise<Attempt> {
		const { partition, epoch } = this.#task
		const ours = await this.#read(this.#source)
		if (isActiveBefore(ours.own, epoch)) {
			if (this.#context.signal?.aborted === true) return 'stopped'
			await this.#step('seal')
			if (!(await this.#change(this.#source, ours, this.#sealed))) return 'again'
			this.#sealedAt = performance.now()
		} else if (ours.text === this.#reopened.text) return this.#reopen()
		else if (ours.own === undefined) return this.#restore()
		else if (ours.text !== this.#sealed.text) return 'over'

		await this.#step('awaitSeal')
		if (!(await this.#lasts(this.#source, this.#sealed))) return 'again'
		try {
			const runId = await runIdOf(this.#target, this.#context.timeoutMs)
			await this.#step('copy')
			if (!(await copyPartition(this.#source, this.#target, partition, this.#importing, this.#context))) return 'again'
			if ((await this.#read(this.#source)).text !== this.#sealed.text) return 'again'
			await this.#step('activate')
			if (!(await this.#change(this.#target, this.#importing, this.#active, runId))) return 'again'
		} catch (error) {
			if (isRefusal(error)) await this.#giveUp()
			throw error
		}
		if (this.#sealedAt !== undefined) this.#context.onHeld?.(performance.now() - this.#sealedAt)
		this.#sealedAt = undefined
		return this.#finish()
	}

	/** The target is active. */
	async #finish(): Promise<Attempt> {
		const { partition, epoch, to } = this.#task
		await this.#step('awaitActivation')
		if (!(await this.#lasts(this.#target, this.#active))) return 'again'
		await this.#step('publish')
		await this.#publish({ node: to, epoch })
		await this.#step('tombstone')
		const buried = await this.#change(this.#source, this.#sealed, this.#gone)
		if (!buried && (await this.#read(this.#source)).text !== this.#gone.text) return 'over'
		await this.#step('remove')
		await removePartition(this.#source, partition, this.#gone, this.#context)
		return 'moved'
	}

	/** The source has lost everything. */
	async #restore(): Promise<Attempt> {
		const { from, partition } = this.#task
		if (this.#context.isComplete) return this.#giveUp()
		throw new StoreUnavailableError(`${from} has lost partition ${partition}, and not every node answers that may have got it meanwhile`)
	}

	/** The target does not take the copy, or the source has lost everything. Throws when the target does not even take the record that says so. */
	async #giveUp(): Promise<Attempt> {
		const nothing = recordOf(undefined)
		for (let round = 0; ; round++) {
			await this.#step('abortTarget')
			const theirs = await this.#read(this.#target)
			if (theirs.text === this.#refusing.text) {
				const outcome = await this.#reopen()
				if (outcome !== 'again' || round >= ROUNDS) return outcome
			} else if (theirs.text === this.#importing.text) {
				// A target that is full takes no record before it has room: without one it refuses too.
				if (await this.#change(this.#target, theirs, nothing))
					await removePartition(this.#target, this.#task.partition, nothing, this.#context)
			} else if (canImport(theirs.own, this.#task.epoch)) {
				try {
					await this.#change(this.#target, theirs, this.#refusing)
				} catch (error) {
					if (!isRefusal(error) || round >= ROUNDS) throw error
					// Room is made in the background.
					await new Promise((resolve) => setTimeout(resolve, ROOM_MS))
				}
			} else return 'again'
		}
	}

	/** The target refuses, or the source is open again already. */
	async #reopen(): Promise<Attempt> {
		const { epoch, from } = this.#task
		let ours = await this.#read(this.#source)
		if (ours.text !== this.#reopened.text) {
			if (!(await this.#lasts(this.#target, this.#refusing))) return 'again'
			await this.#step('abortSource')
			ours = await this.#read(this.#source)
			const isOurs = ours.text === this.#sealed.text || ours.own === undefined || isActiveBefore(ours.own, epoch)
			if (isOurs && !(await this.#change(this.#source, ours, this.#reopened))) return 'again'
			if (!isOurs && ours.text !== this.#reopened.text) return 'over'
		}
		if (!(await this.#lasts(this.#source, this.#reopened))) return 'again'
		await this.#publish({ node: from, epoch: epoch + 1 })
		return 'aborted'
	}

	/** To those who answer: the others are behind, and find out by the records. */
	async #publish(owner: Owner): Promise<void> {
		const { nodes, keys, timeoutMs } = this.#context
		await publishOwner([...nodes.values()], keys, this.#task.partition, owner, timeoutMs)
	}

	/** Whether the node's record is this one, and cannot be rolled back. */
	#lasts(node: Node, record: Record): Promise<boolean> {
		return isDurable(node, this.#task.partition, this.#context, async () => (await this.#read(node)).text === record.text)
	}

	#read(node: Node): Promise<Record> {
		return readRecord(node, this.#context.keys, this.#task.partition, this.#context.timeoutMs)
	}

	#change(node: Node, before: Record, after: Record, runId?: string): Promise<boolean> {
		return changeRecord(node, this.#context.keys, this.#task.partition, before, after, this.#context.timeoutMs, runId)
	}

	async #step(step: MoveStep): Promise<void> {
		await this.#context.onStep?.(step, this.#task)
	}
}

function isRefusal(error: unknown): boolean {
	return isTallymarkError(error) && error.code === 'ERR_TALLYMARK_STORE_REFUSED'
}

/** Whether a node may become the target: it does not own the partition, and all that it recalls is older. */
function canImport(own: Own | undefined, epoch: number): boolean {
	return own === undefined || (own.state !== 'active' && own.epoch < epoch)
}

function isActiveBefore(own: Own | undefined, epoch: number): boolean {
	return own?.state === 'active' && own.epoch < epoch
}

function nodeOf(name: string, { partition }: MoveTask, { nodes }: MoveContext): Node {
	const node = nodes.get(name)
	if (node === undefined)
		throw new StoreUnavailableError(`Partition ${partition} cannot be moved: there is no way to ${name}, which was not given`)
	return node
}
