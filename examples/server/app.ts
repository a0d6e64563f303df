/** The application: its routers in order, and what all of them share. */
import express, { type Express } from 'express'
import { anonymousVisitor } from '../../src/express.ts'
import type { Counter } from '../../src/index.ts'
import { answerError, notFound } from './errors.ts'
import { health } from './health.ts'
import { site } from './site.ts'
import { stats } from './stats.ts'
import { visits } from './visits.ts'

export interface AppOptions {
	readonly counter: Counter
	/** @default random for each process */
	readonly visitorSecret?: string | undefined
}

export function createApp({ counter, visitorSecret }: AppOptions): Express {
	const visitor = anonymousVisitor(visitorSecret === undefined ? {} : { secret: visitorSecret })
	const app = express()
	app.disable('x-powered-by')
	// A proxy on this machine may say whose request it brings; anybody else's X-Forwarded-For is not looked at.
	app.set('trust proxy', 'loopback')
	app.use(visits(counter, visitor), site(counter, visitor), stats(counter), health(counter))
	app.use(notFound, answerError)
	return app
}
