/**
 * An open loop: what is sent and when is decided beforehand, whatever the answers do. A server that stalls for a second keeps nobody from coming in that
 * second, so each request is due at its own time, and its latency counts from then. Measured from the moment of sending by clients that wait for their
 * turn, one stall would be one slow request among thousands of fast ones (coordinated omission).
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

export interface Pace {
	/** A second. */
	readonly rate: number
	readonly requests: number
	/** Called when a request is due; `dueAt` is when that was, by `performance.now()`. It must not throw. */
	readonly send: (index: number, dueAt: number) => void
}

/** Timers fire up to some milliseconds late; a loop that turns does not, and still lets answers come in. */
const timerSlackMs = 3

/** Resolves when the last request was sent. Requests that became due while this process was busy are sent at once, and stay due when they were. */
export async function paced({ rate, requests, send }: Pace): Promise<void> {
	const start = performance.now()
	for (let index = 0; index < requests; index++) {
		const dueAt = start + (index * 1_000) / rate
		for (let left = dueAt - performance.now(); left > 0; left = dueAt - performance.now()) {
			if (left > timerSlackMs) await sleep(left - timerSlackMs)
			else await nextTurn()
		}
		send(index, dueAt)
	}
}
