/** The visitors of a batch on their way: which commands, for which keys, until each was acknowledged. */
import { type Bucket, deadlineOf, startOf, total } from '../../time/granularity.ts'
import type { VisitorDelta, VisitorTracker } from '../../visitors/tracker.ts'
import type { HitsBatch, SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import { ALL, type Keys, memberOf } from './keys.ts'
import { visitorForm } from './visitor-form.ts'

/** The keys of which the server is known to have the deadline; forgotten as a whole when they are many, or when the server may have lost them. */
const DEADLINES = 50_000

export class KnownDeadlines {
	readonly #keys = new Set<string>()

	has(key: string): boolean {
		return this.#keys.has(key)
	}

	add(key: string): void {
		if (this.#keys.size >= DEADLINES) this.#keys.clear()
		this.#keys.add(key)
	}

	clear(): void {
		this.#keys.clear()
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
	readonly #batch: HitsBatch
	readonly #tracker: VisitorTracker
	readonly #settings: SessionSettings
	readonly #keys: Keys
	#attempts = 0

	constructor(batch: HitsBatch, tracker: VisitorTracker, settings: SessionSettings, keys: Keys) {
		this.#batch = batch
		this.#tracker = tracker
		this.#settings = settings
		this.#keys = keys
	}

	/** Everything, every time: what was there already is not changed by it. */
	commands(known: KnownDeadlines): VisitorCommand[] {
		const form = visitorForm(this.#tracker)
		const { partition, sequence } = this.#batch
		const { writer } = this.#settings
		const now = this.#settings.clock.now()
		const out: VisitorCommand[] = []
		// A name of its own for each attempt, so that a late copy of an earlier one takes nothing away from this one.
		const attempt = `${writer}:${sequence}:${this.#attempts++}`
		let temporaries = 0
		const temporary = () => this.#keys.temporary(partition, `${attempt}:${temporaries++}`)
		for (const { lane, minute, deltas } of this.#batch.groups) {
			const buckets = this.#buckets(minute).filter((bucket) => now < deadlineOf(bucket, this.#settings.retention))
			const add = (member: string, visitors: readonly VisitorDelta[]) => {
				const send = form.prepare(visitors)
				for (const bucket of buckets) {
					const key = this.#keys.visitors(partition, lane, bucket, member)
					for (const each of send(key, temporary)) out.push({ command: each })
					if (bucket.level === 'total' || known.has(key)) continue
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
