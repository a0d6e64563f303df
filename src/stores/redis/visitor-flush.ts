/** The visitors of a batch on their way: which commands, for which keys, until each was acknowledged. */

import { type Bucket, deadlineOf, startOf, total } from '../../time/granularity.ts'
import type { VisitorDelta, VisitorTracker } from '../../visitors/tracker.ts'
import type { HitsBatch, SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import { ALL, type Keys, memberOf } from './keys.ts'
import type { KnownVisitors } from './known-visitors.ts'
import { visitorForm } from './visitor-form.ts'

/** One key's visitors, ready to be sent; `expires`: the key the deadline is for. */
export interface VisitorCommand {
	readonly command: Command
	readonly expires?: string
}

/** How far a server's clock may be ahead of ours. */
const AHEAD_MS = 300_000

export class VisitorFlush {
	/** Nothing is left to be sent. */
	done = false
	/** They were sent again later than the hits they came with. */
	again = false
	/** Of those: the mark that lay in the partition by then; undefined: none did, or something was deleted at that moment. */
	mark: string | undefined
	/** Of those: the server may have lost them. */
	doubted = false
	/** Roughly what keeping it costs. */
	readonly bytes: number
	readonly #batch: HitsBatch
	readonly #tracker: VisitorTracker
	readonly #settings: SessionSettings
	readonly #keys: Keys
	#attempts = 0
	/** Of the last attempt: something of a key was left out, as known; and what can be learned from it. */
	#trusting = false
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

	/**
	 * The last attempt was acknowledged. `untouched`: nothing was deleted from the partition since before it, when `mark` lay there; otherwise what was left
	 * out goes too.
	 */
	acknowledge(untouched: boolean, mark: string | undefined): void {
		if (untouched) for (const learn of this.#learn) learn()
		this.#learn = []
		this.done = untouched || !this.#trusting
		this.again ||= !this.done
		this.mark = untouched ? mark : undefined
	}

	/** The server does not take them. */
	giveUp(): void {
		this.done = true
		this.#learn = []
	}

	/** Everything that is not known to be there: what was there already is not changed by it. */
	commands(known: KnownVisitors): VisitorCommand[] {
		const form = visitorForm(this.#tracker)
		const { partition, sequence } = this.#batch
		const { writer } = this.#settings
		const now = this.#settings.clock.now()
		const out: VisitorCommand[] = []
		// A name of its own for each attempt, so that a late copy of an earlier one takes nothing away from this one.
		const attempt = `${writer}:${sequence}:${this.#attempts++}`
		this.#learn = []
		this.#trusting = false
		let temporaries = 0
		const temporary = () => this.#keys.temporary(partition, `${attempt}:${temporaries++}`)
		for (const { lane, minute, deltas } of this.#batch.groups) {
			const buckets = this.#buckets(minute).filter((bucket) => now < deadlineOf(bucket, this.#settings.retention))
			const add = (member: string, visitors: readonly VisitorDelta[]) => {
				const keys = buckets.map((bucket) => this.#keys.visitors(partition, lane, bucket, member))
				const name = keys.join(' ')
				const prepared = form.prepare(visitors, () => (member === ALL ? known.crowd(name) : known.of(name)))
				if (member !== ALL) this.#trusting ||= prepared.trusting
				this.#learn.push(() => {
					prepared.learn()
					if (member !== ALL) known.learned(name)
				})
				if (keys.length > 0) for (const each of prepared.send(keys, temporary)) out.push({ command: each })
				for (const [i, bucket] of buckets.entries()) {
					const key = keys[i]!
					if (bucket.level === 'total') continue
					const deadline = deadlineOf(bucket, this.#settings.retention)
					// A server whose clock is ahead has dropped the key by then, and its visitors make it anew.
					if (deadline - now > AHEAD_MS && known.hasDeadline(key)) {
						this.#trusting ||= member !== ALL
						continue
					}
					const seconds = Math.ceil(deadline / 1_000)
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
