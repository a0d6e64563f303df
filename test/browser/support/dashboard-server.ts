/** The dashboard by itself, over a counter in memory whose clock says noon of a day in March. */
import type { AddressInfo } from 'node:net'
import express from 'express'
import { onTestFinished } from 'vitest'
import type { Summary } from '../../../examples/server/dashboard/shapes.ts'
import { dashboard } from '../../../examples/server/dashboard.ts'
import { answerError, notFound } from '../../../examples/server/errors.ts'
import { type Clock, Counter, type Store, systemClock } from '../../../src/index.ts'

export const noon = Date.UTC(2026, 2, 10, 12, 0, 5)

export interface DashboardServer {
	readonly counter: Counter
	readonly origin: string
	readonly clock: Clock
	/** As an application of its own would read it. */
	summary(): Promise<Summary>
	/** What SIGTERM does to it: it ends the streams. */
	readonly stopping: AbortController
	/** Resolves when the last connection is gone. */
	close(): Promise<void>
}

export async function dashboardServer({ store }: { store?: Store } = {}): Promise<DashboardServer> {
	const ahead = noon - Date.now()
	const clock: Clock = { now: () => Date.now() + ahead, setTimer: systemClock.setTimer }
	const counter = new Counter({ store, clock, uniquesPer: ['total', 'minute', 'hour', 'day'], cache: { staleMs: 0 } })
	const stopping = new AbortController()
	const app = express()
	app.use(dashboard(counter, { stopping: stopping.signal }))
	app.use(notFound, answerError)
	const server = app.listen(0, '127.0.0.1')
	await new Promise((resolve) => server.once('listening', resolve))
	onTestFinished(async () => {
		stopping.abort()
		server.close()
		server.closeAllConnections()
		await counter.close({ timeoutMs: 100 })
	})
	const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
	return {
		counter,
		origin,
		clock,
		summary: async () => (await fetch(`${origin}/dashboard/summary.json`)).json() as Promise<Summary>,
		stopping,
		close: () => new Promise((resolve) => server.close(() => resolve())),
	}
}
