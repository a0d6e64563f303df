import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { CountedSet, type Part } from '../../../src/stores/redis/counted-set.ts'
import { frozenOf } from '../../../src/stores/redis/frozen.ts'
import { positionOf } from '../../../src/stores/redis/position.ts'
import { Retained } from '../../../src/stores/redis/retained.ts'
import type { VisitorFlush } from '../../../src/stores/redis/visitor-flush.ts'

const retentionMs = 1_000

function partOf(set: CountedSet, sequence: number, hits: number): Part {
	const part: Part = {
		set,
		position: positionOf(sequence, 0, 1),
		chain: set.tail,
		act: 'add',
		members: ['=/'],
		values: [hits],
		hits,
		state: 'stored',
	}
	set.push(part)
	set.queue = []
	return part
}

function batch(sequence: number, at: number, parts: readonly Part[] = [], visitorBytes = 0) {
	const visitors = visitorBytes === 0 ? undefined : ({ bytes: visitorBytes } as VisitorFlush)
	const frozen = frozenOf({ kind: 'delete', partition: 0, sequence, key: '/' }, parts, visitors)
	frozen.at = at
	return frozen
}

const sequences = (retained: Retained) => [...retained].map(({ batch }) => batch.sequence)

it('keeps batches for their time, whatever the clock does', () => {
	const retained = new Retained(retentionMs, 1e6)
	for (let i = 1; i <= 2_000; i++) retained.add(batch(i, i))
	retained.prune(2_000)
	expect(sequences(retained)).toEqual(Array.from({ length: 1_001 }, (_, i) => 1_000 + i))
	expect(retained.oldest?.batch.sequence).toBe(1_000)
	retained.prune(2_990)
	expect(sequences(retained).length).toBe(11)
	retained.add(batch(2_001, 2_990))
	expect(sequences(retained).at(-1)).toBe(2_001)
	retained.prune(-100_000)
	expect(sequences(retained)).toEqual([])
	expect(retained.oldest).toBeUndefined()
})

it('lets go of visitors before hits when there is too much, of the oldest first', () => {
	const bytes = batch(1, 0).bytes
	const retained = new Retained(retentionMs, 20 * bytes)
	for (let i = 1; i <= 8; i++) retained.add(batch(i, 0, [], 4 * bytes))
	retained.prune(0)
	expect(sequences(retained).length).toBe(8)
	expect([...retained].map(({ visitors }) => visitors !== undefined)).toEqual([...Array(6).fill(false), true, true])
	for (let i = 9; i <= 12; i++) retained.add(batch(i, 0))
	retained.prune(0)
	expect(sequences(retained)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
	expect([...retained].filter(({ visitors }) => visitors !== undefined).length).toBe(2)
	retained.clear()
	for (let i = 13; i <= 16; i++) retained.add(batch(i, 0, [], 2 * bytes))
	retained.prune(0)
	expect([...retained].every(({ visitors }) => visitors !== undefined)).toBe(true)
})

it('of a set that nothing can be sent to again 64 points are kept: of so many batches it is known to the hit what is lost, of more about', () => {
	const lostFrom = (batches: number, prunedAt: number, sequence: number) => {
		const retained = new Retained(retentionMs, 1e6)
		const set = new CountedSet('{tm:0}:hits:minute:0', 'hash', 100, 'minute')
		for (let i = 1; i <= batches; i++) retained.add(batch(i, i, [partOf(set, i, i % 7)]))
		set.last = set.tail
		retained.prune(prunedAt)
		const more = partOf(set, batches + 1, 1_000)
		set.last = set.tail
		const lost = set.rewind(sequence === 0 ? 0 : positionOf(sequence, 0, 1), [])
		return lost!.hits - more.hits
	}
	const sum = (batches: number) => Array.from({ length: batches }, (_, i) => (i + 1) % 7).reduce((all, hits) => all + hits, 0)
	for (const sequence of [0, 1, 30, 63]) expect(lostFrom(64, 5_000, sequence)).toBe(sum(64) - sum(sequence))
	expect(lostFrom(1_000, 1_500, 601)).toBe(sum(1_000) - sum(601))
	expect(lostFrom(1_000, 5_000, 0)).toBe(sum(1_000))
	// Every 15 or 16 of them there is a point.
	expect(lostFrom(1_000, 5_000, 601)).toBe(sum(1_000) - sum(594))
})

it('keeps nothing of what it let go of', async () => {
	setFlagsFromString('--expose-gc')
	const collect = runInNewContext('gc') as () => void
	const retained = new Retained(retentionMs, 1e6)
	const kept: WeakRef<object>[] = []
	const fill = () => {
		for (let i = 1; i <= 10; i++) {
			const frozen = batch(i, i)
			kept.push(new WeakRef(frozen))
			retained.add(frozen)
		}
	}
	fill()
	retained.prune(1_007)
	// What a WeakRef was made for is kept until the turn ends.
	await new Promise((resolve) => setImmediate(resolve))
	collect()
	expect(kept.map((each) => each.deref() !== undefined)).toEqual([...Array(6).fill(false), ...Array(4).fill(true)])
	expect(sequences(retained)).toEqual([7, 8, 9, 10])
})
