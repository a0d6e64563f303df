/**
 * From the placement that is stored to a balanced one over other nodes, or over the same: finishes the moves that were begun, plans from where the
 * partitions are then, and moves several at a time. What was interrupted is gone on with by the same call, from whatever process.
 */
import { BadInputError, expected, StoreUnavailableError, TallymarkError } from '../../../errors.ts'
import { planMoves } from '../../../hash/placement-plan.ts'
import { Ring } from '../../../hash/ring.ts'
import { Keys } from '../keys.ts'
import { restoreOwners } from './ensure-placement.ts'
import { type MoveContext, type MoveOutcome, type MoveStep, type MoveTask, movePartition } from './move.ts'
import { nextEpoch, type Own } from './own.ts'
import { type Node, type PlacedNode, type Placement, publish, readPlacement } from './placement.ts'
import { Progress, type RebalancePlan, type RebalanceProgress, type RebalanceReport } from './progress.ts'
import { changeRecord, recordOf } from './records.ts'
import { type Survey, survey } from './survey.ts'
import { removePartition } from './transfer.ts'

export interface RebalanceNode extends Node {
	/** Its share relative to the others', above 0 and up to 100. @default the one that is stored, or 1 */
	readonly weight?: number | undefined
	/** A url without user and password, for clients that do not know the node. */
	readonly address?: string | undefined
}

export interface RebalanceOptions {
	/** @default 'tm' */
	readonly namespace?: string | undefined
	/** All nodes that own partitions. Of a node in both lists, `to` has the say. */
	readonly from: readonly RebalanceNode[]
	/** All nodes that shall own partitions: those that are not among them are emptied. */
	readonly to: readonly RebalanceNode[]
	/** Only plan. @default false */
	readonly dryRun?: boolean | undefined
	/** Partitions on their way at the same time, from one node to one other. 1 to 64. @default 8 */
	readonly parallel?: number | undefined
	/** Replicas that must have what a step relies on. 0 to 10. @default 0 */
	readonly replicasToWaitFor?: number | undefined
	/** For an answer to a small question. 10 to 60,000. @default 5_000 */
	readonly timeoutMs?: number | undefined
	/** Begins nothing more, and brings to its end what is sealed: some 3 s. */
	readonly signal?: { readonly aborted: boolean } | undefined
	readonly onPlan?: ((plan: RebalancePlan) => void) | undefined
	readonly onProgress?: ((progress: RebalanceProgress) => void) | undefined
	/** Called before each step of each move, which waits for it. */
	readonly onStep?: ((step: MoveStep, task: MoveTask) => void | Promise<void>) | undefined
}

/** For a few sets, of megabytes each: a client must not give up sooner. */
export const COPY_TIMEOUT_MS = 60_000
/** Times that a partition is moved anew, whose move others gave up. */
const ATTEMPTS = 3

/**
 * Throws StoreUnavailableError when no node knows the placement and one does not answer, ERR_TALLYMARK_SETUP when there is none, ERR_TALLYMARK_OPTION when a
 * node that owns partitions was not given, MismatchError when nodes are of different rings. A move that fails is reported, and the others go on.
 */
