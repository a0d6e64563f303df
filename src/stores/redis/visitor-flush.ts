/** The visitors of a batch on their way: which commands, for which keys, until each was acknowledged. */

import { REGISTERS } from '../../sketches/coupon.ts'
import { type Bucket, deadlineOf, startOf, total } from '../../time/granularity.ts'
import type { VisitorDelta, VisitorTracker } from '../../visitors/tracker.ts'
import type { HitsBatch, SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import { ALL, type Keys, memberOf } from './keys.ts'
import { type Crowd, visitorForm } from './visitor-form.ts'

/** Deadlines, and crowds, that are remembered; forgotten as a whole when they are more. */
const DEADLINES = 50_000
const CROWDS = 12

/** What the server is known to have, of a partition; forgotten when it may have lost something. */
export class KnownVisitors {
	readonly #deadlines = new Set<string>()
	readonly #crowds = new Map<string, Crowd>()

	/** Whether the server has the deadline of a key. */
	hasDeadline(key: string): boolean {
		return this.#deadlines.has(key)
	}

	addDeadline(key: string): void {
		if (this.#deadlines.size >= DEADLINES) this.#deadlines.clear()
		this.#deadlines.add(key)
	}

	/**
	 * The visitors of all keys that the server has in all of the Redis keys of `name`. They are sent to it with every page, and change less and less.
	 * (Those of one key could be remembered likewise, were it not that another process can delete them.)
	 */
	crowd(name: string): Crowd {
		let crowd = this.#crowds.get(name)
		if (crowd === undefined) {
			if (this.#crowds.size >= CROWDS) this.#crowds.clear()
			crowd = new Uint8Array(REGISTERS)
			this.#crowds.set(name, crowd)
		}
		return crowd
	}

	clear(): void {
		this.#deadlines.clear()
		this.#crowds.clear()
	}
}

/** One key's visitors, ready to be sent; `expires`: the key the deadline is for. */
export interface VisitorCommand {
	readonly command: Command
	readonly expires?: string
}

export class VisitorFlush {
	/** Nothing is left to be sent. */
	done = false
	/** They were sent again later than the hits they came with. */
	again = false
	/** Roughly what keeping it costs. */
	readonly bytes: number
	readonly #batch: HitsBatch
	readonly #tracker: VisitorTracker
	readonly #settings: SessionSettings
	readonly #keys: Keys
	#attempts = 0
	/** Of the last attempt. */
	#learn: (() => void)[] = []

	constructor(batch: HitsBatch, tracker: VisitorTracker, settings: SessionSettings, keys: Keys) {
		this.#batch = batch
		this.#tracker = tracker
		this.#settings = settings
		this.#keys = keys
		const form = visitorForm(tracker)
		let bytes = 0
		for (const { deltas } of batch.groups) for (const { visitors } of deltas) if (visitors !== undefined) bytes += form.bytes(visitors)
		this.bytes = bytes
	}

	/** Everything was acknowledged. */
	end(): void {
		this.done = true
		for (const learn of this.#learn) learn()
		this.#learn = []
	}

	/** Everything, every time: what was there already is not changed by it. */
	commands(known: KnownVisitors): VisitorCommand[] {
		const form = visitorForm(this.#tracker)
		const { partition, sequence } = this.#batch
		const { writer } = this.#settings
		const now = this.#settings.clock.now()
		const out: VisitorCommand[] = []
		// A name of its own for each attempt, so that a late copy of an earlier one takes nothing away from this one.
		const attempt = `${writer}:${sequence}:${this.#attempts++}`
		this.#learn = []
		let temporaries = 0
		const temporary = () => this.#keys.temporary(partition, `${attempt}:${temporaries++}`)
		for (const { lane, minute, deltas } of this.#batch.groups) {
			const buckets = this.#buckets(minute).filter((bucket) => now < deadlineOf(bucket, this.#settings.retention))
			const add = (member: string, visitors: readonly VisitorDelta[]) => {
				const keys = buckets.map((bucket) => this.#keys.visitors(partition, lane, bucket, member))
				const prepared = form.prepare(visitors, member === ALL ? known.crowd(keys.join(' ')) : undefined)
				this.#learn.push(prepared.learn)
				for (const [i, bucket] of buckets.entries()) {
					const key = keys[i]!
					for (const each of prepared.send(key, temporary)) out.push({ command: each })
					if (bucket.level === 'total' || known.hasDeadline(key)) continue
					const seconds = Math.ceil(deadlineOf(bucket, this.#settings.retention) / 1_000)
					out.push({ command: command('expireat', key, seconds), expires: key })
				}
			}
			const everyone: VisitorDelta[] = []
			for (const { key, visitors } of deltas) {
				if (visitors === undefined) continue
				everyone.push(visitors)
				add(memberOf(key), [visitors])
			}
			if (everyone.length > 0) add(ALL, everyone)
		}
		return out
	}

	#buckets(minute: number): Bucket[] {
		const { uniquesPer, retention } = this.#settings
		return uniquesPer.flatMap((level): Bucket[] => {
			if (level === 'total') return [total]
			return retention[level] > 0 ? [{ level, start: startOf(level, minute) }] : []
		})
	}
}
