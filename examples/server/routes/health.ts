/** `GET /health`: how counting goes; 200 while the server can store, 503 while hits can only be kept waiting. */
import { Router } from 'express'
import { z } from 'zod'
import { type Operation, serve } from '../api/operation.ts'
import { count } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'

const answer = z
	.object({
		status: z.enum(['up', 'degraded', 'down']),
		timestamp: z.iso.datetime(),
		service: z.string(),
		store: z.string(),
		nodes: z.array(
			z.object({ name: z.string(), status: z.enum(['up', 'down']), latencyMs: z.number().optional(), reason: z.string().optional() }),
		),
		pendingKeys: count,
		pendingHits: count,
		oldestPendingMs: z.number(),
		dropped: count,
		rolledBack: count,
		lastError: z.object({ code: z.string(), message: z.string() }).optional(),
	})
	.meta({ id: 'Health' })

const operation = {
	method: 'get',
	path: '/health',
	tag: 'Server',
	summary: 'How counting goes',
	answers: {
		200: { description: 'The store takes what comes, or most of it (`degraded`)', schema: answer },
		503: { description: 'The store is down: hits are kept, up to a bound', schema: answer },
	},
} as const satisfies Operation

export const healthOperations = [operation]

export function health({ pages }: Counting): Router {
	const router = Router()
	serve(router, operation, async ({ response }) => {
		const { status, lastError, ...counting } = await pages.health()
		response.status(status === 'down' ? 503 : 200).json({
			status,
			timestamp: new Date().toISOString(),
			service: 'tallymark-example',
			...counting,
			...(lastError && { lastError: { code: lastError.code, message: lastError.message } }),
		})
	})
	return router
}