export async function rebalance(options: RebalanceOptions): Promise<RebalanceReport> {
	const { namespace = 'tm', dryRun = false, signal, onPlan } = options
	const { from } = options
	const parallel = whole('parallel', options.parallel, 8, 1, 64)
	const timeoutMs = whole('timeoutMs', options.timeoutMs, 5_000, 10, 60_000)
	const nodes = new Map<string, RebalanceNode>([...from, ...options.to].map((node) => [node.name, node]))
	const keys = new Keys(namespace)
	const placement = await read(nodes, keys, namespace, timeoutMs)
	const stored = new Map(placement.nodes.map(({ name, weight }) => [name, weight]))
	const to = options.to.map((node): RebalanceNode => ({ ...node, weight: node.weight ?? stored.get(node.name) }))
	const ring = new Ring(to.map(({ name, weight }) => ({ name, weight })))
	let latest = placement
	if (!dryRun) {
		// So that a client that meets a node it was not told of finds the way.
		const all = [...new Map([...nodes.values(), ...to].map((node) => [node.name, node])).values()]
		latest = await announce(nodes, all, placement, keys, timeoutMs)
		await restoreOwners([...nodes.values()], [...nodes.values()], keys, placement, timeoutMs)
	}
	const progress = new Progress(options.onProgress)
	const context: Omit<MoveContext, 'isComplete'> = {
		keys,
		timeoutMs,
		ring: placement.id,
		nodes,
		signal,
		copyTimeoutMs: COPY_TIMEOUT_MS,
		replicasToWaitFor: whole('replicasToWaitFor', options.replicasToWaitFor, 0, 0, 10),
		onCopied: (keys, bytes) => progress.copied(keys, bytes),
		onHeld: (ms) => progress.held(ms),
		onStep: (step, task) => {
			progress.step(step, task)
			return options.onStep?.(step, task)
		},
	}
	const found = await survey(nodes, keys, placement, timeoutMs)
	const plan = planOf(found, ring, nodes)
	onPlan?.(plan)
	if (dryRun) return progress.report(plan, false)

	progress.begin(plan.begun.length + plan.moves.length)
	const begun = await runAll(found.begun, parallel, { ...context, isComplete: found.unreachable.size === 0 }, progress)
	if (signal?.aborted !== true) await tidyUp(found, context)
	const now = await survey(nodes, keys, placement, timeoutMs)
	// A partition whose move could not be finished has had its chance.
	const stuck = new Set(begun.map(({ partition }) => partition))
	const left = planMoves(
		now.owners.map(({ node }) => node),
		ring,
	).filter(({ partition }) => !stuck.has(partition))
	const tasks = left.map((move): MoveTask => ({ ...move, epoch: nextEpoch(now.owners[move.partition]!.epoch) }))
	const rest =
		signal?.aborted === true ? tasks : await runAll(tasks, parallel, { ...context, isComplete: now.unreachable.size === 0 }, progress)
	const isDone = begun.length + rest.length === 0
	if (isDone) await announce(nodes, to, latest, keys, timeoutMs)
	return progress.report(plan, signal?.aborted === true && !isDone)
}

async function read(nodes: ReadonlyMap<string, Node>, keys: Keys, namespace: string, timeoutMs: number): Promise<Placement> {
	const { placement, failed } = await readPlacement([...nodes.values()], keys, timeoutMs)
	if (placement === undefined) {
		const [first] = failed
		if (first !== undefined)
			throw new StoreUnavailableError(
				`No node that answers has the placement, and ${first.node.name} does not answer: ${first.failure.message}`,
			)
		throw new TallymarkError(
			'ERR_TALLYMARK_SETUP',
			`The namespace ${JSON.stringify(namespace)} has no placement on ${[...nodes.keys()].join(', ')}: the first counter on a ShardedRedisStore makes it`,
		)
	}
	const unknown = placement.owners.find(({ node }) => !nodes.has(node))
	if (unknown !== undefined)
		throw expected(
			'ERR_TALLYMARK_OPTION',
			'from',
			`all nodes that own partitions, ${unknown.node} among them`,
			[...nodes.keys()].join(', '),
		)
	return placement
}

/** Publishes which nodes there are, if that is news; answers what is published now. */
async function announce(
	nodes: ReadonlyMap<string, RebalanceNode>,
	listed: readonly RebalanceNode[],
	placement: Placement,
	keys: Keys,
	timeoutMs: number,
): Promise<Placement> {
	const addresses = new Map(placement.nodes.map(({ name, address }) => [name, address]))
	const list = listed.map(({ name, weight = 1, address = addresses.get(name) }): PlacedNode => ({ name, weight, address }))
	if (JSON.stringify(list) === JSON.stringify(placement.nodes)) return placement
	// Two coordinators that announce at the same time must not give one number to two lists.
	const version = Math.max(placement.version + 1, Date.now() * 1_000 + Math.floor(Math.random() * 1_000))
	const published = { ...placement, version, nodes: list }
	await publish([...nodes.values()], keys, published, timeoutMs)
	return published
}

