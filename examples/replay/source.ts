/** Where the lines come from: a file, read as a stream, or the log that the project makes itself. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { sampleLog } from './sample-log.ts'

export interface LogSource {
	readonly name: string
	readonly bytes: number
	/** The lines, some at a time, with how many bytes had been read by then. */
	pieces(): AsyncIterable<{ readonly lines: readonly string[]; readonly bytesRead: number }>
}

/** A line of the log has no more; what is longer is cut, so that a file without line ends takes no memory. */
const longestLine = 65_536

export async function fileSource(path: string): Promise<LogSource> {
	const { size } = await stat(path)
	async function* pieces() {
		const stream = createReadStream(path, 'utf8')
		let rest = ''
		for await (const chunk of stream) {
			const lines = `${rest}${chunk}`.split('\n')
			rest = lines.pop()!.slice(0, longestLine)
			yield { lines, bytesRead: stream.bytesRead }
		}
		if (rest !== '') yield { lines: [rest], bytesRead: size }
	}
	return { name: path, bytes: size, pieces }
}

export function sampleSource(): LogSource {
	const lines = sampleLog()
	const bytes = lines.join('\n').length
	async function* pieces() {
		yield { lines, bytesRead: bytes }
	}
	return { name: 'the sample log', bytes, pieces }
}
