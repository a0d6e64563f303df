/**
 * `POST /events`: page views as events, one or many, each at its own time. The same `event_id` counts once within a day, so a client that hears no
 * answer sends the same again.
 */
import { Router } from 'express'
import { z } from 'zod'
import { keyOfPath } from '../../../src/express.ts'
import { type Operation, serve } from '../api/operation.ts'
import type { Counting } from '../counting.ts'
import { assertCounted, HttpError } from '../errors.ts'
import type { Identity } from '../identity.ts'

/** Under this the events without a page are counted. */
const noPage = '(no page)'
const dayMs = 86_400_000

/** For the examples, which can be sent as they are. */
const today = new Date(Math.floor(Date.now() / dayMs) * dayMs).toISOString()

const offsets = { offset: true, local: true }
/** The second is for minutes with an offset: without being told of minutes, zod takes them only where there is none. */
const isoMoment = z.union([z.iso.datetime(offsets), z.iso.datetime({ ...offsets, precision: -1 })], 'Invalid ISO datetime')

const event = z
	.object({
		event_id: z.guid().meta({ description: 'The same id counts once.' }),
		user_id: z.string().min(1).max(256),
		timestamp: isoMoment.meta({
			description:
				'ISO 8601, to the minute or finer; without an offset it is UTC. At most a day ahead, and 31 days back unless the server is told otherwise.',
			example: today,
		}),
		event_type: z.literal('page_view'),
		payload: z
			.object({
				page_url: z.string().min(1).max(8_192).optional().meta({
					description: 'Counted under its path, without host, query and fragment.',
					example: 'https://example.com/about?from=mail',
				}),
			})
			.optional(),
	})
	.meta({ id: 'Event' })

const recorded = z.object({ success: z.literal(true), message: z.string(), event_id: z.guid() }).meta({ id: 'Recorded' })
const recordedMany = z
	.object({ success: z.literal(true), message: z.string(), events: z.array(recorded) })
	.meta({ id: 'RecordedMany', description: 'In the order of the request.' })

const example = {
	event_id: '7d444840-9dc0-11d1-b245-5ffdce74fad2',
	user_id: 'user-1',
	timestamp: today,
	event_type: 'page_view' as const,
	payload: { page_url: 'https://example.com/about' },
}

const post = {
	method: 'post',
	path: '/events',
	tag: 'Events',
	summary: 'Record page views',
	description: 'One event, or an array of up to 1,000. An array is taken whole or, when one of its events is bad, not at all.',
	writes: true,
	body: z.union([event, z.array(event).min(1).max(1_000)]).meta({ example }),
	bodyLimit: 1_048_576,
	answers: {
		201: {
			description: 'Recorded, now or before',
			schema: z.union([recorded, recordedMany]).meta({ example: { success: true, message: 'Event recorded', event_id: example.event_id } }),
		},
	},
} as const satisfies Operation

export const eventOperations = [post]

type Event = z.output<typeof event>

export interface EventOptions {
	/** An event from longer ago is refused: each can make buckets of the page's own for its minute, hour and day. @default 31 */
	readonly maxAgeDays?: number | undefined
}

export function events({ pages }: Counting, { userOf }: Identity, { maxAgeDays = 31 }: EventOptions = {}): Router {
	const router = Router()

	async function record({ event_id, user_id, timestamp, payload }: Event): Promise<z.output<typeof recorded>> {
		const page = payload?.page_url === undefined ? noPage : keyOfPath(payload.page_url)
		const receipt = await pages.hit(page, { visitor: await userOf(user_id), at: momentOf(timestamp), id: event_id.toLowerCase() })
		const again = !receipt.counted && receipt.reason === 'duplicate'
		if (!again) assertCounted(receipt)
		return { success: true, message: again ? 'Event was recorded before' : 'Event recorded', event_id }
	}

	serve(router, post, async ({ body, response }) => {
		const many = Array.isArray(body) ? body : [body]
		const now = Date.now()
		for (const [index, { timestamp }] of many.entries()) {
			const moment = momentOf(timestamp)
			if (moment > now + dayMs || moment < Math.max(0, now - maxAgeDays * dayMs)) {
				const field = Array.isArray(body) ? `${index}.timestamp` : 'timestamp'
				throw new HttpError(400, 'ERR_BAD_REQUEST', `${field}: Expected at most ${maxAgeDays} days back and a day ahead, got ${timestamp}`)
			}
		}
		const answers = await Promise.all(many.map(record))
		response
			.status(201)
			.json(Array.isArray(body) ? { success: true, message: `${answers.length} events recorded`, events: answers } : answers[0])
	})
	return router
}

/** Epoch milliseconds. JavaScript takes a time without an offset for local time; here it is UTC, wherever the server stands. */
function momentOf(timestamp: string): number {
	return Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(timestamp) ? timestamp : `${timestamp}Z`)
}
