import { env } from 'node:process'
import { expect, test } from 'vitest'
import { allRules, type Bounds, type Rules } from './bounds.ts'
import { search } from './explore.ts'
import { twoPartitions } from './two-partitions.ts'
import { createWorld } from './world.ts'

const small: Bounds = { writers: 1, batches: 1, sets: 1, coordinators: 1, moves: 1, crashes: 0, timeouts: 0, kills: 0, aborts: 0 }

const inCi: Partial<Bounds>[] = [
	{ crashes: 1, kills: 1 },
	{ timeouts: 1, kills: 1 },
]
const inFull: Partial<Bounds>[] = [
	{ crashes: 1, timeouts: 1, kills: 1 },
	{ writers: 2, crashes: 0, kills: 1 },
	{ batches: 2, crashes: 1, kills: 1 },
	{ coordinators: 2, crashes: 1 },
]

test.each([...inCi, ...(env['MODEL'] === 'full' ? inFull : [])])(
	'two partitions get into no state that one alone does not, and into no bad one: %j',
	(more) => {
		const start = performance.now()
		const { states, depth, ends, violation } = search(twoPartitions(createWorld({ ...small, ...more }, allRules)))
		console.log(`${JSON.stringify(more)}: ${states} states, depth ${depth}, ${ends} ends, ${Math.round(performance.now() - start)} ms`)
		expect(violation).toBeUndefined()
		expect(ends).toBeGreaterThan(1)
	},
	900_000,
)

test('a state that one alone does not get into would be found', () => {
	const world = createWorld({ ...small, timeouts: 1 }, allRules)
	const { violation } = search(twoPartitions(world, createWorld(small, allRules)))
	expect(violation?.broken).toBe('a partition is in a state into which it cannot get alone')
})

const broken: readonly [keyof Rules, Partial<Bounds>][] = [
	['sequence', { coordinators: 0, moves: 0, timeouts: 1 }],
	['replay', { coordinators: 0, moves: 0, crashes: 1 }],
	['fence', {}],
	['sealIsDurable', { crashes: 1 }],
	['oneSession', { crashes: 1 }],
	['targetIsDurable', { crashes: 1 }],
]
test.each(broken)('without the rule `%s` two partitions come to harm as well', (rule, more) => {
	const bounds = { ...small, ...more }
	// What is harm to one is not looked for by itself: it would be found as what only two can get into.
	const { violation } = search(twoPartitions(createWorld(bounds, { ...allRules, [rule]: false }), createWorld(bounds, allRules)))
	expect(violation).toBeDefined()
})
