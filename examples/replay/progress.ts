/** How far the replay is, on standard error: a bar for a person, a line now and then for a log. */
import { SingleBar } from 'cli-progress'

export interface Progress {
	update(bytesRead: number, lines: number): void
	stop(): void
}

const everyMs = 5_000

export function progressOn(stream: NodeJS.WriteStream, totalBytes: number): Progress {
	const began = performance.now()
	const rateOf = (lines: number) => Math.round(lines / ((performance.now() - began) / 1000))
	if (stream.isTTY) {
		const bar = new SingleBar({
			stream,
			format: '{bar} {percentage} % | {lines} lines | {rate} a second | {eta_formatted} left',
			etaBuffer: 50,
		})
		bar.start(totalBytes, 0, { lines: 0, rate: 0 })
		return { update: (bytesRead, lines) => bar.update(bytesRead, { lines, rate: rateOf(lines) }), stop: () => bar.stop() }
	}
	let next = began + everyMs
	return {
		update(bytesRead, lines) {
			const now = performance.now()
			if (now < next) return
			next = now + everyMs
			const left = Math.ceil(((now - began) / 1000) * (totalBytes / bytesRead - 1))
			stream.write(`${Math.floor((100 * bytesRead) / totalBytes)} %, ${lines} lines, ${rateOf(lines)} a second, ${left} s left\n`)
		},
		stop() {},
	}
}

/** Says nothing: for tests and whoever reads the report only. */
export const noProgress: Progress = { update() {}, stop() {} }
