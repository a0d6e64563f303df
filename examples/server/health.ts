/** `GET /health`: the counter's health; 200 while it can store, 503 while hits can only be kept waiting. */
import { Router } from 'express'
import type { Counter } from '../../src/index.ts'

export function health(counter: Counter): Router {
	const router = Router()
	router.get('/health', async (_request, response) => {
		const { status, lastError, ...counting } = await counter.health()
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
