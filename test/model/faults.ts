/**
 * What goes wrong by itself: a node writes its log to disk at any moment, and a crash brings it back to what it had written; coordinators are killed.
 *
 * A crash breaks every connection to the node. Writers then ask what is still there before they send more (one with a connection to the other node
 * too: it will ask before the retention is over). Coordinators begin again, unless that rule is off.
 */

import { copyImage, isCoordinatorDone, restart, Step, sync } from './coordinator.ts'
import { Image, type State } from './state.ts'
import type { Emit, World } from './world.ts'
import { doubt } from './writer.ts'

export function faultSteps(world: World, state: State, emit: Emit): void {
	const { at, bounds } = world
	if (state[at.crashes]! > 0) {
		for (let node = 0; node < 2; node++) {
			if (!isDurable(world, state, node)) {
				const written = state.slice()
				sync(world, written, node)
				emit(written, 'node', node, 'writes its log to disk')
			}
			const next = state.slice()
			next[at.crashes]!--
			crash(world, next, node)
			emit(next, 'node', node, 'crashes, and comes back as it was on disk')
		}
	}
	if (state[at.kills]! > 0) {
		for (let coordinator = 0; coordinator < bounds.coordinators; coordinator++) {
			if (!canBeKilled(world, state, coordinator)) continue
			const next = state.slice()
			next[at.kills]!--
			restart(world, next, coordinator)
			emit(next, 'coordinator', coordinator, 'is killed and started again')
		}
	}
}

/** Without a crash to come it makes no difference what is durable: both images are taken for equal. */
export function forgetWhatIsDurable(world: World, state: State): void {
	if (state[world.at.crashes]! > 0) return
	sync(world, state, 0)
	sync(world, state, 1)
}

/** Whether it makes a difference: one that has not begun a move knows nothing. */
export function canBeKilled(world: World, state: State, coordinator: number): boolean {
	return !isCoordinatorDone(world, state, coordinator) && state[world.at.step(coordinator)] !== Step.prepare
}

/** The node comes back as it was on disk, and everybody who talked to it notices. */
export function crash(world: World, state: State, node: number): void {
	const { at, bounds, rules } = world
	copyImage(at, state, node, Image.durable, Image.volatile)
	for (let writer = 0; writer < bounds.writers; writer++) doubt(world, state, writer)
	if (rules.oneSession) {
		for (let coordinator = 0; coordinator < bounds.coordinators; coordinator++)
			if (!isCoordinatorDone(world, state, coordinator)) restart(world, state, coordinator)
	}
}

export function isDurable({ at }: World, state: State, node: number): boolean {
	if (state[at.own(node, Image.volatile)] !== state[at.own(node, Image.durable)]) return false
	if (state[at.ownEpoch(node, Image.volatile)] !== state[at.ownEpoch(node, Image.durable)]) return false
	const volatile = at.sets(node, Image.volatile)
	const durable = at.sets(node, Image.durable)
	for (let i = 0; i < at.setsSize; i++) if (state[volatile + i] !== state[durable + i]) return false
	return true
}
