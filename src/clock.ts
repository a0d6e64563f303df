/** Time as a port: everything that asks for the time or waits goes through it, so that tests turn the clock by hand. */

/** A moment: a `Date`, or milliseconds since 1970-01-01 UTC. */
export type Time = Date | number

/** A timer that was set; cancelling it twice, or after it fired, does nothing. */
export interface Timer {
	cancel(): void
}

/** The time and its timers. */
export interface Clock {
	/** Milliseconds since 1970-01-01 UTC. May jump: use it to name buckets and ages, never to prove an order. */
	now(): number
	/** Calls `callback` once, after `ms` milliseconds. The timer never keeps the process alive. */
	setTimer(callback: () => void, ms: number): Timer
}

/** Node warns and fires at once above this. */
const longestTimerMs = 2 ** 31 - 1

/** The system's clock; its timers are unref'd where the runtime can do that. */
export const systemClock: Clock = {
	now: Date.now,
	setTimer(callback, ms) {
		const handle: unknown = setTimeout(callback, Math.min(ms, longestTimerMs))
		// Browsers and edge runtimes answer a number, Node an object.
		if (typeof handle === 'object' && handle !== null) (handle as { unref?(): void }).unref?.()
		return { cancel: () => clearTimeout(handle as Parameters<typeof clearTimeout>[0]) }
	},
}
