/**
 * Counters that clients make and name, apart from the pages: `/counters`.
 *
 * That a counter exists are hits in its lane 'own', its number is in the lane 'human', so that one that was never incremented is there, with 0. The hits
 * in 'own' say how often a counter of its name had been deleted before it, and one more: each counter that ever had the name is told from the others.
 *
 * One process of those that make the same counter at the same time makes it, for the hit has an id, which counts once: the name and that number, which
 * only a deletion changes.
 */
import { createHash } from 'node:crypto'
import { Router } from 'express'
import { z } from 'zod'
import { otherKey } from '../../../src/index.ts'
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
	reads: true,
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
	reads: true,
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
		'idempotency-key': z.string().min(1).max(256).optional().meta({
			description:
				'The same key twice increments a counter once, within a day: a request without an answer can be sent again. A counter that is made again after it was deleted is another one.',
		}),
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

export function counters({ named, deleted }: Counting): Router {
	const router = Router()
	const turns = new Turns()
	const state = async (name: string) => ({ name, counter: await named.count(name) })

	/** 0: there is no such counter. Otherwise which of those that had the name it is. */
	const made = async (name: string): Promise<number> => (name === otherKey ? 0 : named.lane('own').count(name))
	const existing = async (name: string): Promise<number> => {
		const which = await made(name)
		if (which === 0) throw new HttpError(404, 'ERR_NOT_FOUND', `There is no counter ${name}`)
		return which
	}
	const exists = (name: string) => new HttpError(409, 'ERR_EXISTS', `There is a counter ${name} already`)

	serve(router, list, async ({ query: { limit, cursor }, response }) => {
		const page = await named.lane('own').list({ limit, ...(cursor !== undefined && { cursor }) })
		if (page.cursor !== undefined) response.links({ next: `/counters?limit=${limit}&cursor=${encodeURIComponent(page.cursor)}` })
		response.json(await Promise.all(page.keys.filter((key) => key !== otherKey).map(state)))
	})

	serve(router, create, async ({ params: { name }, response }) => {
		if (name === otherKey) throw new HttpError(409, 'ERR_EXISTS', `The name ${otherKey} is taken`)
		await turns.alone(name, async () => {
			if ((await made(name)) > 0) throw exists(name)
			const [before, left] = await Promise.all([deleted.count(groupOf(name)), named.count(name)])
			const receipt = await named.hit(name, { lane: 'own', by: before + 1, id: `made:${before}:${name}` })
			if (!receipt.counted && receipt.reason === 'duplicate') throw exists(name)
			assertCounted(receipt)
			if (receipt.key !== name) {
				// Its id is used up; later there may be room.
				await deleted.hit(groupOf(name))
				throw new HttpError(507, 'ERR_TOO_MANY', 'There are as many counters as this server keeps')
			}
			// Of an increment in another process, while the counter of that name before it was deleted.
			if (left > 0) await named.set(name, 0)
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
		const after = await turns.together(name, async () => {
			const which = await existing(name)
			const key = headers['idempotency-key']
			// With its length, no other name and key read the same.
			const id = key && `put:${which}:${name.length}:${name}${key}`
			const receipt = await named.hit(name, { by: body?.by ?? 1, id })
			if (receipt.counted || receipt.reason !== 'duplicate') assertCounted(receipt)
			return state(name)
		})
		response.json(after)
	})

	serve(router, remove, async ({ params: { name }, response }) => {
		await turns.alone(name, async () => {
			// First, so that whoever makes it again finds the number changed, whatever happens in between.
			if ((await made(name)) > 0) await deleted.hit(groupOf(name))
			await named.delete(name)
		})
		response.status(204).end()
	})
	return router
}

/** What deletions are counted under: names without end would be keys without end, and to whoever makes a counter others' deletions do not matter. */
function groupOf(name: string): string {
	return createHash('sha256').update(name).digest('hex').slice(0, 3)
}

/** Who looks at a counter and then writes it, under its name: some together, as increments are, or alone. */
class Turns {
	readonly #lines = new Map<string, { alone: Promise<unknown>; all: Promise<unknown> }>()

	/** After all who came before; whoever comes later waits. */
	alone<T>(name: string, turn: () => Promise<T>): Promise<T> {
		const mine = (this.#lines.get(name)?.all ?? Promise.resolve()).then(turn, turn)
		this.#line(name, mine, mine)
		return mine
	}

	/** After those before who are alone, beside the others. */
	together<T>(name: string, turn: () => Promise<T>): Promise<T> {
		const { alone, all } = this.#lines.get(name) ?? { alone: Promise.resolve(), all: Promise.resolve() }
		const mine = alone.then(turn, turn)
		this.#line(name, alone, Promise.allSettled([all, mine]))
		return mine
	}

	#line(name: string, alone: Promise<unknown>, all: Promise<unknown>): void {
		this.#lines.set(name, { alone, all })
		const done = () => {
			if (this.#lines.get(name)?.all === all) this.#lines.delete(name)
		}
		all.then(done, done)
	}
}
