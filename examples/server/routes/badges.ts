/** Badges: `GET /badge/:page_id.svg` is a picture of a page's number, `/badge/:page_id.json` what shields.io draws one from. */
import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { type BadgeEndpoint, badge, badgeAnswer, badgeColors, badgeEndpoint } from '../../../src/badge.ts'
import { hitCounter } from '../../../src/express.ts'
import { type Operation, serve } from '../api/operation.ts'
import { flag, pageParams, shownAs } from '../api/schemas.ts'
import type { Counting } from '../counting.ts'
import type { Identity } from '../identity.ts'

const colors = Object.keys(badgeColors) as [keyof typeof badgeColors]
const wanted = `Expected #rgb, #rrggbb, or one of ${colors.join(', ')}`
const color = z.union(
	[z.enum(colors), z.templateLiteral(['#', z.string()]).refine((text) => /^#([\da-f]{3}|[\da-f]{6})$/i.test(text), wanted)],
	wanted,
)

const query = z.object({
	label: z.string().max(256).default('views'),
	color: color
		.default('blue')
		.meta({ description: 'A name, or `#rrggbb` (the # as %23).', override: shownAs({ type: 'string', default: 'blue' }) }),
	metric: z.enum(['hits', 'uniques']).default('hits'),
	count: flag(false, 'Counts a view of the page, after this answer. Without it, looking at a badge counts nothing.'),
})

const svg = {
	method: 'get',
	path: '/badge/:page_id.svg',
	tag: 'Badges',
	summary: "A page's number as a picture",
	params: pageParams,
	query: query.extend({ style: z.enum(['flat', 'flat-square']).default('flat') }),
	answers: {
		200: { description: 'The badge, to be asked for again each time', type: 'image/svg+xml', headers: { ETag: 'Of this badge' } },
		304: { description: 'The badge is the same as before' },
	},
} as const satisfies Operation

const json = {
	method: 'get',
	path: '/badge/:page_id.json',
	tag: 'Badges',
	summary: "A page's number for an endpoint badge of shields.io",
	params: pageParams,
	query,
	answers: {
		200: {
			description: 'What shields.io reads',
			schema: z.object({ schemaVersion: z.literal(1), label: z.string(), message: z.string(), color: z.string() }),
			headers: { ETag: 'Of this badge' },
		},
		304: { description: 'The badge is the same as before' },
	},
} as const satisfies Operation

export const badgeOperations = [svg, json]

export function badges({ pages: counter }: Counting, { visitor: visitorOf }: Identity): Router {
	const router = Router()
	const numberOf = async (page: string, { metric }: z.output<typeof query>): Promise<number> =>
		metric === 'uniques' ? (await counter.uniques(page)).value : counter.count(page)
	const counted = hitCounter<CountedRequest>({
		counter,
		key: (request) => request.countedPage,
		// A proxy of images asks for somebody who looks at the page; whose it is nobody knows.
		classify: (request, lane) => (lane === 'bot' && isImageProxy(request) ? 'human' : lane),
		visitor: (request) => (isImageProxy(request) ? undefined : visitorOf(request)),
	})
	router.get(['/badge/:page_id.svg', '/badge/:page_id.json'], counted)

	serve(router, svg, async ({ params: { page_id: page }, query, request, response }) => {
		const { label, color, style, count } = query
		const value = await numberOf(page, query)
		if (count) (request as CountedRequest).countedPage = page
		send(response, badge({ label, value, color, style }), request.get('if-none-match'))
	})
	serve(router, json, async ({ params: { page_id: page }, query, request, response }) => {
		const { label, color, count } = query
		const value = await numberOf(page, query)
		if (count) (request as CountedRequest).countedPage = page
		send(response, badgeEndpoint({ label, value, color }), request.get('if-none-match'))
	})
	return router
}

/** A request for a badge that counts says so when its query was checked. */
interface CountedRequest extends Request {
	countedPage?: string
}

/** GitHub's, Google's. */
function isImageProxy(request: Request): boolean {
	return /^github-camo|GoogleImageProxy/.test(request.get('user-agent') ?? '')
}

function send(response: Response, drawn: string | BadgeEndpoint, ifNoneMatch: string | undefined): void {
	const { status, headers, body } = badgeAnswer(drawn, ifNoneMatch)
	response.status(status).set(headers).end(body)
}
