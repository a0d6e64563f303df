/**
 * Starts the server: `npm start`. The environment says where and how (README.md beside this file lists what); REDIS_URL, REDIS_NODES or REDIS_CLUSTER
 * keep the numbers in Redis, where several servers share them. `-- --tracker simple|rate|db` says after each request how many there were. SIGTERM and
 * SIGINT stop it without losing a hit; where the store does not take what waits, it says how much that is and exits with 1.
 */
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import type { TallymarkError } from '../../src/index.ts'
import { createApp } from './app.ts'
import { openCounting } from './counting.ts'
import { httpServer } from './listen.ts'
import { type Settings, settingsFrom } from './settings.ts'
import { stop } from './stop.ts'
import { storeFrom } from './store.ts'
import { openTracker, type TrackerKind, trackerKinds } from './tracker.ts'

const endpoints = 'POST /visit/:page_id, GET /visits/:page_id, GET /stats, GET /health, a site to count under /site; all of them: /docs'

function main(settings: Settings, trackerKind: TrackerKind | undefined): void {
	const { port, host, maxPages } = settings
	const store = storeFrom(settings)
	if (trackerKind === 'db' && store === undefined) {
		throw new Error(
			'Expected REDIS_URL, REDIS_NODES or REDIS_CLUSTER to be set for --tracker db: Redis is the store that outlives the process',
		)
	}
	const onError = (error: TallymarkError) => console.error(`${error.code}: ${error.message}`)
	const counting = openCounting({ store, maxPages, onError })
	const tracker = trackerKind && openTracker({ kind: trackerKind, store, print: (line) => console.log(line), onError })
	const stopping = new AbortController()
	const server = httpServer(createApp({ ...settings, counting, tracker, stopping: stopping.signal }))
	server.once('error', fail)
	server.listen(port, host, () => console.log(`Counting at ${urlOf(server.address() as AddressInfo)}: ${endpoints}`))

	const onSignal = (signal: NodeJS.Signals) => {
		if (stopping.signal.aborted) process.exit(1)
		stopping.abort()
		console.log(`${signal}: finishing what is under way (once more to exit at once)`)
		stop(server, counting, tracker).then(({ hits = 'unknown', pages = 'unknown', unstored }) => {
			console.log(`hits total ${hits}, pages ${pages}, unstored ${unstored}`)
			process.exit(unstored === 0 ? 0 : 1)
		}, fail)
	}
	process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
}

function urlOf({ address, family, port }: AddressInfo): string {
	return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

function fail(error: unknown): void {
	console.error(error instanceof Error ? error.message : error)
	process.exit(1)
}

function trackerFrom(args: readonly string[]): TrackerKind | undefined {
	const { tracker } = parseArgs({ args: [...args], options: { tracker: { type: 'string' } } }).values
	const kind = trackerKinds.find((each) => each === tracker)
	if (tracker !== kind) throw new Error(`Expected --tracker to be ${trackerKinds.join(', ')}, got ${JSON.stringify(tracker)}`)
	return kind
}

try {
	main(settingsFrom(process.env), trackerFrom(process.argv.slice(2)))
} catch (error) {
	fail(error)
}
