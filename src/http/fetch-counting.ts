/** Counting where a handler takes a `Request` and answers a `Response`: the response has finished when its body was read to the end. */
import { expected } from '../errors.ts'
import type { MaybePromise } from '../stores/store.ts'
import { claimByMark } from './claim.ts'
import { countable, failure, type HitCounterOptions, hitCounting, report, warn } from './hit-counter.ts'
import { visitorSource } from './visitor-source.ts'

/** What is read of a request; every `Request` has it. */
export interface FetchRequest {
	readonly method: string
	/** Whole, or from its path on. */
	readonly url: string
	readonly headers: { get(name: string): string | null }
}

/** What is read of a response; every `Response` has it. */
export interface FetchResponse {
	readonly status: number
	readonly statusText: string
	readonly headers: object
	readonly body: object | null
}

/** `Given`: what the handler is called with, of which the other functions get the first: the request, or Hono's context. */
export interface FetchHitCounterOptions<Given extends readonly [unknown, ...unknown[]]> extends HitCounterOptions<Given[0], FetchResponse> {
	/**
	 * The client's address, as the server knows it: a `Request` has none. Never take it from a header that clients can send. Where it throws, that is
	 * reported, and the request has none. @default none
	 */
	readonly address?: (...given: Given) => string | undefined
	/** Takes a promise that resolves when the hit is stored, for runtimes that stop when the response is over. @default none */
	readonly waitUntil?: (stored: Promise<unknown>, ...given: Given) => void
}

/** One request on its way. */
interface Exchange<Given> {
	readonly request: FetchRequest
	readonly given: Given
	/** null: it has none. undefined: not asked for yet. */
	address?: string | null
}

/** Checks the options, and makes a function that takes a response and answers the one to send. Throws `ERR_TALLYMARK_OPTION`. */
export function fetchCounting<Given extends readonly [unknown, ...unknown[]]>(
	options: FetchHitCounterOptions<Given>,
	route: (subject: Given[0]) => string | undefined,
): (request: FetchRequest, response: FetchResponse, ...given: Given) => FetchResponse {
	if (typeof options !== 'object' || options === null) throw expected('ERR_TALLYMARK_OPTION', 'options', 'an object', options)
	const { address, waitUntil, ...rest } = options
	for (const [name, option] of Object.entries({ address, waitUntil })) {
		if (option !== undefined && typeof option !== 'function') throw expected('ERR_TALLYMARK_OPTION', name, 'a function', option)
	}
	const counting = hitCounting<Exchange<Given>, FetchResponse>(
		ofSubjects(rest),
		{
			subject: ({ request }) => request,
			method: ({ request }) => request.method,
			target: ({ request }) => request.url,
			header: ({ request }, name) => request.headers.get(name) ?? undefined,
			address: (exchange) => {
				if (exchange.address === undefined) exchange.address = addressOf(exchange.given) ?? null
				return exchange.address ?? undefined
			},
			route: ({ given }) => route(given[0]),
		},
		claimByMark,
	)
	const { counter, visitor } = options
	/** Asked once for a request, so that it fails once. */
	function addressOf(given: Given): string | undefined {
		try {
			return address?.(...given)
		} catch (error) {
			report(counter, failure('address', error))
			return undefined
		}
	}
	if (address === undefined && visitor === undefined) {
		warn('hitCounter counts no visitors without an `address`, or with `visitor: false`, which says so', 'TALLYMARK_NO_ADDRESS')
	}

	return (request, response, ...given) => {
		if (!countable(request.method, response.status)) return response
		const exchange: Exchange<Given> = { request, given }
		const cookie = counting.cookie?.(exchange, response, response.status)
		let stored: (hit: Promise<unknown> | undefined) => void = () => {}
		if (waitUntil !== undefined) {
			const waited = new Promise((resolve) => {
				stored = (hit) => resolve(hit?.catch(() => {}).then(() => counter.flush?.()))
			}).catch(() => {})
			// Called at once; `async` for what is thrown, and for what a function that is async itself rejects with.
			const handedOver = async () => waitUntil(waited, ...given)
			handedOver().catch((error: unknown) => report(counter, failure('waitUntil', error)))
		}
		const ended = (complete: boolean) => stored(complete ? counting.finished(exchange, response, response.status, request) : undefined)
		const body = response.body as ReadableStream<Uint8Array> | null
		if (body === null) ended(true)
		if (body === null && cookie === undefined) return response
		const headers = new Headers(response.headers as Headers)
		if (cookie !== undefined) headers.append('set-cookie', cookie)
		return new Response(body && watched(body, ended), { status: response.status, statusText: response.statusText, headers })
	}
}

/** The same options for functions that take an exchange. A visitor of ours reads it by itself. */
function ofSubjects<Subject, Given extends readonly [Subject, ...unknown[]]>(
	options: HitCounterOptions<Subject, FetchResponse>,
): HitCounterOptions<Exchange<Given>, FetchResponse> {
	const { key, visitor, skip, classify, ...rest } = options
	const own = typeof visitor === 'function' && visitorSource in visitor
	return {
		...rest,
		...(key !== undefined && { key: typeof key === 'function' ? ({ given }) => key(given[0]) : key }),
		...(skip !== undefined && { skip: typeof skip === 'function' ? ({ given }, response) => skip(given[0], response) : skip }),
		...(classify !== undefined && {
			classify: typeof classify === 'function' ? ({ given }, lane) => classify(given[0], lane) : classify,
		}),
		...(visitor !== undefined && {
			visitor: own
				? (visitor as unknown as (exchange: Exchange<Given>) => MaybePromise<string | undefined>)
				: typeof visitor === 'function'
					? ({ given }: Exchange<Given>) => visitor(given[0])
					: visitor,
		}),
	}
}

/** The same bytes; `ended` is told, once, whether they were read to the end. */
function watched(body: ReadableStream<Uint8Array>, ended: (complete: boolean) => void): ReadableStream<Uint8Array> {
	const reader = body.getReader()
	return new ReadableStream<Uint8Array>(
		{
			async pull(controller) {
				try {
					const { done, value } = await reader.read()
					if (!done) return controller.enqueue(value)
					controller.close()
					ended(true)
				} catch (error) {
					ended(false)
					controller.error(error)
				}
			},
			cancel(reason) {
				ended(false)
				return reader.cancel(reason)
			},
		},
		// Nothing is read before it is asked for.
		{ highWaterMark: 0 },
	)
}
