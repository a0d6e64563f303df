/**
 * Coordinators: who moves a partition. Each does the moves in order, and each move in the steps below: each is one script at one node, which compares
 * the ownership record and sets it or does nothing. A coordinator knows nothing but where it is and (from copying to activating) what it read. Found
 * something unexpected, it begins the move again, and whatever another one has done by then it does not do again. So any number of them may work at once,
 * and one may be delayed before any step for as long as it likes, which is also how a request of theirs that arrives late is covered.
 *
 * The records of a move from S to T with epoch e (an abort takes e + 1):
 *
 *     0 prepare           T: not active, before e     -> importing e
 *     1 seal              S: active before e          -> sealed e
 *     2 wait until durable S; still sealed e?
 *     3 copy              read S, sealed e; write each set to T, importing e
 *     4 activate          T: importing e              -> active e
 *     5 wait until durable T; still active e? then publish the placement, if newer
 *     6 tombstone         S: sealed e                 -> gone e
 *
 *     abort               T: not active, before e; importing e  -> gone e + 1; wait until durable
 *                         S: sealed e, active before e          -> active e + 1; wait until durable, publish
 *
 * Taken as given: "wait until durable" ends with everything at the node durable (the wait is longer than the fsync window, or WAITAOF, WAIT); the
 * source is read in one step, for it cannot change once its seal is durable; a tombstone leaves the counts where they are, which is the worst that
 * can be found there later; the published placement is not lost (it may be old: writers follow the records).
 */

import { Image, Own, type State } from './state.ts'
import { type Emit, type Move, moveOf, type World } from './world.ts'

export const Step = {
	prepare: 0,
	seal: 1,
	awaitSeal: 2,
	read: 3,
	activate: 4,
	awaitActivation: 5,
	publish: 6,
	tombstone: 7,
	abortTarget: 8,
	awaitAbort: 9,
	abortSource: 10,
	awaitReopening: 11,
	publishAbort: 12,
	/** The first of as many as there are sets. */
	write: 13,
} as const

export function isCoordinatorDone({ at, bounds }: World, state: State, coordinator: number): boolean {
	return state[at.move(coordinator)] === bounds.moves
}

export function coordinatorSteps(world: World, state: State, emit: Emit): void {
	for (let coordinator = 0; coordinator < world.bounds.coordinators; coordinator++) {
		if (isCoordinatorDone(world, state, coordinator)) continue
		const { at } = world
		if (state[at.aborts]! > 0 && state[at.step(coordinator)] === Step.prepare) {
			const next = state.slice()
			next[at.aborts]!--
			next[at.step(coordinator)] = Step.abortTarget
			emit(next, 'coordinator', coordinator, 'decides to abort')
		}
		const next = state.slice()
		const what = advance(world, next, coordinator)
		emit(next, 'coordinator', coordinator, what)
	}
}

/** The node of which the coordinator's next step knows that everything there is durable, if it is such a step. */
export function nodeWaitedFor({ at }: World, state: State, coordinator: number): number | undefined {
	const { source, target } = moveOf(state[at.move(coordinator)]!)
	switch (state[at.step(coordinator)]) {
		case Step.awaitSeal:
		case Step.awaitReopening:
			return source
		case Step.awaitActivation:
		case Step.awaitAbort:
			return target
		default:
			return undefined
	}
}

