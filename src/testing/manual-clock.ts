/** A clock that stands still until a test turns it. */
import type { Clock, Time, Timer } from '../clock.ts'
import { expected } from '../errors.ts'

/** Turns of the microtask queue between two timers: enough for a chain of some hundred awaits, too short to notice. */
const SETTLING_TURNS = 200

interface ManualTimer {
	/** On the axis of elapsed time, which no `set()` moves. */
	readonly due: number
	readonly callback: () => void
}

/**
 * Time and timers by hand. Timers fire in `advance()` only, in the order of their time (equal ones in the order they were set), and with `now()` at
 * the moment they were due. Between two of them promises settle, those of fake environments too: nothing but the microtask queue is used.
 */
export class ManualClock implements Clock {
	/** Milliseconds advanced so far. */
	#elapsed = 0
	/** What `now()` said when nothing had elapsed; moved by `set()`. */
	#origin: number
	/** In the order they were set. */
	readonly #timers = new Set<ManualTimer>()

	/** Starts at `start`. @default 2026-01-01T00:00Z */
	constructor(start: Time = Date.UTC(2026, 0, 1)) {
		this.#origin = millis('start', start)
	}

	now(): number {
		return this.#origin + this.#elapsed
	}

	/** As with `setTimeout`, no timer is shorter than a millisecond. */
	setTimer(callback: () => void, ms: number): Timer {
		const timer: ManualTimer = { due: this.#elapsed + Math.max(1, ms), callback }
		this.#timers.add(timer)
		return { cancel: () => void this.#timers.delete(timer) }
	}

	/** Timers that were set and neither fired nor were cancelled. */
	get pendingTimers(): number {
		return this.#timers.size
	}

	/** Lets `ms` milliseconds pass: fires what falls due, timers set on the way included. Rejects with what a timer throws. */
	async advance(ms: number): Promise<void> {
		if (!Number.isFinite(ms) || ms < 0) throw expected('ERR_TALLYMARK_ARGUMENT', 'ms', 'a finite number >= 0', ms)
		const end = this.#elapsed + ms
		await settle()
		for (let timer = this.#nextDue(end); timer !== undefined; timer = this.#nextDue(end)) {
			this.#timers.delete(timer)
			this.#elapsed = Math.max(this.#elapsed, timer.due)
			timer.callback()
			await settle()
		}
		this.#elapsed = Math.max(this.#elapsed, end)
		await settle()
	}

	/** Sets the time without letting any pass, forwards or back, as when the system's clock is corrected: timers stay as far off as they were. */
	set(time: Time): void {
		this.#origin = millis('time', time) - this.#elapsed
	}

	#nextDue(end: number): ManualTimer | undefined {
		let next: ManualTimer | undefined
		for (const timer of this.#timers) if (timer.due <= end && (next === undefined || timer.due < next.due)) next = timer
		return next
	}
}

/** Lets promises settle: those that are resolved, and what they lead to. */
async function settle(): Promise<void> {
	for (let turn = 0; turn < SETTLING_TURNS; turn++) await Promise.resolve()
}

function millis(name: string, time: Time): number {
	const ms = typeof time === 'number' ? time : time.getTime()
	if (!Number.isFinite(ms)) throw expected('ERR_TALLYMARK_ARGUMENT', name, 'a valid Date or finite milliseconds', time)
	return ms
}
