/** What a command of the command line has of the world. */
import { clearLine, cursorTo } from 'node:readline'

export interface Io {
	/** A line on standard output. */
	print(line: string): void
	/** A line on standard error. */
	complain(line: string): void
	/** How far it has come: on a terminal in place, otherwise a line now and then. What came last is shown before anything else is printed. */
	progress(line: string): void
	/** Calls `act` on Ctrl-C or SIGTERM; answers how to stop that. */
	onInterrupt(act: () => void): () => void
}

/** Progress is not told more often than this: on a terminal, elsewhere. */
const TERMINAL_MS = 100
const LOG_MS = 5_000

export function processIo(): Io {
	const { stdout, stderr } = process
	let open = false
	let toldAt = Number.NEGATIVE_INFINITY
	/** What came too soon after another one. */
	let untold: string | undefined
	const tell = (line: string) => {
		untold = undefined
		if (!stderr.isTTY) {
			stderr.write(`${line}\n`)
			return
		}
		cursorTo(stderr, 0)
		clearLine(stderr, 0)
		stderr.write(line.slice(0, stderr.columns - 1))
		open = true
	}
	const close = () => {
		if (untold !== undefined) tell(untold)
		if (open) stderr.write('\n')
		open = false
		// What begins now is another task.
		toldAt = Number.NEGATIVE_INFINITY
	}
	return {
		print(line) {
			close()
			stdout.write(`${line}\n`)
		},
		complain(line) {
			close()
			stderr.write(`${line}\n`)
		},
		progress(line) {
			const now = performance.now()
			if (now - toldAt < (stderr.isTTY ? TERMINAL_MS : LOG_MS)) {
				untold = line
				return
			}
			toldAt = now
			tell(line)
		},
		onInterrupt(act) {
			process.once('SIGINT', act)
			process.once('SIGTERM', act)
			return () => {
				process.off('SIGINT', act)
				process.off('SIGTERM', act)
			}
		},
	}
}
