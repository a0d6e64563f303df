/** `npm run load -- --rate 500 --seconds 20`: a server under load, and whether it counted right. */
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { startServer } from './own-server.ts'
import { reportText } from './print.ts'
import { runLoad } from './run.ts'

const usage = `Usage: npm run load -- [options]

Sends visits (half of the requests) and readings to an example server at a steady rate, whatever its answers do, and tells how long they took, from
the time each was due. At the end it holds the server's counts against what the server acknowledged: the status is 1 where they differ, or where a
request failed.

  --rate N        requests a second (500)
  --seconds N     for so long (20)
  --pages N       different pages, load-1, load-2, ... (100): the second is visited half as often as the first, the third a third as often, ...
  --users N       different visitors, told apart by X-Forwarded-For (1000)
  --warm-up N     seconds of the same load before, counted but not measured (2)
  --url URL       a running server, in place of one of its own (which takes REDIS_URL and the like from the environment). Nobody else should visit
                  these pages at the time
  --json          the report as JSON
  --help          this text

API_KEY in the environment is the key of the server, if it asks for one.`

class UsageError extends Error {}

async function main(): Promise<void> {
	const values = argumentsOf()
	if (values.help) return console.log(usage)
	const rate = whole('--rate', values.rate, 500, 1, 100_000)
	const seconds = whole('--seconds', values.seconds, 20, 1, 86_400)
	const pages = whole('--pages', values.pages, 100, 1, 100_000)
	const users = whole('--users', values.users, 1_000, 1, 16_777_216)
	const warmUpSeconds = whole('--warm-up', values['warm-up'], 2, 0, 3_600)
	const given = values.url === undefined ? undefined : urlFrom(values.url)

	// As at any other end, the server goes with it.
	for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
	const server = given === undefined ? await startServer() : undefined
	try {
		const url = given ?? server!.url
		if (!values.json) console.log(`${rate} requests a second for ${seconds} s, ${pages} pages, ${users} users, ${url.origin}`)
		const bar = new SingleBar({
			stream: process.stderr,
			format: '{bar} {percentage} % | {value} of {total} answered | {eta_formatted} left',
		})
		bar.start((warmUpSeconds + seconds) * rate, 0)
		const report = await runLoad({
			...{ url, rate, seconds, pages, users, warmUpSeconds },
			apiKey: process.env['API_KEY'] || undefined,
			progress: (answered) => bar.update(answered),
		}).finally(() => bar.stop())
		console.log(values.json ? JSON.stringify(report, null, 2) : reportText(report))
		if (report.differences.length > 0 || Object.keys(report.failures).length > 0) process.exitCode = 1
	} finally {
		await server?.stop()
	}
}

function argumentsOf() {
	const text = { type: 'string' } as const
	const flag = { type: 'boolean' } as const
	try {
		return parseArgs({
			options: { rate: text, seconds: text, pages: text, users: text, 'warm-up': text, url: text, json: flag, help: flag },
		}).values
	} catch (error) {
		throw new UsageError((error as Error).message)
	}
}

function whole(name: string, text: string | undefined, fallback: number, least: number, most: number): number {
	if (text === undefined) return fallback
	const value = /^\d{1,9}$/.test(text) ? Number(text) : -1
	if (value < least || value > most) throw new UsageError(`Expected ${name} to be a whole number from ${least} to ${most}, got ${text}`)
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
