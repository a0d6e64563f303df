/** Errors as JSON: `{error: {code, message}}`. */
import type { NextFunction, Request, Response } from 'express'
import { type HitReceipt, isTallymarkError } from '../../src/index.ts'

/** An error that the client is told of as it is. */
export class HttpError extends Error {
	readonly status: number
	readonly code: string

	constructor(status: number, code: string, message: string) {
		super(message)
		this.status = status
		this.code = code
	}
}

/** Throws 503 for a hit that was not counted. */
export function assertCounted(receipt: HitReceipt): void {
	if (!receipt.counted) throw new HttpError(503, 'ERR_NOT_COUNTED', `The hit was not counted: ${receipt.reason}`)
}

export function notFound(request: Request, _response: Response): never {
	throw new HttpError(404, 'ERR_NOT_FOUND', `There is no ${request.method} ${request.path}`)
}

/** Express knows an error handler by its four parameters. */
export function answerError(error: unknown, _request: Request, response: Response, next: NextFunction): void {
	// A response that has begun cannot become an error: Express ends the connection.
	if (response.headersSent) {
		next(error)
		return
	}
	const { status, code, message } = told(error)
	// What was meant to be told, as that there is no room, is no news for the log.
	if (status >= 500 && !(error instanceof HttpError)) console.error(error)
	response.status(status).json({ error: { code, message } })
}

/** What the client is told: all about its own mistakes, nothing about ours. */
function told(error: unknown): { status: number; code: string; message: string } {
	if (error instanceof HttpError) return error
	if (isTallymarkError(error)) return { status: statusOf(error.code), code: error.code, message: error.message }
	const { status, type, message } = error as { status?: unknown; type?: unknown; message?: unknown }
	if (type === 'entity.too.large') return { status: 413, code: 'ERR_BODY_TOO_LARGE', message: String(message) }
	if (typeof status === 'number' && status >= 400 && status < 500) {
		return { status, code: typeof type === 'string' ? 'ERR_BAD_BODY' : 'ERR_BAD_REQUEST', message: String(message) }
	}
	return { status: 500, code: 'ERR_INTERNAL', message: 'Something went wrong on our side' }
}

function statusOf(code: string): number {
	if (code === 'ERR_TALLYMARK_KEY' || code === 'ERR_TALLYMARK_ARGUMENT' || code === 'ERR_TALLYMARK_RANGE') return 400
	return code === 'ERR_TALLYMARK_STORE_UNAVAILABLE' || code === 'ERR_TALLYMARK_CLOSED' ? 503 : 500
}
