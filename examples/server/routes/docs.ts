/** The API's description: `/openapi.json`. */
import { Router } from 'express'
import { documentOf } from '../api/document.ts'
import { operations } from '../api/operations.ts'

export function docs(): Router {
	const router = Router()
	const document = documentOf(operations)
	router.get('/openapi.json', (_request, response) => void response.json(document))
	return router
}
