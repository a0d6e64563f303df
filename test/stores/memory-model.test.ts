import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { partitionOf } from '../../src/hash/partition.ts'
import { compareCodePoints } from '../../src/stores/code-points.ts'
import { MemoryStore } from '../../src/stores/memory.ts'
import type { Batch, Delta, Lane } from '../../src/stores/store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { type Bucket, deadlineOf, granularities, holds, startOf, total } from '../../src/time/granularity.ts'
import { createTracker } from '../../src/visitors/trackers.ts'

const hour = 3_600_000
const retention = { minute: 3 * 60_000, hour: 2 * hour, day: 48 * hour }
const halfLife = 30 * 60_000
const lanes = ['human', 'bot'] as const
const keys = ['a', 'b', 'ab', '__proto__', '😀', '\uffff']
const visitors = ['ada', 'bob', 'cyd', 'constructor']

/** What happened, in order: the truth from which every number is counted anew for every read. */
type Event = { at: number } & (
	| { kind: 'hits'; lane: Lane; key: string; minute: number; hits: number; visitor: string | undefined }
	| { kind: 'set'; lane: Lane; key: string; hits: number }
	| { kind: 'delete'; key: string }
)

class Model {
	readonly events: Event[] = []

	/** The events since the key was last deleted. */
	#since(key: string): Event[] {
		const from = this.events.findLastIndex((event) => event.kind === 'delete' && event.key === key)
		return this.events.slice(from + 1).filter((event) => event.key === key)
	}

	#counts(event: Event, lane: Lane, bucket: Bucket, now: number): boolean {
		if (event.kind !== 'hits' || event.lane !== lane || !holds(bucket, event.minute)) return false
		const deadline = deadlineOf(bucket, retention)
		return event.at < deadline && now < deadline
	}

	/** undefined: the key is not listed. */
	total(lane: Lane, key: string): number | undefined {
		let hits: number | undefined
		for (const event of this.#since(key)) {
			if (event.kind === 'delete' || event.lane !== lane) continue
			hits = event.kind === 'set' ? event.hits : (hits ?? 0) + event.hits
		}
		return hits
	}

	hits(lane: Lane, key: string, bucket: Bucket, now: number): number {
		if (bucket.level === 'total') return this.total(lane, key) ?? 0
		return this.#since(key).reduce(
			(sum, event) => sum + (event.kind === 'hits' && this.#counts(event, lane, bucket, now) ? event.hits : 0),
			0,
		)
	}

	visitors(lane: Lane, of: readonly string[] | 'all', buckets: readonly Bucket[], now: number): number {
		const events = of === 'all' ? this.events : of.flatMap((key) => this.#since(key))
		const found = events.flatMap((event) =>
			event.kind === 'hits' && event.visitor !== undefined && buckets.some((bucket) => this.#counts(event, lane, bucket, now))
				? [event.visitor]
				: [],
		)
		return new Set(found).size
	}

	score(lane: Lane, key: string, now: number): number {
		return this.#since(key).reduce((sum, event) => {
			if (event.kind !== 'hits' || event.lane !== lane) return sum
			return sum + event.hits * 2 ** ((Math.min(event.minute, startOf('minute', event.at)) - now) / halfLife)
		}, 0)
	}
}

const lane = fc.constantFrom(...lanes)
const key = fc.constantFrom(...keys)
const delta = fc.record({ key, hits: fc.integer({ min: 1, max: 5 }), visitor: fc.option(fc.constantFrom(...visitors), { nil: undefined }) })
const command = fc.oneof(
	{
		weight: 6,
		arbitrary: fc.record({
			kind: fc.constant('hits' as const),
			lane,
			// Some in the future, most of now, some late, some too late.
			agoMs: fc.oneof(fc.constant(0), fc.integer({ min: -2 * hour, max: 10 * 60_000 }), fc.integer({ min: 0, max: 60 * hour })),
			deltas: fc.array(delta, { minLength: 1, maxLength: 4 }),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('set' as const), lane, key, hits: fc.nat(20) }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
	{ weight: 2, arbitrary: fc.record({ kind: fc.constant('again' as const), which: fc.nat() }) },
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant('wait' as const),
			ms: fc.oneof(fc.integer({ min: 1, max: 120_000 }), fc.integer({ min: 1, max: 30 * hour })),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const) }) },
)

