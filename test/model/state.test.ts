import { expect, test } from 'vitest'
import type { Bounds } from './bounds.ts'
import { countedOnceMore, Layout, range, timesCounted } from './state.ts'

const bounds: Bounds = { writers: 2, batches: 2, sets: 2, coordinators: 2, moves: 1, crashes: 1, timeouts: 1, kills: 1, aborts: 1 }

test('every field has a byte of its own', () => {
	const at = new Layout(bounds)
	const fields = [at.crashes, at.timeouts, at.kills, at.aborts, at.placementNode, at.placementEpoch]
	for (const node of range(2))
		for (const image of range(2)) {
			fields.push(at.own(node, image), at.ownEpoch(node, image))
			for (const writer of range(3))
				for (const set of range(2)) fields.push(at.sequence(node, image, writer, set), at.count(node, image, writer, set))
		}
	for (const coordinator of range(2))
		fields.push(at.step(coordinator), at.move(coordinator), ...range(at.setsSize).map((i) => at.dump(coordinator) + i))
	for (const writer of range(2)) {
		fields.push(at.cut(writer), at.doubt(writer), at.viewNode(writer), at.viewEpoch(writer), at.last(writer, 0), at.last(writer, 1))
		fields.push(...range(5).map((i) => at.stray(writer) + i), at.answer(writer), at.argument(writer, 0), at.argument(writer, 1))
	}
	expect(fields.sort((a, b) => a - b)).toEqual(range(at.size))
})

test('states that differ by who is called writer 0, or coordinator 0, are kept as one', () => {
	const at = new Layout(bounds)
	const [a, b] = [0, 1].map((first) => {
		const state = new Uint8Array(at.size)
		state[at.cut(first)] = 2
		state[at.count(1, 0, first, 1)] = 4
		state[at.step(first)] = 3
		state[at.dump(first) + first * 4] = 1
		return at.canonical(state)
	})
	expect(a).toEqual(b)
})

test('batches are counted to two, each for itself', () => {
	let counts = 0
	for (const sequence of [3, 1, 3, 3]) counts = countedOnceMore(counts, sequence)
	expect([1, 2, 3, 4].map((sequence) => timesCounted(counts, sequence))).toEqual([1, 0, 2, 0])
})
