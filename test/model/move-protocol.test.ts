/**
 * The protocol by which a partition moves from one node to another while it is counted in: every history within some bounds is looked at, and each must
 * be able to end with every batch counted once at the one owner.
 *
 * The files, from below: bounds.ts what is taken as given; state.ts one state; world.ts where it begins; writer.ts, coordinator.ts, faults.ts the
 * steps, each with its assumptions; promise.ts what must hold; explore.ts the search; two-partitions.ts two of them on the same nodes.
 *
 * Always, in some 25 s of one processor, millions of states:
 *
 *     1.1    2 writers with 2 batches each, 2 coordinators, a crash of a node, a message that is lost or late
 *     0.5    the same with 1 coordinator, who is killed once
 *     0.1    the same with 2 coordinators, one of whom is killed, without a crash
 *     0.3    2 partitions, a coordinator that moves both and is killed, a crash; and instead of the crash a message that is lost (two-partitions.test.ts)
 *     1.1    moves that are given up, moves to and fro, 2 crashes, 2 sets, 3 coordinators
 *
 * With `MODEL=full npx vitest run test/model` also 2.9 million states in 40 s for 2 writers with 2 batches each, 2 coordinators, and all of it: a crash, a
 * lost message, a coordinator killed; the same with a move that is given up (the largest: 4 GB); 2 partitions with a crash, a lost message and a kill, 1.9
 * million; and more of everything for fewer writers.
 */

import { env } from 'node:process'
import { expect, test } from 'vitest'
import { allRules, type Bounds } from './bounds.ts'
import { explore } from './explore.ts'

const one: Bounds = { writers: 1, batches: 1, sets: 1, coordinators: 2, moves: 1, crashes: 1, timeouts: 1, kills: 0, aborts: 0 }

const inCi: Partial<Bounds>[] = [
	{ writers: 2, batches: 2 },
	{ writers: 2, batches: 2, crashes: 0, kills: 1 },
	{ writers: 2, batches: 2, coordinators: 1, kills: 1 },
	{ batches: 2, kills: 1, aborts: 1 },
	{ sets: 2, kills: 1 },
	{ crashes: 2, kills: 1, aborts: 1 },
	{ moves: 2, aborts: 1 },
	{ coordinators: 3, kills: 1 },
]
const inFull: Partial<Bounds>[] = [
	{ writers: 2, batches: 2, kills: 1 },
	{ writers: 2, batches: 2, kills: 1, aborts: 1 },
	{ writers: 2, sets: 2 },
	{ writers: 3 },
	{ batches: 3, crashes: 2, timeouts: 2, kills: 1 },
	{ sets: 2, batches: 2, kills: 1, aborts: 1 },
	{ moves: 2, crashes: 2, kills: 1, aborts: 2 },
	{ moves: 3, batches: 2, kills: 1, aborts: 1 },
	{ coordinators: 3, moves: 2, kills: 1, aborts: 1 },
]

test.each([...inCi, ...(env['MODEL'] === 'full' ? inFull : [])])(
	'with all rules nothing is lost, doubled or stuck: %j',
	(more) => {
		const start = performance.now()
		const { states, depth, ends, violation } = explore({ ...one, ...more }, allRules)
		console.log(`${JSON.stringify(more)}: ${states} states, depth ${depth}, ${ends} ends, ${Math.round(performance.now() - start)} ms`)
		expect(violation).toBeUndefined()
		// Moved or aborted, before or after a fault: one end alone would mean that the search was of nothing.
		expect(ends).toBeGreaterThan(1)
	},
	1_800_000,
)