/** A store beside the model. */
class Both {
	readonly clock = new ManualClock(Date.UTC(2026, 1, 3, 22, 58, 30))
	readonly tracker = createTracker('set')
	readonly model = new Model()
	readonly sessions: ReturnType<MemoryStore['open']>[]
	readonly partitions: number
	readonly #sent: { session: number; batch: Batch }[] = []
	readonly #sequences: number[][] = [[], []]

	constructor(partitions: number) {
		this.partitions = partitions
		const store = new MemoryStore({ partitions })
		this.sessions = ['0000000000000001', '0000000000000002'].map((writer) =>
			store.open({
				namespace: 'model',
				writer,
				clock: this.clock,
				tracker: this.tracker,
				uniquesPer: ['total', 'minute', 'day'],
				retention,
				trendHalfLifeMs: halfLife,
				report: () => {},
			}),
		)
	}

	async run(commands: readonly (typeof command extends fc.Arbitrary<infer C> ? C : never)[]) {
		for (const [i, step] of commands.entries()) {
			const session = i % 2
			const at = this.clock.now()
			if (step.kind === 'wait') this.clock.set(at + step.ms)
			else if (step.kind === 'read') this.compare()
			else if (step.kind === 'again') {
				const sent = this.#sent[step.which % Math.max(1, this.#sent.length)]
				if (sent !== undefined) expect(this.sessions[sent.session]!.apply(sent.batch)).toMatchObject({ status: 'duplicate' })
			} else if (step.kind === 'hits') {
				const minute = startOf('minute', at - step.agoMs)
				for (let partition = 0; partition < this.partitions; partition++) {
					const here = step.deltas.filter(({ key }) => partitionOf(key, this.partitions) === partition)
					if (here.length === 0) continue
					const unique = [...new Map(here.map((each) => [each.key, each])).values()]
					const deltas = unique.map(({ key, hits, visitor }): Delta => {
						const delta = this.tracker.delta()
						if (visitor !== undefined) delta.add(visitor)
						return { key, hits, visitors: visitor === undefined ? undefined : delta }
					})
					this.#send(session, { kind: 'hits', ...this.#head(session, partition), groups: [{ lane: step.lane, minute, deltas }] })
					for (const each of unique) this.model.events.push({ kind: 'hits', at, lane: step.lane, minute, ...each })
				}
			} else if (step.kind === 'set') {
				this.#send(session, { ...step, ...this.#head(session, partitionOf(step.key, this.partitions)) })
				this.model.events.push({ at, ...step })
			} else {
				const existed = lanes.some((name) => this.model.total(name, step.key) !== undefined)
				const outcome = this.#send(session, { ...step, ...this.#head(session, partitionOf(step.key, this.partitions)) })
				expect(outcome).toEqual({ status: 'applied', existed })
				this.model.events.push({ at, ...step })
			}
		}
		this.compare()
	}

	#head(session: number, partition: number) {
		const sequence = (this.#sequences[session]![partition] ?? 0) + 1
		this.#sequences[session]![partition] = sequence
		return { partition, sequence }
	}

