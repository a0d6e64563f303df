/** The schemas that several endpoints share. `meta` is what the OpenAPI document says of them. */
import { z } from 'zod'
import { type Lane, lanes } from '../../../src/stores/store.ts'

export const pageId = z
	.string()
	.min(1)
	.meta({ description: 'Any text, percent-encoded as one path segment; at most 512 bytes of UTF-8.', example: 'home' })

export const pageParams = z.object({ page_id: pageId })

export const granularity = z.enum(['minute', 'hour', 'day'])

export const lane = z.enum(lanes as readonly [Lane, ...Lane[]])

export const laneQuery = lane.default('human').meta({ description: 'The kind of traffic to read.' })

export const count = z.int().min(0)

/** For what reads a query's text into something else: the document shows what it means in place of how it is read. */
export function shownAs(schema: Readonly<Record<string, unknown>>) {
	return ({ jsonSchema }: { jsonSchema: object }): void => {
		for (const name of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[name]
		Object.assign(jsonSchema, schema)
	}
}

/** A whole number in a query, where everything is text. */
export function whole(least: number, most: number, fallback: number, description: string) {
	const message = `Expected a whole number from ${least} to ${most}`
	return z
		.string(message)
		.regex(/^\d{1,9}$/, message)
		.transform(Number)
		.pipe(z.int().min(least, message).max(most, message))
		.default(fallback)
		.meta({ description, override: shownAs({ type: 'integer', minimum: least, maximum: most, default: fallback }) })
}

/** `?flag`, `?flag=1`, `?flag=true`: on; `?flag=0`, `?flag=false`: off. */
export function flag(fallback: boolean, description: string) {
	return z
		.enum(['', '1', 'true', '0', 'false'])
		.transform((text) => text === '' || text === '1' || text === 'true')
		.default(fallback)
		.meta({ description, override: shownAs({ type: 'string', enum: ['1', 'true', '0', 'false'], default: fallback ? '1' : '0' }) })
}

/** Every error, whatever its status. */
export const errorAnswer = z
	.object({ error: z.object({ code: z.string().meta({ example: 'ERR_BAD_REQUEST' }), message: z.string() }) })
	.meta({ id: 'Error', description: 'Codes are stable, messages are for people.' })

export const success = z.object({ status: z.literal('success'), message: z.string() }).meta({ id: 'Success' })
