/** Nobody waits for ever for a store. */
import type { Clock } from '../clock.ts'

/** `answer`, or a rejection with `tooLate()` after `ms`. What comes after that goes to `late`, which must not throw. */
export function inTime<T>(clock: Clock, answer: Promise<T>, ms: number, tooLate: () => Error, late?: (value: T) => void): Promise<T> {
	return new Promise((resolve, reject) => {
		let over = false
		const timer = clock.setTimer(() => {
			over = true
			reject(tooLate())
		}, ms)
		answer.then(
			(value) => {
				timer.cancel()
				if (over) late?.(value)
				else resolve(value)
			},
			(error: unknown) => {
				timer.cancel()
				reject(error)
			},
		)
	})
}
