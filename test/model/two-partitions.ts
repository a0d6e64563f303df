/**
 * Two partitions on the same two nodes: the same writers count in both, the same coordinators move both, at the same time. What they have in common are
 * the nodes, which write their log to disk and crash with both, the coordinators, which are killed at both, and how much of everything there is.
 *
 * A state is that of one partition, and then that of the other; the fields of what may still come are the same in both. Besides the promise, each state
 * must be one in which a partition can be alone: then whatever is found with one partition holds with any number of them.
 */

import { coordinatorSteps, isCoordinatorDone, nodeWaitedFor, restart, sync } from './coordinator.ts'
import { onePartition, type System, search } from './explore.ts'
import { canBeKilled, crash, isDurable } from './faults.ts'
import type { State } from './state.ts'
import { StateSet } from './state-set.ts'
import type { Emit, World } from './world.ts'
import { writerSteps } from './writer.ts'

/** `one`: the world in which a partition is alone. */
export function twoPartitions(world: World, one = world): System {
	const { at, bounds } = world
	const { size } = at
	const alone = onePartition(world)
	const known = statesAlone(one)
	const halves = (state: State): [State, State] => [state.slice(0, size), state.slice(size)]
	const joined = (halves: readonly State[]): State => {
		const state = new Uint8Array(2 * size)
		for (const [i, half] of halves.entries()) state.set(half, i * size)
		return state
	}
	const shared = [at.crashes, at.timeouts, at.kills, at.aborts]

	/** A step of one partition; `waitedFor` is the node that it found durable, with everything. */
	const oneSteps = (state: State, which: 0 | 1, emit: Emit) => {
		const all = halves(state)
		const waitedFor = Array.from({ length: bounds.coordinators }, (_, coordinator) => nodeWaitedFor(world, all[which], coordinator))
		const tell: Emit = (next, who, number, what) => {
			const other = all[1 - which]!.slice()
			for (const field of shared) other[field] = next[field]!
			const node = who === 'coordinator' ? waitedFor[number] : undefined
			if (node !== undefined) sync(world, other, node)
			emit(joined(which === 0 ? [next, other] : [other, next]), who, number, `${what} (partition ${which})`)
		}
		writerSteps(world, all[which], tell)
		coordinatorSteps(world, all[which], tell)
	}

	const bothSteps = (state: State, emit: Emit) => {
		const change = (act: (half: State) => void): State => {
			const all = halves(state)
			all.forEach(act)
			return joined(all)
		}
		const before = halves(state)
		for (const node of state[at.crashes]! > 0 ? [0, 1] : []) {
			if (!before.every((half) => isDurable(world, half, node))) {
				const written = change((half) => sync(world, half, node))
				emit(written, 'node', node, 'writes its log to disk')
			}
			const crashed = change((half) => {
				half[at.crashes]!--
				crash(world, half, node)
			})
			emit(crashed, 'node', node, 'crashes, and comes back as it was on disk')
		}
		for (let coordinator = 0; coordinator < bounds.coordinators && state[at.kills]! > 0; coordinator++) {
			if (!before.some((half) => canBeKilled(world, half, coordinator))) continue
			const killed = change((half) => {
				half[at.kills]!--
				if (!isCoordinatorDone(world, half, coordinator)) restart(world, half, coordinator)
			})
			emit(killed, 'coordinator', coordinator, 'is killed and started again')
		}
	}

	return {
		size: 2 * size,
		first: () => joined([alone.first(), alone.first()]),
		next(state, emit) {
			oneSteps(state, 0, emit)
			oneSteps(state, 1, emit)
			bothSteps(state, emit)
		},
		// The halves are told apart only by their order; writers and coordinators are the same ones in both, and keep their numbers.
		normal(state) {
			const all = halves(state).map((half) => withoutDurable(world, half))
			return joined(all.sort(compare))
		},
		broken(state) {
			for (const half of halves(state)) {
				const broken = alone.broken(half)
				if (broken !== undefined) return broken
				if (!known.has(keyOf(world, alone, half))) return 'a partition is in a state into which it cannot get alone'
			}
			return undefined
		},
		isQuiet: (state) => halves(state).every((half) => alone.isQuiet(half)),
	}
}

/** Every state of one partition, whatever may still come. */
function statesAlone(world: World): StateSet {
	const alone = onePartition(world)
	const known = new StateSet(world.at.size)
	search(alone, (state) => void known.add(keyOf(world, alone, state)))
	return known
}

/** What happened to the other partition has taken from what may still come; crashes are everybody's. */
function keyOf(world: World, alone: System, state: State): State {
	const key = alone.normal(state.slice())
	for (const field of [world.at.timeouts, world.at.kills, world.at.aborts]) key[field] = 0
	return key
}

function withoutDurable(world: World, half: State): State {
	if (half[world.at.crashes] === 0) for (const node of [0, 1]) sync(world, half, node)
	return half
}

function compare(a: State, b: State): number {
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
	return 0
}
