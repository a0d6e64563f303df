/**
 * Writers, and the apply script that their requests meet at a node.
 *
 * What a writer has to send follows from its fields, and is at large at once: a question whether everything is still there when its connection broke;
 * else the oldest batch not acknowledged, set after set; else nothing. A batch is cut when the one before it is acknowledged everywhere. It may take
 * any time to arrive, so requests in flight need no field of their own, and answer and arrival are one step: a delay of the answer could only delay the next
 * request, which may be late anyhow. Faults that make a difference are steps of their own: an answer that is lost after the batch was applied, and a
 * request that is given up, sent again, and arrives in the end, later than what was sent after it (a stray).
 *
 * Taken as given: a batch touches every set; all acknowledged batches are retained for as long as the model runs; a writer asks again at every owner
 * some time after any crash (when its connection is back, every third of the retention, and on close); requests to one node of one writer do not
 * overlap but for the stray. The process of a writer lives.
 */

import { countedOnceMore, Image, Own, type State } from './state.ts'
import type { Emit, World } from './world.ts'

/** How the apply script answers. */
type Answer = 'applied' | 'duplicate' | 'gap' | 'not the owner'

export function writerSteps(world: World, state: State, emit: Emit): void {
	for (let writer = 0; writer < world.bounds.writers; writer++) {
		strayArrives(world, state, writer, emit)
		if (state[world.at.doubt(writer)] === 1) probe(world, state, writer, emit)
		else if (nextSet(world, state, writer) >= 0) {
			send(world, state, writer, emit)
			giveUpWaiting(world, state, writer, emit)
		}
	}
}

/** Whether a writer has nothing more to say. */
export function isWriterDone({ at, bounds }: World, state: State, writer: number): boolean {
	if (state[at.doubt(writer)] === 1 || state[at.cut(writer)] !== bounds.batches) return false
	for (let set = 0; set < bounds.sets; set++) if (state[at.last(writer, set)] !== bounds.batches) return false
	return true
}

/** The oldest batch not acknowledged arrives; the answer comes back, or (when it was applied) is lost. */
function send(world: World, state: State, writer: number, emit: Emit): void {
	const { at } = world
	const next = state.slice()
	const set = nextSet(world, state, writer)
	const node = state[at.viewNode(writer)]!
	const before = state[at.last(writer, set)]!
	const answer = apply(world, next, { node, epoch: state[at.viewEpoch(writer)]!, writer, set, before, sequence: before + 1 })
	if (answer === 'applied' && state[at.timeouts]! > 0) {
		const unheard = next.slice()
		unheard[at.timeouts]!--
		emit(unheard, 'writer', writer, 'batch applied, answer lost')
	}
	if (answer === 'not the owner') {
		follow(world, next, writer)
		emit(next, 'writer', writer, 'batch refused by a node that does not own the partition')
		return
	}
	if (answer === 'gap') next[at.last(writer, set)] = next[at.sequence(node, Image.volatile, writer, set)]!
	else next[at.last(writer, set)] = before + 1
	cutNext(world, next, writer)
	emit(
		next,
		'writer',
		writer,
		answer === 'applied' ? 'batch applied' : answer === 'gap' ? 'older batches are missing' : 'batch was there already',
	)
}

/** A writer whose connection broke asks for its last sequences. Where the server has an older one, everything after it will be sent again. */
function probe(world: World, state: State, writer: number, emit: Emit): void {
	const { at, bounds, rules } = world
	const next = state.slice()
	const node = state[at.viewNode(writer)]!
	if (rules.fence && !owns(world, state, node, state[at.viewEpoch(writer)]!)) {
		follow(world, next, writer)
		emit(next, 'writer', writer, 'question refused by a node that does not own the partition')
		return
	}
	next[at.doubt(writer)] = 0
	for (let set = 0; set < bounds.sets && rules.replay; set++) {
		const last = state[at.sequence(node, Image.volatile, writer, set)]!
		if (last < next[at.last(writer, set)]!) next[at.last(writer, set)] = last
	}
	cutNext(world, next, writer)
	emit(next, 'writer', writer, 'learns what is there')
}

/** The request is taken for lost and sent again, while it is still on its way. */
function giveUpWaiting(world: World, state: State, writer: number, emit: Emit): void {
	const { at } = world
	const stray = at.stray(writer)
	if (state[at.timeouts] === 0 || state[stray] !== 0) return
	const next = state.slice()
	const set = nextSet(world, state, writer)
	next[at.timeouts]!--
	next[stray] = 1 + state[at.viewNode(writer)]!
	next[stray + 1] = state[at.viewEpoch(writer)]!
	next[stray + 2] = set
	next[stray + 3] = state[at.last(writer, set)]!
	next[stray + 4] = next[stray + 3]! + 1
	emit(next, 'writer', writer, 'gives up waiting, and sends again')
}

function strayArrives(world: World, state: State, writer: number, emit: Emit): void {
	const stray = world.at.stray(writer)
	if (state[stray] === 0) return
	const [node, epoch, set, before, sequence] = state.subarray(stray, stray + 5)
	const next = state.slice()
	next.fill(0, stray, stray + 5)
	apply(world, next, { node: node! - 1, epoch: epoch!, writer, set: set!, before: before!, sequence: sequence! })
	emit(next, 'writer', writer, 'the request given up arrives')
}

interface Request {
	readonly node: number
	readonly epoch: number
	readonly writer: number
	readonly set: number
	/** The batch is (before .. sequence] of the writer. */
	readonly before: number
	readonly sequence: number
}

/** The apply script: reads, decides, and writes counts and sequence of one set at once. */
function apply(world: World, state: State, { node, epoch, writer, set, before, sequence }: Request): Answer {
	const { at, rules } = world
	if (rules.fence && !owns(world, state, node, epoch)) return 'not the owner'
	const last = at.sequence(node, Image.volatile, writer, set)
	const counts = at.count(node, Image.volatile, writer, set)
	if (rules.sequence) {
		if (rules.replay && state[last]! < before) return 'gap'
		if (sequence <= state[last]!) return 'duplicate'
	}
	state[last] = sequence
	state[counts] = countedOnceMore(state[counts]!, sequence)
	return 'applied'
}

function owns({ at }: World, state: State, node: number, epoch: number): boolean {
	return state[at.own(node, Image.volatile)] === Own.active && state[at.ownEpoch(node, Image.volatile)] === epoch
}

/** Where a refused writer turns next: it follows the record of the node that refused, or asks for the placement when there is none. */
function follow({ at }: World, state: State, writer: number): void {
	const node = state[at.viewNode(writer)]!
	const own = state[at.own(node, Image.volatile)]
	const epoch = state[at.ownEpoch(node, Image.volatile)]!
	if (own === Own.absent) {
		state[at.viewNode(writer)] = state[at.placementNode]!
		state[at.viewEpoch(writer)] = state[at.placementEpoch]!
		return
	}
	if (own === Own.sealed || own === Own.gone) state[at.viewNode(writer)] = 1 - node
	state[at.viewEpoch(writer)] = epoch
}

/** The set to which the writer's next request goes; -1 when all are at the last batch cut. */
function nextSet({ at, bounds }: World, state: State, writer: number): number {
	for (let set = 0; set < bounds.sets; set++) if (state[at.last(writer, set)]! < state[at.cut(writer)]!) return set
	return -1
}

function cutNext(world: World, state: State, writer: number): void {
	const cut = world.at.cut(writer)
	if (nextSet(world, state, writer) === -1 && state[cut]! < world.bounds.batches) state[cut]!++
}
