/**
 * Starts the server: `npm start`. PORT (3000) and HOST (127.0.0.1) say where; REDIS_URL keeps the numbers in Redis, where several servers share them
 * (give them one VISITOR_SECRET). SIGTERM and SIGINT stop it without losing a hit.
 */
import type { AddressInfo } from 'node:net'
import { RedisStore } from '../../src/redis.ts'
import { createApp } from './app.ts'
import { openCounting } from './counting.ts'
import { type Settings, settingsFrom } from './settings.ts'
import { stop } from './stop.ts'

const endpoints = 'POST /visit/:page_id, GET /visits/:page_id, GET /stats, GET /health, and a site to count under /site'

function main({ port, host, redisUrl, visitorSecret }: Settings): void {
	const counting = openCounting({
		store: redisUrl === undefined ? undefined : new RedisStore(redisUrl),
		onError: (error) => console.error(`${error.code}: ${error.message}`),
	})
	const stopping = new AbortController()
	const server = createApp({ counting, visitorSecret, stopping: stopping.signal }).listen(port, host, (error) => {
		if (error) return fail(error)
		console.log(`Counting at ${urlOf(server.address() as AddressInfo)}: ${endpoints}`)
	})

	const onSignal = (signal: NodeJS.Signals) => {
		if (stopping.signal.aborted) process.exit(1)
		stopping.abort()
		console.log(`${signal}: finishing what is under way (once more to exit at once)`)
		stop(server, counting).then(({ hits = 'unknown', pages = 'unknown', unstored }) => {
			console.log(`hits total ${hits}, pages ${pages}, unstored ${unstored}`)
			process.exit(0)
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

try {
	main(settingsFrom(process.env))
} catch (error) {
	fail(error)
}
