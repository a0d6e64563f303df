/**
 * Counters that clients make and name, apart from the pages: `/counters`.
 *
 * That a counter exists is a hit in its lane 'own', its number is in the lane 'human'. So making one never writes the number: two processes that make
 * the same counter at the same moment lose no increment by it, and a counter that was never incremented is there, with 0.
 */
import { Router } from 'express'
import { z } from 'zod'
import { type Counter, otherKey } from '../../../src/index.ts'
import { type Operation, serve } from '../api/operation.ts'
import { count, whole } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import { assertCounted, HttpError } from '../errors.ts'

const params = z.object({
	name: z.string().min(1).meta({ description: 'Any text, percent-encoded as one path segment.', example: 'downloads' }),
})
const counter = z.object({ name: z.string(), counter: count }).meta({ id: 'Counter' })
const missing = { description: 'There is no such counter' }

const list = {
	method: 'get',
	path: '/counters',
	tag: 'Counters',
	summary: 'Every counter, by name',
	query: z.object({
		limit: whole(1, 1_000, 100, 'How many at most.'),
		cursor: z.string().min(1).optional().meta({ description: 'What the header `Link` of the page before says.' }),
	}),
	answers: {
		200: { description: 'The counters', schema: z.array(counter), headers: { Link: 'The next page, `rel="next"`, where there is one' } },
	},
} as const satisfies Operation

const create = {
	method: 'post',
	path: '/counters/:name',
	tag: 'Counters',
	summary: 'Make a counter, at 0',
	writes: true,
	params,
	answers: {
		201: { description: 'Made', schema: counter, headers: { Location: 'Where it is read' } },
		409: { description: 'There is one of that name' },
		507: { description: 'There are 10,000 counters already' },
	},
} as const satisfies Operation

const read = {
	method: 'get',
	path: '/counters/:name',
	tag: 'Counters',
	summary: 'Read a counter',
	params,
	answers: { 200: { description: 'The counter', schema: counter }, 404: missing },
} as const satisfies Operation

const increment = {
	method: 'put',
	path: '/counters/:name',
	tag: 'Counters',
	summary: 'Increment a counter',
	writes: true,
	params,
	headers: z.object({
		'idempotency-key': z
			.string()
			.min(1)
			.max(256)
			.optional()
			.meta({ description: 'The same key twice increments once, within a day: a request without an answer can be sent again.' }),
	}),
	body: z.object({ by: z.int().min(1).max(1_000_000_000).default(1) }).optional(),
	bodyOptional: true,
	answers: { 200: { description: 'The counter after it', schema: counter }, 404: missing },
} as const satisfies Operation

const remove = {
	method: 'delete',
	path: '/counters/:name',
	tag: 'Counters',
	summary: 'Delete a counter',
	writes: true,
	params,
	answers: { 204: { description: 'There is none of that name now' } },
} as const satisfies Operation

export const counterOperations = [list, create, read, increment, remove]

export function counters({ named }: Counting): Router {
	const router = Router()
	const inTurn = turns()
	const existing = async (name: string) => {
		if (!(await exists(named, name))) throw new HttpError(404, 'ERR_NOT_FOUND', `There is no counter ${name}`)
	}
	const state = async (name: string) => ({ name, counter: await named.count(name) })

	serve(router, list, async ({ query: { limit, cursor }, response }) => {
		const page = await named.lane('own').list({ limit, ...(cursor !== undefined && { cursor }) })
		if (page.cursor !== undefined) response.links({ next: `/counters?limit=${limit}&cursor=${encodeURIComponent(page.cursor)}` })
		response.json(await Promise.all(page.keys.filter((key) => key !== otherKey).map(state)))
	})

	serve(router, create, async ({ params: { name }, response }) => {
		if (name === otherKey) throw new HttpError(409, 'ERR_EXISTS', `The name ${otherKey} is taken`)
		await inTurn(name, async () => {
			if (await exists(named, name)) throw new HttpError(409, 'ERR_EXISTS', `There is a counter ${name} already`)
			const receipt = await named.hit(name, { lane: 'own' })
			assertCounted(receipt)
			if (receipt.key !== name) throw new HttpError(507, 'ERR_TOO_MANY', 'There are as many counters as this server keeps')
		})
		response
			.status(201)
			.location(`/counters/${encodeURIComponent(name)}`)
			.json({ name, counter: 0 })
	})

	serve(router, read, async ({ params: { name }, response }) => {
		await existing(name)
		response.json(await state(name))
	})

	serve(router, increment, async ({ params: { name }, body, headers, response }) => {
		await existing(name)
		const key = headers['idempotency-key']
		const receipt = await named.hit(name, { by: body?.by ?? 1, id: key && `${name} ${key}` })
		if (receipt.counted || receipt.reason !== 'duplicate') assertCounted(receipt)
		response.json(await state(name))
	})

	serve(router, remove, async ({ params: { name }, response }) => {
		await inTurn(name, () => named.delete(name))
		response.status(204).end()
	})
	return router
}

async function exists(named: Counter, name: string): Promise<boolean> {
	return name !== otherKey && (await named.lane('own').count(name)) > 0
}

/** Runs what is asked under one name one after the other: between looking whether a counter exists and making it, nobody else may. */
function turns(): <T>(name: string, turn: () => Promise<T>) => Promise<T> {
	const last = new Map<string, Promise<unknown>>()
	return (name, turn) => {
		const mine = (last.get(name) ?? Promise.resolve()).then(turn, turn)
		last.set(name, mine)
		const done = () => {
			if (last.get(name) === mine) last.delete(name)
		}
		mine.then(done, done)
		return mine
	}
}
