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
const aheadMs = 86_400_000

const event = z
	.object({
		event_id: z.guid().meta({ description: 'The same id counts once.' }),
		user_id: z.string().min(1).max(256),
		timestamp: z.iso
			.datetime({ offset: true, local: true })
			.meta({ description: 'ISO 8601; without an offset it is UTC. At most a day ahead.', example: '2026-01-31T12:00:00Z' }),
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
	timestamp: '2026-01-31T12:00:00Z',
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

export function events({ pages }: Counting, { userOf }: Identity): Router {
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
		for (const { timestamp, event_id } of many) {
			if (momentOf(timestamp) > Date.now() + aheadMs || momentOf(timestamp) < 0) {
				throw new HttpError(400, 'ERR_BAD_REQUEST', `timestamp: Expected from 1970 to a day ahead, got ${timestamp} (event ${event_id})`)
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
