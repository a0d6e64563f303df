/** The OpenAPI document: every operation, from the schemas that check its requests. */
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi'
import type { Answer, Operation } from './operation.ts'
import { errorAnswer } from './schemas.ts'

const common: Readonly<Record<number, Answer>> = {
	400: { description: 'The request is not as it has to be' },
	429: { description: 'Too many requests from this address' },
	503: { description: 'The store cannot be reached, or hits can no longer be kept' },
}
const ofWrites: Readonly<Record<number, Answer>> = {
	413: { description: 'The body is too large' },
	415: { description: 'The body is not JSON' },
}

export function documentOf(operations: readonly Operation[]) {
	const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
	for (const operation of operations) {
		const path = operation.path.replace(/:(\w+)/g, '{$1}')
		paths[path] = { ...paths[path], [operation.method]: described(operation) }
	}
	return createDocument({
		openapi: '3.1.0',
		info: {
			title: 'tallymark example server',
			version: '1.0.0',
			description: 'Counts page views and whatever else clients make counters for. Times are UTC; errors are JSON with a stable code.',
			license: { name: 'MIT', identifier: 'MIT' },
		},
		servers: [{ url: '/' }],
		tags: [...new Set(operations.map(({ tag }) => tag))].map((name) => ({ name })),
		paths: paths as ZodOpenApiPathsObject,
		components: {
			securitySchemes: {
				key: {
					type: 'http',
					scheme: 'bearer',
					description: 'Where the server has an API_KEY (for what writes) or a READ_KEY (for what tells numbers).',
				},
			},
		},
	})
}

function described(operation: Operation): ZodOpenApiOperationObject {
	const { method, path, tag, summary, description, writes, reads, params, query, headers, body, bodyOptional } = operation
	const answers = {
		...common,
		...(method !== 'get' && ofWrites),
		...((writes || reads) && { 401: { description: 'The API key is missing or wrong' } }),
		...operation.answers,
	}
	const example = body?.meta()?.['example']
	return {
		operationId: `${method}${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
		tags: [tag],
		summary,
		...(description !== undefined && { description }),
		...((writes || reads) && { security: [{}, { key: [] }] }),
		requestParams: { ...(params && { path: params }), ...(query && { query }), ...(headers && { header: headers }) } as never,
		...(body && {
			requestBody: {
				required: !bodyOptional,
				content: { 'application/json': { schema: body, ...(example !== undefined && { example }) } },
			},
		}),
		responses: Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, responseOf(Number(status), answer)])),
	}
}

function responseOf(status: number, { description, schema, type, headers }: Answer) {
	const json = schema ?? (status >= 400 ? errorAnswer : undefined)
	return {
		description,
		...(headers && {
			headers: Object.fromEntries(
				Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: 'string' as const } }]),
			),
		}),
		...(json && { content: { 'application/json': { schema: json } } }),
		...(type !== undefined && { content: { [type]: { schema: { type: 'string' as const } } } }),
	}
}
