/** The application: what guards it, its routers in order, and how errors are told. */
import express, { type Express } from 'express'
import { operations } from './api/operations.ts'
import type { Counting } from './counting.ts'
import { dashboard } from './dashboard.ts'
import { answerError, notFound } from './errors.ts'
import { readKey as needsReadKey, writeKey } from './guards/api-key.ts'
import { crossOrigin } from './guards/cross-origin.ts'
import { strictHeaders } from './guards/headers.ts'
import { perAddress } from './guards/limits.ts'
import { methodNotAllowed } from './guards/methods.ts'
import { identity } from './identity.ts'
import { analytics } from './routes/analytics.ts'
import { badges } from './routes/badges.ts'
import { buckets } from './routes/buckets.ts'
import { counters } from './routes/counters.ts'
import { docs } from './routes/docs.ts'
import { events } from './routes/events.ts'
import { health } from './routes/health.ts'
import { metrics } from './routes/metrics.ts'
import { site } from './routes/site.ts'
import { tally } from './routes/tally.ts'
import { tracking } from './routes/track.ts'
import { visits } from './routes/visits.ts'
import type { Settings } from './settings.ts'
import type { Tracker } from './tracker.ts'

export interface AppOptions
	extends Partial<Pick<Settings, 'visitorSecret' | 'apiKey' | 'readKey' | 'corsOrigin' | 'trustProxy' | 'rateLimit' | 'eventMaxAgeDays'>> {
	readonly counting: Counting
	/** Told of every request. */
	readonly tracker?: Tracker | undefined
	/** Ends what would otherwise keep a connection open. */
	readonly stopping?: AbortSignal | undefined
}

export function createApp(options: AppOptions): Express {
	const { counting, visitorSecret, apiKey, readKey, corsOrigin, trustProxy = ['loopback'], rateLimit, tracker, stopping } = options
	const who = identity(counting.pages, visitorSecret)
	const app = express()
	app.disable('x-powered-by')
	// Who may say, in X-Forwarded-For, whose request it brings. From anybody else it is not looked at.
	app.set('trust proxy', trustProxy)

	const { timed, router: metricsRouter } = metrics(counting)
	app.use(timed, strictHeaders())
	if (tracker !== undefined) app.use(tracker.middleware(who.visitorOf))
	if (corsOrigin !== undefined) app.use(crossOrigin(corsOrigin))
	if (rateLimit !== undefined) app.use(perAddress(rateLimit))
	if (apiKey !== undefined) app.use(writeKey(apiKey, operations))
	// Who may write may read.
	if (readKey !== undefined) app.use(needsReadKey(apiKey === undefined ? [readKey] : [readKey, apiKey], operations))

	app.use(
		visits(counting, who),
		tracking(counting, who),
		events(counting, who, { maxAgeDays: options.eventMaxAgeDays }),
		counters(counting),
		analytics(counting),
		buckets(counting),
		badges(counting, who),
		tally(counting, who),
		site(counting, who),
		health(counting),
		metricsRouter,
		dashboard(counting.pages, { stopping }),
		docs(),
	)
	app.use(methodNotAllowed(operations), notFound, answerError)
	return app
}
