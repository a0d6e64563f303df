/** `npm run replay -- <log file>`: counts a web server's log, or sends it to the example server. */
import { parseArgs } from 'node:util'
import { countLog } from './count.ts'
import { countText, sendText } from './print.ts'
import { progressOn } from './progress.ts'
import { sendLog } from './send.ts'
import { fileSource, sampleSource } from './source.ts'

const usage = `Usage: npm run replay -- [log file] [options]

Counts a log in the combined format, each line at its own time. Without a file: a small sample log.

  --uniques set|hyperloglog   how distinct visitors are counted (hyperloglog)
  --top N                     how many targets are listed (10)
  --url URL                   send the log's requests to a running example server (npm start) in place of counting here,
                              and hold its numbers against what it acknowledged. The address of each line goes along as
                              X-Forwarded-For, which the server believes when it comes from its own machine. A server
                              elsewhere is sent to as well, without asking: choose one that is yours
  --concurrency N             requests under way at a time (100)
  --json                      the numbers as JSON
  --help                      this text`

class UsageError extends Error {}

async function main(): Promise<void> {
	const { values, positionals } = argumentsOf()
	if (values.help) return console.log(usage)
	if (positionals.length > 1) throw new UsageError(`Expected one log file, got ${positionals.length}`)
	const { uniques = 'hyperloglog' } = values
	if (uniques !== 'set' && uniques !== 'hyperloglog') throw new UsageError(`Expected --uniques to be set or hyperloglog, got ${uniques}`)
	const top = whole('--top', values.top, 10, 10_000)
	const concurrency = whole('--concurrency', values.concurrency, 100, 10_000)
	const url = values.url === undefined ? undefined : urlFrom(values.url)
	const [path] = positionals
	const source = path === undefined ? sampleSource() : await fileSource(path)
	const progress = progressOn(process.stderr, source.bytes)

	if (url === undefined) {
		const report = await countLog(source, { uniques, top, progress })
		console.log(values.json ? JSON.stringify(report, null, 2) : countText(report, process.stdout.columns ?? 100))
		return
	}
	const report = await sendLog(source, { url, concurrency, progress })
	console.log(values.json ? JSON.stringify(report, null, 2) : sendText(report))
	if (!report.agrees || report.failed.length > 0) process.exitCode = 1
}

function argumentsOf() {
	const text = { type: 'string' } as const
	const flag = { type: 'boolean' } as const
	try {
		return parseArgs({
			allowPositionals: true,
			options: { uniques: text, top: text, url: text, concurrency: text, json: flag, help: flag },
		})
	} catch (error) {
		throw new UsageError((error as Error).message)
	}
}

function whole(name: string, text: string | undefined, fallback: number, most: number): number {
	if (text === undefined) return fallback
	const value = /^\d+$/.test(text) ? Number(text) : 0
	if (value < 1 || value > most) throw new UsageError(`Expected ${name} to be a whole number from 1 to ${most}, got ${text}`)
	return value
}

function urlFrom(text: string): URL {
	const url = URL.canParse(text) ? new URL(text) : undefined
	if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
		throw new UsageError(`Expected --url to be an http or https URL, got ${text}`)
	return url
}

main().catch((error: Error) => {
	console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : error.message)
	process.exitCode = error instanceof UsageError ? 2 : 1
})
