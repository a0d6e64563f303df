/** Random schedules of hits, corrections, flushes, faults and time against a plain model: nothing lost, nothing doubled, everything in its bucket. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CounterView } from '../../src/counter-view.ts'
import type { Lane } from '../../src/stores/store.ts'
import type { FaultMode } from '../../src/testing/faulty-store.ts'
import { startOf } from '../../src/time/granularity.ts'
import { day, hour, made, minute, watched } from '../counter/support/made.ts'

const keys = ['/', '/a', '/b', '__proto__', '{x}y', '(other)']
const visitors = ['ada', 'bob', 'cy']
const lanes: readonly Lane[] = ['human', 'human', 'bot']

type Step =
	| { do: 'hit'; key: number; lane: number; ago: number; by: number; visitor: number }
	| { do: 'set'; key: number; hits: number }
	| { do: 'delete'; key: number }
	| { do: 'flush' }
	| { do: 'wait'; ms: number }
	| { do: 'fail'; mode: FaultMode; times: number }
	| { do: 'down'; down: boolean }
	| { do: 'answer' }

const hit = fc.record({
	do: fc.constant('hit' as const),
	key: fc.nat(keys.length - 1),
	lane: fc.nat(lanes.length - 1),
	ago: fc.constantFrom(0, 0, 0, 0, 40_000, 10 * minute, 26 * hour, -hour),
	by: fc.constantFrom(1, 1, 1, 7),
	visitor: fc.integer({ min: -1, max: visitors.length - 1 }),
})
const step: fc.Arbitrary<Step> = fc.oneof(
	{ arbitrary: hit, weight: 10 },
	{ arbitrary: fc.record({ do: fc.constant('set' as const), key: fc.nat(keys.length - 1), hits: fc.nat(50) }), weight: 1 },
	{ arbitrary: fc.record({ do: fc.constant('delete' as const), key: fc.nat(keys.length - 1) }), weight: 1 },
	{ arbitrary: fc.constant({ do: 'flush' as const }), weight: 2 },
	{ arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 1, 30, 700, 1_000, 16_000, 70_000) }), weight: 5 },
	{
		arbitrary: fc.record({
			do: fc.constant('fail' as const),
			mode: fc.constantFrom<FaultMode[]>('before', 'after', 'hang', 'hang-after'),
			times: fc.integer({ min: 1, max: 3 }),
		}),
		weight: 4,
	},
	{ arbitrary: fc.record({ do: fc.constant('down' as const), down: fc.boolean() }), weight: 1 },
	{ arbitrary: fc.constant({ do: 'answer' as const }), weight: 2 },
)

/** Hits by bucket, visitors by bucket; what a store should hold at the end. */
class Model {
	readonly hits = new Map<string, number>()
	readonly visitors = new Map<string, Set<string>>()

	add(lane: Lane, key: string, at: number, by: number, visitor: string | undefined): void {
		for (const bucket of ['total', ...(['minute', 'hour', 'day'] as const).map((level) => `${level}${startOf(level, at)}`)]) {
			for (const who of [`=${key}`, 'all']) {
				const name = `${lane} ${bucket} ${who}`
				this.hits.set(name, (this.hits.get(name) ?? 0) + by)
				if (visitor === undefined || (bucket !== 'total' && !bucket.startsWith('day'))) continue
				if (!this.visitors.has(name)) this.visitors.set(name, new Set())
				this.visitors.get(name)!.add(visitor)
			}
		}
	}

	set(key: string, hits: number): void {
		this.#take('human total', key, hits)
	}

	delete(key: string): boolean {
		let existed = false
		for (const name of [...this.hits.keys()]) {
			if (!name.endsWith(` =${key}`)) continue
			existed = true
			this.#take(name.slice(0, -key.length - 2), key, 0)
			this.hits.delete(name)
			this.visitors.delete(name)
		}
		return existed
	}

	#take(bucket: string, key: string, hits: number): void {
		const before = this.hits.get(`${bucket} =${key}`) ?? 0
		this.hits.set(`${bucket} =${key}`, hits)
		this.hits.set(`${bucket} all`, (this.hits.get(`${bucket} all`) ?? 0) + hits - before)
	}
}

