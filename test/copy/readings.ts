/** Everything that can be read of a namespace, to hold two stores against each other. */
import { type Lane, lanes, type Store } from '../../src/stores/store.ts'
import { Desk, type Writer } from '../../src/testing/contract/desk.ts'
import { type Bucket, granularities, lengthMs, startOf, total } from '../../src/time/granularity.ts'
import type { TrackerName } from '../../src/visitors/trackers.ts'

/** Keys that are hard on whoever builds names of them. */
export const keys = ['/home', '__proto__', '{a}b', 'a:b*', '=', '#copy', '*', '😀', 'a\nb\0', '\uffff', '']
	.map((key) => key || ' ')
	.concat(Array.from({ length: 12 }, (_, i) => `/${i}`))

/** Settings that are not the defaults. */
export const settings = {
	uniquesPer: ['total', 'hour', 'day'],
	retention: { minute: lengthMs.day, hour: 3 * lengthMs.day, day: 30 * lengthMs.day },
	trendHalfLifeMs: lengthMs.hour,
} as const

/** A namespace of a store. */
export class Place {
	readonly desk: Desk
	readonly writer: Writer

	constructor(store: Store, tracker: TrackerName, namespace?: string) {
		this.desk = new Desk(store, tracker, false)
		if (namespace !== undefined) Object.assign(this.desk, { namespace })
		this.writer = this.desk.open(settings)
	}

	/** Every number that was counted in these minutes, by what it is. */
	async read(minutes: readonly number[], now: number): Promise<Record<string, unknown>> {
		const buckets: Bucket[] = [
			total,
			...granularities.flatMap((level) =>
				[...new Set(minutes.map((minute) => startOf(level, minute)))].map((start): Bucket => ({ level, start })),
			),
		]
		const out: Record<string, unknown> = {}
		for (const lane of lanes) Object.assign(out, await this.#lane(lane, buckets, now))
		return out
	}

	async #lane(lane: Lane, buckets: readonly Bucket[], now: number): Promise<Record<string, unknown>> {
		const { writer } = this
		const out: Record<string, unknown> = {}
		out[`${lane} list`] = await writer.list('', 5, lane)
		for (const key of keys) out[`${lane} hits ${key}`] = await writer.counts(key, buckets, lane)
		const tracked = buckets.filter(({ level }) => level !== 'minute')
		const sets: (readonly Bucket[])[] = [...tracked.map((bucket) => [bucket]), tracked.filter(({ level }) => level === 'day')]
		for (const set of sets) {
			for (const of of [...keys.map((key) => [key]), keys.slice(0, 3), 'all'] as const) {
				out[`${lane} visitors ${of} ${JSON.stringify(set)}`] = await writer.uniques(of, set, lane)
			}
		}
		for (const bucket of buckets) {
			out[`${lane} all ${JSON.stringify(bucket)}`] = await writer.all(bucket, lane)
			out[`${lane} top ${JSON.stringify(bucket)}`] = await writer.top({ lane, buckets: [bucket] })
			if (bucket.level !== 'minute')
				out[`${lane} top visitors ${bucket.level} ${bucket.start}`] = await writer.top({ lane, buckets: [bucket], by: 'uniques' })
		}
		const scores = await writer.trending(100, now, lane)
		// Nine digits: powers of 2 are rounded.
		out[`${lane} trending`] = Object.fromEntries(scores.map(({ key, score }) => [key, Number(score.toPrecision(9))]))
		return out
	}
}