/** Does the coordinator's next step; says what. */
function advance(world: World, state: State, coordinator: number): string {
	const { at, bounds, rules } = world
	const move = moveOf(state[at.move(coordinator)]!)
	const { source, target, epoch } = move
	const own = (node: number) => state[at.own(node, Image.volatile)]!
	const ownEpoch = (node: number) => state[at.ownEpoch(node, Image.volatile)]!
	const is = (node: number, kind: number, at: number) => own(node) === kind && ownEpoch(node) === at
	const set = (node: number, kind: number, at: number) => setOwn(world, state, node, kind, at)
	const go = (step: number) => {
		state[at.step(coordinator)] = step
	}
	const again = (found: string): string => {
		restart(world, state, coordinator)
		return `${found}: begins again`
	}
	const over = (found: string): string => {
		restart(world, state, coordinator)
		state[at.move(coordinator)]!++
		return found
	}

	switch (state[at.step(coordinator)]) {
		case Step.prepare:
			if (canImport(world, own(target), ownEpoch(target), epoch)) {
				set(target, Own.importing, epoch)
				go(Step.seal)
				return 'prepares the target'
			}
			if (is(target, Own.importing, epoch)) {
				go(Step.seal)
				return 'finds the target prepared'
			}
			if (is(target, Own.active, epoch)) {
				go(Step.awaitActivation)
				return 'finds the target active'
			}
			if (is(target, Own.gone, epoch + 1)) {
				go(Step.awaitAbort)
				return 'finds the move aborted'
			}
			return over('finds the move over at the target')

		case Step.seal:
			if (own(source) === Own.active && ownEpoch(source) < epoch) {
				set(source, Own.sealed, epoch)
				go(rules.sealIsDurable ? Step.awaitSeal : Step.read)
				return 'seals the source'
			}
			if (is(source, Own.sealed, epoch)) {
				go(rules.sealIsDurable ? Step.awaitSeal : Step.read)
				return 'finds the source sealed'
			}
			if (rules.abortIsFinished && is(source, Own.active, epoch + 1)) {
				go(Step.awaitReopening)
				return 'finds the source open again'
			}
			return over('finds the move over at the source')

		case Step.awaitSeal:
			sync(world, state, source)
			if (!is(source, Own.sealed, epoch)) return again('the seal is gone')
			go(Step.read)
			return 'knows the seal to be durable'

		case Step.read:
			if (!is(source, Own.sealed, epoch)) return again('the source is not sealed')
			readSource(world, state, coordinator, source)
			go(Step.write)
			return 'reads the source'

		case Step.activate:
			if (rules.activationCompares && !is(target, Own.importing, epoch)) return again('the target is not importing')
			set(target, Own.active, epoch)
			forget(world, state, coordinator)
			go(rules.targetIsDurable ? Step.awaitActivation : Step.publish)
			return 'activates the target'

		case Step.awaitActivation:
			if (rules.targetIsDurable) {
				sync(world, state, target)
				if (!is(target, Own.active, epoch)) return again('the activation is gone')
			}
			go(Step.publish)
			return 'knows the activation to be durable'

		case Step.publish:
			publish(world, state, target, epoch)
			go(Step.tombstone)
			return 'publishes the placement'

		case Step.tombstone:
			if (is(source, Own.sealed, epoch)) set(source, Own.gone, epoch)
			return over('marks the source as gone')

		case Step.abortTarget:
			if (canImport(world, own(target), ownEpoch(target), epoch) || is(target, Own.importing, epoch)) set(target, Own.gone, epoch + 1)
			else if (!is(target, Own.gone, epoch + 1)) return again('it is too late to abort')
			go(rules.abortIsDurable ? Step.awaitAbort : Step.abortSource)
			return 'makes the target refuse'

		case Step.awaitAbort:
			if (rules.abortIsDurable) {
				sync(world, state, target)
				if (!is(target, Own.gone, epoch + 1)) return again('the refusal is gone')
			}
			go(Step.abortSource)
			return 'knows the refusal to be durable'

		case Step.abortSource:
			if (isOpenTo(move, own(source), ownEpoch(source))) set(source, Own.active, epoch + 1)
			else if (!is(source, Own.active, epoch + 1)) return over('finds the abort over at the source')
			go(Step.awaitReopening)
			return 'opens the source again'

		case Step.awaitReopening:
			sync(world, state, source)
			if (!is(source, Own.active, epoch + 1)) return again('the reopening is gone')
			go(Step.publishAbort)
			return 'knows the source to be open durably'

		case Step.publishAbort:
			publish(world, state, source, epoch + 1)
			return over('publishes the placement')

		default: {
			const written = state[at.step(coordinator)]! - Step.write
			if (rules.activationCompares && !is(target, Own.importing, epoch)) return again('the target is not importing')
			writeTarget(world, state, coordinator, target, written)
			go(written + 1 < bounds.sets ? Step.write + written + 1 : Step.activate)
			return 'writes a set to the target'
		}
	}
}

/** The coordinator begins its move again, and knows nothing. */
export function restart(world: World, state: State, coordinator: number): void {
	state[world.at.step(coordinator)] = Step.prepare
	forget(world, state, coordinator)
}

/** Everything at the node is durable from now on. */
export function sync({ at }: World, state: State, node: number): void {
	copyImage(at, state, node, Image.volatile, Image.durable)
}

/** Makes one image of a node equal to the other. */
export function copyImage(at: World['at'], state: State, node: number, from: number, to: number): void {
	state.copyWithin(at.own(node, to), at.own(node, from), at.own(node, from) + 2)
	state.copyWithin(at.sets(node, to), at.sets(node, from), at.sets(node, from) + at.setsSize)
}

/**
 * Whether the node may become the target: it does not own, and all it recalls is older. That can be a seal as well: a move away from here whose
 * tombstone was rolled back.
 */
function canImport({ rules }: World, kind: number, ownEpoch: number, epoch: number): boolean {
	return kind !== Own.active && ownEpoch < epoch && (kind !== Own.sealed || rules.oldSealYields)
}

function isOpenTo({ epoch }: Move, kind: number, ownEpoch: number): boolean {
	return (kind === Own.sealed && ownEpoch === epoch) || (kind === Own.active && ownEpoch < epoch)
}

function setOwn({ at }: World, state: State, node: number, kind: number, epoch: number): void {
	state[at.own(node, Image.volatile)] = kind
	state[at.ownEpoch(node, Image.volatile)] = epoch
}

function publish({ at }: World, state: State, node: number, epoch: number): void {
	if (state[at.placementEpoch]! >= epoch) return
	state[at.placementNode] = node
	state[at.placementEpoch] = epoch
}

function readSource({ at }: World, state: State, coordinator: number, source: number): void {
	const from = at.sets(source, Image.volatile)
	state.copyWithin(at.dump(coordinator), from, from + at.setsSize)
}

function writeTarget({ at, bounds }: World, state: State, coordinator: number, target: number, set: number): void {
	const behind = at.dump(coordinator) - at.sets(target, Image.volatile)
	for (let writer = 0; writer <= bounds.writers; writer++) {
		for (const field of [at.sequence(target, Image.volatile, writer, set), at.count(target, Image.volatile, writer, set)])
			state[field] = state[field + behind]!
	}
}

function forget({ at }: World, state: State, coordinator: number): void {
	state.fill(0, at.dump(coordinator), at.dump(coordinator) + at.setsSize)
}
