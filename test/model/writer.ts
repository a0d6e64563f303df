/**
 * Writers, and the apply script that their requests meet at a node.
 *
 * What a writer has to send follows from its fields, and is on its way at once: a question what is there, when its connection broke; else the oldest
 * batch not acknowledged, set after set; else nothing. A batch is cut when the one before it is acknowledged everywhere. Until it is answered a writer
 * changes nothing, so a request in flight needs no field of its own: it may arrive at any time, and one that is lost is one that is sent again and
 * arrives later. An answer may arrive at any time too, or be lost. And a request may be given up and sent again, and arrive in the end nevertheless,
 * later than what was sent after it: a stray.
 *
 * Taken as given: a batch touches every set; all acknowledged batches are retained for as long as the model runs; a writer asks again what is there
 * some time after any crash (when its connection is back, every third of the retention, and on close), and does not believe the answer to a question
 * from before the crash; requests of one writer do not overlap but for the stray. The process of a writer lives.
 */

import { Answer, countedOnceMore, Image, Own, type State } from './state.ts'
import type { Emit, World } from './world.ts'

export function writerSteps(world: World, state: State, emit: Emit): void {
	const { at } = world
	for (let writer = 0; writer < world.bounds.writers; writer++) {
		strayArrives(world, state, writer, emit)
		if (state[at.answer(writer)] !== Answer.none) answerArrives(world, state, writer, emit)
		else if (state[at.doubt(writer)] === 1) questionArrives(world, state, writer, emit)
		else if (nextSet(world, state, writer) >= 0) {
			batchArrives(world, state, writer, emit)
			giveUpWaiting(world, state, writer, emit)
		}
	}
}

/** Whether a writer has nothing more to say, and is told nothing more. */
export function isWriterDone({ at, bounds }: World, state: State, writer: number): boolean {
	if (state[at.answer(writer)] !== Answer.none) return false
	if (state[at.doubt(writer)] === 1 || state[at.cut(writer)] !== bounds.batches) return false
	for (let set = 0; set < bounds.sets; set++) if (state[at.last(writer, set)] !== bounds.batches) return false
	return true
}

/** The writer's connection broke. */
export function doubt({ at }: World, state: State, writer: number): void {
	state[at.doubt(writer)] = 1
	if (state[at.answer(writer)] === Answer.lasts) at.clearAnswer(state, writer)
}

/** The oldest batch not acknowledged arrives at the node that the writer takes for the owner. */
function batchArrives(world: World, state: State, writer: number, emit: Emit): void {
	const { at } = world
	const next = state.slice()
	const set = nextSet(world, state, writer)
	const node = state[at.viewNode(writer)]!
	const before = state[at.last(writer, set)]!
	const answer = apply(world, next, { node, epoch: state[at.viewEpoch(writer)]!, writer, set, before, sequence: before + 1 })
	next[at.answer(writer)] = answer
	if (answer === Answer.gap) next[at.argument(writer, 0)] = state[at.sequence(node, Image.volatile, writer, set)]!
	if (answer === Answer.notMine) tellRecord(world, next, writer, node)
	emit(next, 'writer', writer, `batch ${said[answer]}`)
}

const said: Record<number, string> = {
	[Answer.applied]: 'applied',
	[Answer.duplicate]: 'found to be there already',
	[Answer.gap]: 'refused, older ones are missing',
	[Answer.notMine]: 'refused by a node that does not own the partition',
}

/** The question what is there arrives. */
function questionArrives(world: World, state: State, writer: number, emit: Emit): void {
	const { at, bounds, rules } = world
	const next = state.slice()
	const node = state[at.viewNode(writer)]!
	if (rules.fence && !owns(world, state, node, state[at.viewEpoch(writer)]!)) {
		next[at.answer(writer)] = Answer.notMine
		tellRecord(world, next, writer, node)
		emit(next, 'writer', writer, 'question refused by a node that does not own the partition')
		return
	}
	next[at.answer(writer)] = Answer.lasts
	for (let set = 0; set < bounds.sets; set++) next[at.argument(writer, set)] = state[at.sequence(node, Image.volatile, writer, set)]!
	emit(next, 'writer', writer, 'asks what is there')
}

