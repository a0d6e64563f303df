import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareCodePoints } from '../../src/stores/code-points.ts'
import { Ranking } from '../../src/stores/ranking.ts'

test('keeps what a full sort would put first, few scores or many', () => {
	const entries = (most: number) =>
		fc.uniqueArray(fc.record({ key: fc.string({ unit: 'binary', maxLength: 2 }), score: fc.nat(most) }), {
			selector: ({ key }) => key,
			maxLength: 200,
		})
	fc.assert(
		fc.property(fc.oneof(entries(3), entries(10_000)), fc.nat(20), (all, limit) => {
			const ranking = new Ranking(limit)
			for (const { key, score } of all) ranking.offer(key, score)
			const sorted = all.toSorted((a, b) => b.score - a.score || compareCodePoints(a.key, b.key))
			expect(ranking.entries()).toEqual(sorted.slice(0, limit))
		}),
	)
})

test('a limit of 0 keeps nothing', () => {
	const ranking = new Ranking(0)
	ranking.offer('a', 1)
	expect(ranking.entries()).toEqual([])
})
