/** The application: its routers in order, and what all of them share. */
import express, { type Express } from 'express'
import type { Counting } from './counting.ts'
import { answerError, notFound } from './errors.ts'
import { identity } from './identity.ts'
import { analytics } from './routes/analytics.ts'
import { buckets } from './routes/buckets.ts'
import { counters } from './routes/counters.ts'
import { docs } from './routes/docs.ts'
import { events } from './routes/events.ts'
import { health } from './routes/health.ts'
import { site } from './routes/site.ts'
import { tracking } from './routes/track.ts'
import { visits } from './routes/visits.ts'

export interface AppOptions {
	readonly counting: Counting
	/** @default random for each process */
	readonly visitorSecret?: string | undefined
}

export function createApp({ counting, visitorSecret }: AppOptions): Express {
	const who = identity(visitorSecret)
	const app = express()
	app.disable('x-powered-by')
	// A proxy on this machine may say whose request it brings; anybody else's X-Forwarded-For is not looked at.
	app.set('trust proxy', 'loopback')
	app.use(
		visits(counting, who),
		tracking(counting, who),
		events(counting, who),
		counters(counting),
		analytics(counting),
		buckets(counting),
		site(counting, who),
		health(counting),
		docs(),
	)
	app.use(notFound, answerError)
	return app
}