function planOf({ begun, owners }: Survey, ring: Ring, nodes: ReadonlyMap<string, Node>): RebalancePlan {
	const current = owners.map(({ node }) => node)
	const stranger = current.find((name) => !nodes.has(name))
	if (stranger !== undefined)
		throw new BadInputError('ERR_TALLYMARK_OPTION', `Expected \`from\` to name ${stranger}, to which a partition is moving`)
	const moves = planMoves(current, ring)
	const before = [...current]
	for (const { partition, from } of begun) before[partition] = from
	const after = [...current]
	for (const { partition, to } of moves) after[partition] = to
	const count = (all: readonly string[], name: string) => all.filter((each) => each === name).length
	return {
		partitions: current.length,
		nodes: [...nodes.keys()].map((name) => ({ name, before: count(before, name), after: count(after, name) })),
		begun: begun.map(({ partition, from, to }) => ({ partition, from, to })),
		moves,
	}
}

/** Does tasks, so many at a time for each pair of nodes. Answers those that were not done. */
async function runAll(tasks: readonly MoveTask[], parallel: number, context: MoveContext, progress: Progress): Promise<MoveTask[]> {
	const pairs = new Map<string, MoveTask[]>()
	for (const task of tasks) {
		const pair = JSON.stringify([task.from, task.to])
		pairs.set(pair, [...(pairs.get(pair) ?? []), task])
	}
	const left: MoveTask[] = []
	const work = async (queue: MoveTask[]) => {
		for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
			const outcome = context.signal?.aborted === true ? 'stopped' : await run(task, context, progress)
			if (outcome === 'failed' || outcome === 'stopped') left.push(task)
			else progress.moved()
		}
	}
	await Promise.all([...pairs.values()].flatMap((queue) => Array.from({ length: parallel }, () => work(queue))))
	return left
}

async function run(task: MoveTask, context: MoveContext, progress: Progress): Promise<MoveOutcome | 'failed'> {
	try {
		for (let attempt = 0, epoch = task.epoch; ; attempt++, epoch += 2) {
			const outcome = await movePartition({ ...task, epoch }, context)
			if (outcome !== 'aborted') return outcome
			if (attempt === ATTEMPTS)
				throw new StoreUnavailableError(`The move of partition ${task.partition} is given up by others, again and again`)
		}
	} catch (error) {
		progress.failed(task, error instanceof TallymarkError ? error : new StoreUnavailableError(String(error), { cause: error }))
		return 'failed'
	}
}

/** Removes what earlier moves have left behind at nodes that do not own it. What fails is found again by the next call. */
async function tidyUp({ leftovers }: Survey, context: Omit<MoveContext, 'isComplete'>): Promise<void> {
	await Promise.all(
		leftovers.map(async ({ partition, node: name, own, owner }) => {
			const node = context.nodes.get(name)!
			const gone: Own = own.state === 'gone' ? own : { state: 'gone', epoch: own.epoch, target: owner }
			try {
				if (await changeRecord(node, context.keys, partition, recordOf(own), recordOf(gone), context.timeoutMs))
					await removePartition(node, partition, recordOf(gone), context)
			} catch {}
		}),
	)
}

function whole(name: string, value: number | undefined, fallback: number, least: number, most: number): number {
	if (value === undefined) return fallback
	if (!Number.isSafeInteger(value) || value < least || value > most)
		throw expected('ERR_TALLYMARK_OPTION', name, `a whole number from ${least} to ${most}`, value)
	return value
}
