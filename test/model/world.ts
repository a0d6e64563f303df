/** What every step of the model needs: the bounds, the rules, and where the fields are. */

import type { Bounds, Rules } from './bounds.ts'
import { countedOnceMore, Image, Layout, Own, type State } from './state.ts'

export interface World {
	readonly bounds: Bounds
	readonly rules: Rules
	readonly at: Layout
}

/** Told of each state that can come next: who did what. The state is the listener's to keep. */
export type Emit = (next: State, who: string, number: number, what: string) => void

/** One move of the partition, as it is ordered. An abort of it takes the epoch after its own. */
export interface Move {
	readonly source: number
	readonly target: number
	readonly epoch: number
}

/** The moves go back and forth, and leave an epoch free for an abort. */
export function moveOf(number: number): Move {
	return { source: number % 2, target: 1 - (number % 2), epoch: 2 + 2 * number }
}

export function createWorld(bounds: Bounds, rules: Rules): World {
	return { bounds, rules, at: new Layout(bounds) }
}

/** Node 0 owns the partition durably, with the batch of the writer that has departed; every writer knows it and has cut its first batch, and nothing has begun. */
export function firstState({ at, bounds }: World): State {
	const state = new Uint8Array(at.size)
	state[at.crashes] = bounds.crashes
	state[at.timeouts] = bounds.timeouts
	state[at.kills] = bounds.kills
	state[at.aborts] = bounds.aborts
	state[at.placementEpoch] = 1
	for (const image of [Image.volatile, Image.durable]) {
		state[at.own(0, image)] = Own.active
		state[at.ownEpoch(0, image)] = 1
		for (let set = 0; set < bounds.sets; set++) {
			state[at.sequence(0, image, bounds.writers, set)] = 1
			state[at.count(0, image, bounds.writers, set)] = countedOnceMore(0, 1)
		}
	}
	for (let writer = 0; writer < bounds.writers; writer++) {
		state[at.viewEpoch(writer)] = 1
		state[at.cut(writer)] = 1
	}
	return state
}