test('whatever fails and whenever it is answered, every hit is counted once, in its own buckets', async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(step, { maxLength: 60, size: 'max' }),
			fc.constantFrom(1, 3),
			fc.constantFrom(2, 10_000),
			async (steps, partitions, maxKeys) => {
				const options = {
					uniques: 'set',
					retention: { minute: 40 * day, hour: 40 * day },
					batch: { maxKeys },
				} as const
				const { clock, store, counter, recount } = made({ ...options, partitions })
				const model = new Model()
				const ops: Promise<unknown>[] = []
				const deletes: [Promise<boolean>, boolean][] = []
				const watch = (promise: Promise<unknown>) => {
					promise.catch(() => {})
					ops.push(promise)
				}
				let accepted = 0
				for (const each of steps) {
					if (each.do === 'hit') {
						const [key, lane, visitor] = [keys[each.key]!, lanes[each.lane]!, visitors[each.visitor]]
						const at = clock.now() - each.ago
						model.add(lane, key, at, each.by, visitor)
						accepted += each.by
						watch(
							each.ago === 0 && each.by === 1 && lane === 'human'
								? counter.hit(key, visitor === undefined ? undefined : { visitor })
								: counter.hit(key, { lane, by: each.by, ...(each.ago !== 0 && { at }), ...(visitor !== undefined && { visitor }) }),
						)
					} else if (each.do === 'set') {
						model.set(keys[each.key]!, each.hits)
						watch(counter.set(keys[each.key]!, each.hits))
					} else if (each.do === 'delete') {
						const deleted = counter.delete(keys[each.key]!)
						deletes.push([deleted, model.delete(keys[each.key]!)])
						watch(deleted)
					} else if (each.do === 'flush') void counter.flush({ timeoutMs: 5_000 }).catch(() => {})
					else if (each.do === 'wait') await clock.advance(each.ms)
					else if (each.do === 'fail') store.failNext(each.mode, { times: each.times, op: 'apply' })
					else if (each.do === 'down') store.down = each.down
					else store.answerHung()
				}
				await clock.advance(0)
				const waiting = (await counter.health()).pendingHits
				store.heal()
				const closed = watched(counter.close({ timeoutMs: 120_000 }))
				for (let turn = 0; turn < 240 && closed.now.state === 'pending'; turn++) await clock.advance(500)
				expect(closed.now).toEqual({ state: 'resolved', value: { stored: waiting, unstored: 0 } })
				expect(waiting).toBeLessThanOrEqual(accepted)
				// What is delayed on its way arrives at last.
				for (let turn = 0; turn < 3; turn++) {
					store.answerHung()
					await clock.advance(0)
				}
				store.assertBatchesInOrder()
				await Promise.all(ops)
				for (const [deleted, existed] of deletes) expect(await deleted).toBe(existed)

				const stored = recount()
				for (const [name, hits] of model.hits) {
					const [lane, bucket, who] = name.split(' ') as [Lane, string, string]
					const view: CounterView = stored.lane(lane)
					const [, level, start] = /^(\D+)(\d*)$/.exec(bucket)!
					const range =
						level === 'total'
							? undefined
							: { from: Number(start), to: Number(start) + { minute, hour, day }[level as 'minute' | 'hour' | 'day'] }
					expect([name, await (who === 'all' ? view.all.count(range) : view.count(who.slice(1), range))]).toEqual([name, hits])
					if (level === 'total' || level === 'day') {
						const estimate = await (who === 'all' ? view.all.uniques(range) : view.uniques(who.slice(1), range))
						expect([name, estimate.value]).toEqual([name, model.visitors.get(name)?.size ?? 0])
					}
				}
				for (const key of keys) {
					if (!model.hits.has(`human total =${key}`)) expect(await stored.count(key)).toBe(0)
				}
			},
		),
		{ numRuns: 500 },
	)
}, 120_000)

