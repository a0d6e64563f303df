/** What the protocol promises, of one state. */

import { isCoordinatorDone } from './coordinator.ts'
import { Image, Own, type State, timesCounted } from './state.ts'
import type { World } from './world.ts'
import { isWriterDone } from './writer.ts'

/** Whether every writer has all its batches acknowledged and found them there, and every coordinator is done. (A stray may still be on its way.) */
export function isQuiet(world: World, state: State): boolean {
	for (let writer = 0; writer < world.bounds.writers; writer++) if (!isWriterDone(world, state, writer)) return false
	for (let coordinator = 0; coordinator < world.bounds.coordinators; coordinator++)
		if (!isCoordinatorDone(world, state, coordinator)) return false
	return true
}

/** What is broken: a batch that is counted twice anywhere at any time; or, when all is quiet, one that the owner does not count once. */
export function brokenPromise(world: World, state: State): string | undefined {
	const { at } = world
	for (const node of [0, 1]) {
		const doubled = batchThat(world, state, node, (times) => times > 1)
		if (doubled !== undefined) return `${doubled} is counted twice at node ${node}`
	}
	if (!isQuiet(world, state)) return undefined

	const owners = [0, 1].filter((node) => state[at.own(node, Image.volatile)] === Own.active)
	if (owners.length !== 1) return `${owners.length} nodes own the partition`
	const owner = owners[0]!
	if (state[at.placementNode] !== owner) return `node ${owner} owns the partition, and the placement names the other`
	const lost = batchThat(world, state, owner, (times) => times === 0)
	return lost === undefined ? undefined : `${lost} is lost`
}

/** The first batch that a node counts as often as `isWrong` says. */
function batchThat({ at, bounds }: World, state: State, node: number, isWrong: (times: number) => boolean): string | undefined {
	for (let writer = 0; writer <= bounds.writers; writer++) {
		const batches = writer === bounds.writers ? 1 : bounds.batches
		for (let set = 0; set < bounds.sets; set++) {
			const counts = state[at.count(node, Image.volatile, writer, set)]!
			for (let sequence = 1; sequence <= batches; sequence++)
				if (isWrong(timesCounted(counts, sequence)))
					return writer === bounds.writers ? 'the batch of the departed writer' : `batch ${sequence} of a writer`
		}
	}
	return undefined
}