	#send(session: number, batch: Batch) {
		this.#sent.push({ session, batch })
		const outcome = this.sessions[session]!.apply(batch)
		expect(outcome).toMatchObject({ status: 'applied' })
		return outcome
	}

	/** Every number of the store is that of the model. */
	compare() {
		const now = this.clock.now()
		const buckets: Bucket[] = [
			total,
			...granularities.flatMap((level) => {
				const minutes = [now, ...this.model.events.flatMap((event) => (event.kind === 'hits' ? [event.minute] : []))]
				return [...new Set(minutes.map((minute) => startOf(level, minute)))].map((start): Bucket => ({ level, start }))
			}),
		]
		const { model } = this
		const session = this.sessions[0]!
		for (const name of lanes) {
			const read = session.hits({ lane: name, keys, buckets })
			expect([...read.values]).toEqual(keys.flatMap((key) => buckets.map((bucket) => model.hits(name, key, bucket, now))))

			const all = session.hits({ lane: name, keys: 'all', buckets })
			const inPartition = (partition: number) => keys.filter((key) => partitionOf(key, this.partitions) === partition)
			expect([...all.values]).toEqual(
				Array.from({ length: this.partitions }, (_, partition) =>
					buckets.map((bucket) => inPartition(partition).reduce((sum, key) => sum + model.hits(name, key, bucket, now), 0)),
				).flat(),
			)

			const kept = buckets.filter(({ level }) => level !== 'hour')
			const groups = [...kept.map((bucket) => [bucket]), kept.filter(({ level }) => level === 'day')]
			for (const of of [['a'], ['__proto__', 'b'], 'all'] as const) {
				const { sketches } = session.visitors({ lane: name, keys: of, groups })
				expect(sketches.map((sketch) => sketch.estimate().value)).toEqual(groups.map((group) => model.visitors(name, of, group, now)))
			}

			const listed = keys.filter((key) => model.total(name, key) !== undefined).sort(compareCodePoints)
			expect(session.list({ lane: name, prefix: '', limit: 100, after: undefined })).toEqual({ keys: listed, more: false })
			expect(session.list({ lane: name, prefix: 'a', limit: 1, after: undefined })).toEqual({
				keys: listed.filter((key) => key.startsWith('a')).slice(0, 1),
				more: listed.filter((key) => key.startsWith('a')).length > 1,
			})

			for (const chosen of [[total], buckets.filter(({ level }) => level === 'minute'), buckets.filter(({ level }) => level === 'day')]) {
				const ranked = keys
					.map((key) => ({ key, hits: chosen.reduce((sum, bucket) => sum + model.hits(name, key, bucket, now), 0) }))
					.filter(({ hits }) => hits > 0)
				const byHits = ranked.toSorted((a, b) => b.hits - a.hits || compareCodePoints(a.key, b.key))
				const top = (by: 'hits' | 'uniques', limit: number) => session.top({ lane: name, buckets: chosen, by, limit, prefix: '' }).entries
				expect(top('hits', 100)).toEqual(byHits)
				expect(top('hits', 2)).toEqual(byHits.slice(0, 2))
				const byUniques = ranked
					.map((entry) => ({ ...entry, uniques: model.visitors(name, [entry.key], chosen, now) }))
					.filter(({ uniques }) => uniques > 0)
					.sort((a, b) => b.uniques - a.uniques || compareCodePoints(a.key, b.key))
				expect(top('uniques', 3)).toEqual(byUniques.slice(0, 3))
			}

			const { entries } = session.trending({ lane: name, limit: 100, now })
			const scores = keys.map((key) => ({ key, score: model.score(name, key, now) })).filter(({ score }) => score > 0)
			expect(new Set(entries.map(({ key }) => key))).toEqual(new Set(scores.map(({ key }) => key)))
			for (const { key, score } of entries) {
				const expected = scores.find((other) => other.key === key)!.score
				expect(Math.abs(score - expected)).toBeLessThanOrEqual(expected * 1e-9)
			}
			expect(entries.map(({ score }) => score)).toEqual(entries.map(({ score }) => score).toSorted((a, b) => b - a))
		}
	}
}

describe.each([1, 5])('the memory store with %i partitions', (partitions) => {
	test('answers what a list of all events answers, whatever came late, again, out of order, or was set or deleted', async () => {
		await fc.assert(
			fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (commands) => {
				await new Both(partitions).run(commands)
			}),
			{ numRuns: 500 },
		)
	}, 60_000)
})
