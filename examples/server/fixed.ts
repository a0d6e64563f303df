/** An answer that is always the same: its bytes and its ETag are made once, and every response sends those. */
import { createHash } from 'node:crypto'
import type { Response } from 'express'

export interface Fixed {
	/** As `response.type` takes it. */
	readonly type: string
	readonly body: Buffer
	readonly etag: string
}

export function fixed(type: string, content: string | Buffer): Fixed {
	const body = typeof content === 'string' ? Buffer.from(content) : content
	return { type, body, etag: `"${createHash('sha256').update(body).digest('base64url')}"` }
}

/** 304 where the client has it already. */
export function sendFixed(response: Response, { type, body, etag }: Fixed): void {
	response.set('ETag', etag).type(type).send(body)
}
