/** Requests without a connection, as light-my-request makes them: their responses finish before they are closed, and some twice. */
import { createRequire } from 'node:module'
import express from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import { describe, expect, it } from 'vitest'
import { hitCounter as expressCounter } from '../../src/express.ts'
import { hitCounter as fastifyCounter } from '../../src/fastify.ts'
import type { HitTarget } from '../../src/http/hit-counter.ts'
import { hitCounter as koaCounter } from '../../src/koa.ts'
import { firefox, notebook, soon, warnings } from './support/served.ts'

type Inject = (target: object) => Promise<{ readonly statusCode: number; readonly body: string }>

/** Fastify's own. */
const injectInto: (app: unknown, target: object) => ReturnType<Inject> = createRequire(createRequire(import.meta.url).resolve('fastify'))(
	'light-my-request',
)

const sites: Record<string, (counter: HitTarget) => Inject> = {
	Express: (counter) => {
		const app = express()
		app.use(expressCounter({ counter }))
		app.get('/page', (_request, response) => void response.send('hello'))
		return (target) => injectInto(app, target)
	},
	Koa: (counter) => {
		const app = new Koa()
		app.use(koaCounter({ counter }) as Koa.Middleware)
		app.use((context) => {
			if (context.path === '/page') context.body = 'hello'
		})
		return (target) => injectInto(app.callback(), target)
	},
	Fastify: (counter) => {
		const app = fastify()
		app.register(fastifyCounter, { counter })
		app.get('/page', async () => 'hello')
		return (target) => app.inject(target)
	},
}

describe.each(Object.entries(sites))('a request that is injected into %s', (_name, serve) => {
	it('counts once, and nothing is warned of', async () => {
		const counter = notebook()
		const seen = warnings()
		const inject = serve(counter)
		const headers = { 'user-agent': firefox }
		expect(await inject({ url: '/nowhere', headers })).toMatchObject({ statusCode: 404 })
		expect(await inject({ url: '/page', headers })).toMatchObject({ statusCode: 200, body: 'hello' })
		await soon(() => expect(counter.keys).toContain('/page'))
		// The second time would come with the next turns of the loop.
		for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
		expect(counter.hits).toEqual([{ key: '/page', visitor: expect.stringMatching(/^[\w-]{22}$/) }])
		expect(seen.filter(({ code }) => String(code).startsWith('TALLYMARK'))).toEqual([])
	})
})