test('while one process writes, every answer is the number of its own hits so far, to the hit', async () => {
	const fault = fc.record({
		do: fc.constant('fail' as const),
		op: fc.constantFrom('apply' as const, 'read' as const),
		mode: fc.constantFrom<FaultMode[]>('before', 'after', 'hang', 'hang-after'),
	})
	const own: fc.Arbitrary<
		| { do: 'hit'; key: number; by: number; visitor: number }
		| { do: 'read' | 'flush' | 'answer' }
		| { do: 'down'; down: boolean }
		| { do: 'wait'; ms: number }
		| { do: 'fail'; op: 'apply' | 'read'; mode: FaultMode }
	> = fc.oneof(
		{
			arbitrary: fc.record({
				do: fc.constant('hit' as const),
				key: fc.nat(1),
				by: fc.constantFrom(1, 1, 5),
				visitor: fc.integer({ min: -1, max: 20 }),
			}),
			weight: 6,
		},
		{ arbitrary: fc.constant({ do: 'read' as const }), weight: 6 },
		{ arbitrary: fc.constantFrom({ do: 'flush' as const }, { do: 'answer' as const }), weight: 5 },
		{
			arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 0, 1, 500, 1_000, 2_100, 5_000, 16_000) }),
			weight: 5,
		},
		{ arbitrary: fault, weight: 4 },
		{ arbitrary: fc.record({ do: fc.constant('down' as const), down: fc.boolean() }), weight: 2 },
	)
	let answers = 0
	let stale = 0
	await fc.assert(
		fc.asyncProperty(
			fc.array(own, { maxLength: 60, size: 'max' }),
			fc.constantFrom(1, 4),
			fc.constantFrom({ ttlMs: 0 }, {}, { max: 1 }),
			async (steps, partitions, cache) => {
				const { clock, store, counter } = made({ uniques: 'set', partitions, cache })
				const hits = [0, 0]
				const seen = [new Set<string>(), new Set<string>()]
				const wrong: string[] = []
				const pages = ['/a', '/b']
				const read = (): void => {
					const kinds: [string, Promise<number>, () => number][] = [
						['count /a', counter.count('/a'), () => hits[0]!],
						['count /b today', counter.count('/b', { period: 'day' }), () => hits[1]!],
						['all', counter.all.count(), () => hits[0]! + hits[1]!],
						['uniques /a', counter.uniques('/a').then(({ value }) => value), () => seen[0]!.size],
						['uniques of both', counter.uniques(pages).then(({ value }) => value), () => new Set([...seen[0]!, ...seen[1]!]).size],
						[
							'all uniques',
							counter.all.uniques({ period: 'day' }).then(({ value }) => value),
							() => new Set([...seen[0]!, ...seen[1]!]).size,
						],
						[
							'stats /b',
							counter.stats('/b').then((stats) => {
								if (stats.stale) stale += 1
								return stats.hits
							}),
							() => hits[1]!,
						],
					]
					for (const [name, answer, truth] of kinds) {
						answer.then(
							(value) => {
								answers += 1
								// No hit can come between the answer and this line: hits are steps, and promises settle between steps.
								if (value !== truth()) wrong.push(`${name}: ${value}, not ${truth()}`)
							},
							() => {},
						)
					}
				}
				for (const each of steps) {
					if (each.do === 'hit') {
						hits[each.key]! += each.by
						const visitor = each.visitor < 0 ? undefined : `v${each.visitor}`
						if (visitor !== undefined) seen[each.key]!.add(visitor)
						void counter.hit(pages[each.key]!, { by: each.by, ...(visitor !== undefined && { visitor }) })
					} else if (each.do === 'read') read()
					else if (each.do === 'flush') void counter.flush({ timeoutMs: 4_000 }).catch(() => {})
					else if (each.do === 'answer') store.answerHung()
					else if (each.do === 'wait') await clock.advance(each.ms)
					else if (each.do === 'down') store.down = each.down
					else if (each.do === 'fail') store.failNext(each.mode, { op: each.op })
					await clock.advance(0)
					expect(wrong).toEqual([])
				}
			},
		),
		{ numRuns: 500 },
	)
	// Or it proved nothing.
	expect(answers).toBeGreaterThan(1_000)
	expect(stale).toBeGreaterThan(0)
}, 120_000)
