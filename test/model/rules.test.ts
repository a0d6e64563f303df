/**
 * Each rule of the protocol but one is needed: without it the model finds a history that ends badly, within bounds in which with it there is none.
 *
 * The one is `abortIsDurable`: a writer that has followed the refusal finds its way back since it follows records back, and a copy from before the crash
 * is not activated (`oneSession`). It is kept, for an abort is rare, and a record that others act upon had better last.
 */

import { expect, test } from 'vitest'
import { allRules, type Bounds, type Rules } from './bounds.ts'
import { explore } from './explore.ts'

const small: Bounds = { writers: 1, batches: 1, sets: 1, coordinators: 1, moves: 1, crashes: 0, timeouts: 0, kills: 0, aborts: 0 }
const nobodyMoves = { coordinators: 0, moves: 0 }

/** What is switched off, the bounds in which it shows, and the steps of the shortest history that breaks the promise. */
const cases: readonly [keyof Rules, Partial<Bounds>, number][] = [
	['sequence', { ...nobodyMoves, timeouts: 1 }, 3],
	['replay', { ...nobodyMoves, crashes: 1 }, 5],
	['fence', {}, 11],
	['sealIsDurable', { crashes: 1 }, 13],
	['activationCompares', { coordinators: 2 }, 22],
	['oneSession', { crashes: 1 }, 17],
	['targetIsDurable', { crashes: 1 }, 9],
	['followsBack', { coordinators: 2, aborts: 1, crashes: 2 }, 13],
	['abortIsFinished', { coordinators: 2, moves: 2, aborts: 1, crashes: 1, kills: 1 }, 12],
	['oldSealYields', { moves: 2, crashes: 1 }, 12],
]

test.each(cases)('without the rule `%s` a batch is lost or doubled, or there is no end', (rule, bounds, steps) => {
	expect(explore({ ...small, ...bounds }, allRules).violation).toBeUndefined()

	const { violation, states } = explore({ ...small, ...bounds }, { ...allRules, [rule]: false })
	console.log([`without ${rule}, after ${states} states: ${violation?.broken}`, ...(violation?.trace ?? [])].join('\n    '))
	expect(violation?.trace).toHaveLength(steps)
})

test('without the rule `abortIsDurable` nothing comes of it', () => {
	for (const bounds of [{}, { moves: 2 }, { crashes: 2 }, { kills: 1 }, { timeouts: 1 }])
		expect(
			explore({ ...small, coordinators: 2, aborts: 1, crashes: 1, ...bounds }, { ...allRules, abortIsDurable: false }).violation,
		).toBeUndefined()
})

test('every rule has its case', () => {
	expect([...cases.map(([rule]) => rule), 'abortIsDurable'].sort()).toEqual(Object.keys(allRules).sort())
})
