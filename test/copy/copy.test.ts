import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compare, copy, restore, snapshot } from '../../src/copy.ts'
import { MemoryStore } from '../../src/index.ts'
import { RedisStore } from '../../src/redis.ts'
import type { Lane, Store } from '../../src/stores/store.ts'
import { FaultyStore } from '../../src/testing.ts'
import { lengthMs } from '../../src/time/granularity.ts'
import { createTracker, type TrackerName } from '../../src/visitors/trackers.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { keys, Place, settings } from './readings.ts'

let server: RedisServer
let client: Redis

beforeAll(async () => {
	server = await startRedis()
	client = new Redis(server.port)
	client.setMaxListeners(0)
})

afterAll(async () => {
	client.disconnect()
	await server.stop()
})

const { hour } = lengthMs
/** Far from any deadline, so that none passes during a test. */
const agoMs = [0, 60_000, 2 * hour, 22 * hour, 40 * hour, 60 * hour, 100 * hour, 20 * 24 * hour]
const key = fc.constantFrom(...keys)
const lane = fc.constantFrom<Lane>('human', 'bot', 'own')
const step = fc.oneof(
	{
		weight: 8,
		arbitrary: fc.record({
			kind: fc.constant('hits' as const),
			lane,
			key,
			agoMs: fc.constantFrom(...agoMs),
			hits: fc.integer({ min: 1, max: 9 }),
			visitors: fc.array(fc.constantFrom('ada', 'bob', '', 'constructor', '\ufeffx'), { maxLength: 3 }),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('set' as const), lane, key, hits: fc.nat(20) }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const optionsOf = (tracker: TrackerName) => ({ ...settings, uniques: createTracker(tracker) })

async function count(place: Place, steps: readonly Step[]): Promise<void> {
	for (const each of steps) {
		if (each.kind === 'hits') await place.writer.hit({ ...each, minute: place.desk.minute(each.agoMs) })
		else if (each.kind === 'set') await place.writer.set(each.key, each.hits, each.lane)
		else await place.writer.delete(each.key)
	}
}

/** Calls `act` until nothing fails any more; answers how often it took. */
async function insist(act: () => Promise<unknown>): Promise<number> {
	for (let attempt = 1; ; attempt++) {
		try {
			await act()
			return attempt
		} catch (error) {
			expect(error).toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		}
	}
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
	const all: Uint8Array[] = []
	for await (const chunk of chunks) all.push(chunk)
	return all
}

/** A store that fails at these calls of a copy: at the even ones before they are done, at the odd ones after. */
function unsteady(store: Store, faults: readonly number[]): FaultyStore {
	let calls = 0
	return new FaultyStore(store, {
		plan: (operation) => {
			if (!['snapshot', 'restore', 'note', 'clear'].includes(operation)) return undefined
			const call = calls++
			if (!faults.includes(call)) return undefined
			return call % 2 === 0 ? 'before' : 'after'
		},
	})
}

const faults = fc.array(fc.nat(40), { maxLength: 8 })
const partitions = fc.integer({ min: 1, max: 7 })

describe.each(['set', 'hyperloglog', 'bloom'] as const)('a copy (%s)', (tracker) => {
	it('reads as what it was made of, through Redis and back, whatever was interrupted and however many partitions', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { maxLength: 30 }),
				fc.tuple(partitions, partitions, partitions),
				faults,
				faults,
				async (steps, [a, b, c], there, back) => {
					const first = new MemoryStore({ partitions: a })
					const redis = new RedisStore(client, { partitions: b })
					const last = new MemoryStore({ partitions: c })
					const origin = new Place(first, tracker)
					await count(origin, steps)
					const { namespace } = origin.desk
					const options = { ...optionsOf(tracker), namespace }
					const inRedis = unsteady(redis, there)
					const inLast = unsteady(last, back)
					await insist(() => copy({ ...options, from: first, to: inRedis }))
					await insist(() => copy({ ...options, from: redis, to: inLast }))

					const now = origin.desk.clock.now()
					const minutes = agoMs.map((ago) => origin.desk.minute(ago))
					const expected = await origin.read(minutes, now)
					const places = [new Place(redis, tracker, namespace), new Place(last, tracker, namespace)]
					for (const place of places) expect(await place.read(minutes, now)).toEqual(expected)
					for (const to of [redis, last]) expect(await compare({ ...options, from: first, to })).toMatchObject({ different: 0 })
					for (const place of [origin, ...places]) await place.desk.close()
				},
			),
			{ numRuns: 12 },
		)
	}, 120_000)

	it('goes through a file', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(step, { minLength: 5, maxLength: 30 }),
				fc.tuple(partitions, partitions),
				faults,
				fc.integer({ min: 1, max: 999 }),
				async (steps, [a, b], back, cut) => {
					const origin = new Place(new MemoryStore({ partitions: a }), tracker)
					await count(origin, steps)
					const { namespace, store } = origin.desk
					const bytes = Buffer.concat(await collect(snapshot({ ...optionsOf(tracker), store, namespace })))
					const chunks = () => Array.from({ length: Math.ceil(bytes.length / cut) }, (_, i) => bytes.subarray(i * cut, (i + 1) * cut))
					const copied = new Place(new MemoryStore({ partitions: b }), tracker, namespace)
					const target = unsteady(copied.desk.store, back)
					await insist(() => restore({ store: target, namespace, snapshot: chunks() }))
					const now = origin.desk.clock.now()
					const minutes = agoMs.map((ago) => origin.desk.minute(ago))
					expect(await copied.read(minutes, now)).toEqual(await origin.read(minutes, now))
				},
			),
			{ numRuns: 30 },
		)
	}, 60_000)
})
