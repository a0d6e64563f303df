/**
 * What the store must hold, by the logs of the writers. Of a writer that was killed it is known only what it had stored for sure and what it may have
 * stored, so every number is a range; of the others both ends are the same.
 */
import type { Lane } from '../../src/stores/store.ts'
import { lengthMs, startOf } from '../../src/time/granularity.ts'
import { type PlannedHit, tickOf } from './hits.ts'
import type { Plan } from './plan.ts'
import type { WriterStory } from './writer-log.ts'

/** At least and at most. */
export interface Between {
	least: number
	most: number
}

export interface VisitorsBetween {
	readonly least: Set<string>
	readonly most: Set<string>
}

/** One key of one lane. */
export class KeyTruth {
	readonly minutes = new Map<number, Between>()
	/** By the start of the day. */
	readonly visitors = new Map<number, VisitorsBetween>()
	/** What corrections added to the all-time hits. */
	corrected = 0

	get total(): Between {
		const sum = { least: this.corrected, most: this.corrected }
		for (const { least, most } of this.minutes.values()) {
			sum.least += least
			sum.most += most
		}
		return sum
	}

	in(start: number, end: number): Between {
		const sum = { least: 0, most: 0 }
		for (const [minute, { least, most }] of this.minutes) {
			if (minute < start || minute >= end) continue
			sum.least += least
			sum.most += most
		}
		return sum
	}
}

export class Truth {
	readonly lanes = new Map<Lane, Map<string, KeyTruth>>()
	/** Of all keys together, by lane and the start of the day; a deletion takes nobody out. */
	readonly everyone = new Map<Lane, Map<number, VisitorsBetween>>()
	/** Hits that were counted for sure. */
	hits = 0
	/** Hits with an id that never had an answer. */
	unanswered = 0
	/** Hits with an id that were taken for duplicates of themselves, and so were never counted. */
	falseDuplicates = 0

	of(lane: Lane, key: string): KeyTruth {
		const keys = entry(this.lanes, lane, () => new Map<string, KeyTruth>())
		return entry(keys, key, () => new KeyTruth())
	}

	add({ key, lane, by, visitor }: PlannedHit, minute: number, isSure: boolean): void {
		const truth = this.of(lane, key)
		const count = entry(truth.minutes, minute, () => ({ least: 0, most: 0 }))
		count.most += by
		if (isSure) {
			count.least += by
			this.hits += by
		}
		if (visitor === undefined) return
		const day = startOf('day', minute)
		const days = entry(this.everyone, lane, () => new Map<number, VisitorsBetween>())
		for (const { least, most } of [entry(truth.visitors, day, nobody), entry(days, day, nobody)]) {
			most.add(visitor)
			if (isSure) least.add(visitor)
		}
	}

	set(key: string, hits: number): void {
		const truth = this.of('human', key)
		truth.corrected += hits - truth.total.least
	}

	delete(key: string): void {
		for (const keys of this.lanes.values()) keys.delete(key)
	}
}

/** The truth of a schedule that started at `start`. `complete`: corrections and deletions were made too. */
export function truthOf(plan: Plan, start: number, stories: readonly WriterStory[], complete: boolean): Truth {
	const truth = new Truth()
	for (const [i, story] of stories.entries()) {
		const writer = plan.writers[i]!
		const ended = story.summary !== undefined
		for (const [tick, { now, stored }] of story.ticks) {
			const { hits, operations } = tickOf(plan, writer, tick)
			for (const [at, hit] of hits.entries()) {
				const minute = hit.minute === undefined ? startOf('minute', now) : startOf('minute', start) + hit.minute * lengthMs.minute
				const name = `${tick} ${at}`
				if (hit.id === undefined) {
					if (!story.notCounted.has(name)) truth.add(hit, minute, ended || stored)
					continue
				}
				const answer = story.ids.get(name)
				if (answer?.outcome === 'unanswered') truth.unanswered += 1
				// Nobody else has this id: it was told to be counted, and is not.
				else if (answer?.outcome === 'duplicate') truth.falseDuplicates += 1
				else truth.add(hit, minute, answer !== undefined && (ended || answer.stored))
			}
			if (!complete) continue
			for (const operation of operations) {
				if (operation.kind === 'set') truth.set(operation.key, operation.hits)
				else truth.delete(operation.key)
			}
		}
	}
	return truth
}

function nobody(): VisitorsBetween {
	return { least: new Set(), most: new Set() }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
	let value = map.get(key)
	if (value === undefined) {
		value = make()
		map.set(key, value)
	}
	return value
}
