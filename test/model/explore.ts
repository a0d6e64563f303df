/**
 * Looks at every state that the model can get into, nearest first: so the first broken promise found is told by one of the shortest histories.
 * When none is broken, it makes sure that from every state there is a way to an end.
 */

import type { Bounds, Rules } from './bounds.ts'
import { coordinatorSteps } from './coordinator.ts'
import { faultSteps, forgetWhatIsDurable } from './faults.ts'
import { IntList } from './int-list.ts'
import { brokenPromise, isQuiet } from './promise.ts'
import type { State } from './state.ts'
import { StateSet } from './state-set.ts'
import { createWorld, type Emit, firstState, type World } from './world.ts'
import { writerSteps } from './writer.ts'

export interface Exploration {
	/** States looked at; those that differ by the numbering of writers or coordinators count once. */
	readonly states: number
	/** Steps of the longest of the shortest ways to a state. */
	readonly depth: number
	/** States in which all is quiet. */
	readonly ends: number
	/** What was broken first, if anything. */
	readonly violation?: { readonly broken: string; readonly trace: readonly string[] }
}

/** What is explored: where it begins, what can come next, and what must hold. */
export interface System {
	/** Bytes of a state. */
	readonly size: number
	first(): State
	/** The states that are emitted are the listener's to keep. */
	next(state: State, emit: Emit): void
	/** The state that stands for all that are alike; may change `state` to it. */
	normal(state: State): State
	/** In words. */
	broken(state: State): string | undefined
	isQuiet(state: State): boolean
}

export function explore(bounds: Bounds, rules: Rules): Exploration {
	return search(onePartition(createWorld(bounds, rules)))
}

export function onePartition(world: World): System {
	return {
		size: world.at.size,
		first: () => firstState(world),
		next(state, emit) {
			writerSteps(world, state, emit)
			coordinatorSteps(world, state, emit)
			faultSteps(world, state, emit)
		},
		normal(state) {
			forgetWhatIsDurable(world, state)
			return world.at.canonical(state)
		},
		broken: (state) => brokenPromise(world, state),
		isQuiet: (state) => isQuiet(world, state),
	}
}

/** Calls `onState` for each state, when it is found. */
export function search(system: System, onState: (state: State) => void = () => {}): Exploration {
	const found = new StateSet(system.size)
	/** From which state each was first reached. */
	const parents = new IntList()
	const depths = new IntList()
	/** Every step that can be taken: from, to, from, to ... */
	const steps = new IntList()
	const ends: number[] = []
	let broken: string | undefined

	const look = (state: State, parent: number, depth: number): number => {
		const number = found.add(system.normal(state))
		if (number < parents.length) return number
		parents.push(parent)
		depths.push(depth)
		broken = system.broken(state)
		if (system.isQuiet(state)) ends.push(number)
		onState(state)
		return number
	}
	look(system.first(), -1, 0)
	for (let number = 0; number < found.size; number++) {
		system.next(found.get(number), (next) => {
			if (broken !== undefined) return
			const to = look(next, number, depths.get(number) + 1)
			steps.push(number)
			steps.push(to)
		})
		if (broken !== undefined) return result(broken, found.size - 1)
	}
	const stuck = firstStuck(found.size, steps, ends)
	return result(stuck === undefined ? undefined : 'there is no way to an end any more', stuck)

	function result(broken: string | undefined, at = 0): Exploration {
		const all = { states: found.size, depth: depths.get(found.size - 1), ends: ends.length }
		if (broken === undefined) return all
		const way: number[] = []
		for (let number = at; number !== -1; number = parents.get(number)) way.unshift(number)
		return { ...all, violation: { broken, trace: retell(system, found, way) } }
	}
}

/** The nearest state from which no end can be reached: what is left after walking all steps backwards from the ends. */
function firstStuck(states: number, steps: IntList, ends: readonly number[]): number | undefined {
	const first = new Int32Array(states + 1)
	for (let i = 1; i < steps.length; i += 2) first[steps.get(i) + 1]!++
	for (let i = 0; i < states; i++) first[i + 1]! += first[i]!
	const filled = first.slice()
	const cameFrom = new Int32Array(steps.length / 2)
	for (let i = 0; i < steps.length; i += 2) cameFrom[filled[steps.get(i + 1)]!++] = steps.get(i)

	const canEnd = new Uint8Array(states)
	const waiting = [...ends]
	for (const end of ends) canEnd[end] = 1
	for (let to = waiting.pop(); to !== undefined; to = waiting.pop()) {
		for (let i = first[to]!; i < first[to + 1]!; i++) {
			const from = cameFrom[i]!
			if (canEnd[from] === 1) continue
			canEnd[from] = 1
			waiting.push(from)
		}
	}
	const stuck = canEnd.indexOf(0)
	return stuck === -1 ? undefined : stuck
}

/** The steps along `way`, of states as they are and not as they are kept: so that a writer keeps its number from the first line to the last. */
function retell(system: System, found: StateSet, way: readonly number[]): string[] {
	const lines: string[] = []
	let state = system.first()
	for (const number of way.slice(1)) {
		const kept = found.get(number)
		let after: State | undefined
		system.next(state, (next, who, index, what) => {
			if (after !== undefined || !isEqual(system.normal(next.slice()), kept)) return
			after = next
			lines.push(`${who} ${index}: ${what}`)
		})
		state = after!
	}
	return lines
}

function isEqual(a: State, b: State): boolean {
	return a.every((byte, i) => byte === b[i])
}