function answerArrives(world: World, state: State, writer: number, emit: Emit): void {
	const { at, bounds, rules } = world
	const next = state.slice()
	at.clearAnswer(next, writer)
	if (state[at.timeouts]! > 0) {
		const unheard = next.slice()
		unheard[at.timeouts]!--
		emit(unheard, 'writer', writer, 'answer lost')
	}
	const set = nextSet(world, state, writer)
	switch (state[at.answer(writer)]) {
		case Answer.applied:
		case Answer.duplicate:
			next[at.last(writer, set)]!++
			break
		case Answer.gap:
			next[at.last(writer, set)] = state[at.argument(writer, 0)]!
			break
		case Answer.lasts:
			next[at.doubt(writer)] = 0
			// Where the server has an older one, everything after it will be sent again.
			for (let each = 0; each < bounds.sets && rules.replay; each++)
				next[at.last(writer, each)] = Math.min(state[at.last(writer, each)]!, state[at.argument(writer, each)]!)
			break
		case Answer.notMine:
			follow(world, next, writer, state[at.argument(writer, 0)]!, state[at.argument(writer, 1)]!)
	}
	cutNext(world, next, writer)
	emit(next, 'writer', writer, 'answer arrives')
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

/** The request given up arrives in the end; nobody hears the answer. */
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
function apply(world: World, state: State, { node, epoch, writer, set, before, sequence }: Request): number {
	const { at, rules } = world
	if (rules.fence && !owns(world, state, node, epoch)) return Answer.notMine
	const last = at.sequence(node, Image.volatile, writer, set)
	const counts = at.count(node, Image.volatile, writer, set)
	if (rules.sequence) {
		if (rules.replay && state[last]! < before) return Answer.gap
		if (sequence <= state[last]!) return Answer.duplicate
	}
	state[last] = sequence
	state[counts] = countedOnceMore(state[counts]!, sequence)
	return Answer.applied
}

function owns({ at }: World, state: State, node: number, epoch: number): boolean {
	return state[at.own(node, Image.volatile)] === Own.active && state[at.ownEpoch(node, Image.volatile)] === epoch
}

function tellRecord({ at }: World, state: State, writer: number, node: number): void {
	state[at.argument(writer, 0)] = state[at.own(node, Image.volatile)]!
	state[at.argument(writer, 1)] = state[at.ownEpoch(node, Image.volatile)]!
}

/**
 * Where a refused writer turns next, by the record of the node that refused. A later epoch is believed, an earlier one of a node that has it active: what
 * was followed may have been rolled back. Otherwise it asks for the placement, and then all nodes who has the partition active.
 */
function follow({ at, rules }: World, state: State, writer: number, own: number, epoch: number): void {
	const node = state[at.viewNode(writer)]!
	const known = state[at.viewEpoch(writer)]!
	const target = 1 - node
	const turnTo = (owner: number, ownerEpoch: number) => {
		state[at.viewNode(writer)] = owner
		state[at.viewEpoch(writer)] = ownerEpoch
	}
	const epochOf = (each: number) => state[at.ownEpoch(each, Image.volatile)]!
	const isActive = (each: number) => state[at.own(each, Image.volatile)] === Own.active
	const believes = (each: number) => rules.followsBack || each > known
	const isElsewhere = own === Own.sealed || own === Own.gone

	if (own === Own.active && believes(epoch)) turnTo(node, epoch)
	else if (own === Own.gone && epoch > known) turnTo(target, epoch)
	else if (isElsewhere && isActive(target) && epochOf(target) >= epoch && believes(epochOf(target))) turnTo(target, epochOf(target))
	// On its way: the writer sends again.
	else if (own === Own.sealed && epoch > known) return
	else if (state[at.placementEpoch]! > known) turnTo(state[at.placementNode]!, state[at.placementEpoch]!)
	else if (rules.followsBack) {
		const owners = [0, 1].filter(isActive)
		if (owners.length === 1) turnTo(owners[0]!, epochOf(owners[0]!))
	}
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
