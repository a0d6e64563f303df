/**
 * Which kind of traffic a request is. Everything is counted, each kind in a lane of its own; the public number is the human lane.
 *
 * In this order: `own` (the site's own people, as the options know them), `ai` and `bot` (by the user agent), `prefetch` (a browser fetched a page that
 * nobody may ever look at), `optout` (the visitor asks not to be followed), `human`. What a request says of itself can be a lie: nobody gets into the
 * human lane who could not be there as an ordinary browser.
 */
import { isbot } from 'isbot'
import { expected } from '../errors.ts'
import type { Lane } from '../stores/store.ts'
import { addressesIn } from './address.ts'
import { isAiCrawler } from './ai-crawlers.ts'
import { refuseUnknown } from './options.ts'
import { cookieIn, longestUserAgent, type RequestReader } from './request.ts'

/** How the site's own people are known; any of these will do. */
export interface OwnTraffic {
	/** Addresses (`192.0.2.1`) and networks (`10.0.0.0/8`, `2001:db8::/32`). */
	readonly addresses?: readonly string[]
	/** The name of a cookie that only they have; its value does not matter. */
	readonly cookie?: string
	/** The name of a header that only they send. */
	readonly header?: string
}

export interface LaneOptions {
	/** Tells from a user agent of at most 512 characters whether it is a bot's. An empty one is. @default isbot, which is inside of this package */
	readonly bots?: (userAgent: string) => boolean
	/** The site's own people, who go to the lane 'own'. @default nobody */
	readonly own?: OwnTraffic
}

/** User agents whose lane is remembered: there are few of them, and each costs a microsecond to look through. */
const most = 5_000

/** Makes a function that tells the lane of a request; `optedOut`: whether the request asks not to be followed. Throws `ERR_TALLYMARK_OPTION`. */
export function laneOf<Request>(read: RequestReader<Request>, options: LaneOptions): (request: Request, optedOut: boolean) => Lane {
	const { bots = isbot } = options
	if (typeof bots !== 'function') throw expected('ERR_TALLYMARK_OPTION', 'bots', 'a function', bots)
	const isOwn = options.own === undefined ? undefined : ownTraffic(read, options.own)
	const known = new Map<string, Lane>()

	const ofAgent = (agent: string | undefined): Lane => {
		// Every browser says what it is.
		if (agent === undefined || agent === '') return 'bot'
		const before = known.get(agent)
		if (before !== undefined) return before
		const seen = agent.slice(0, longestUserAgent)
		const lane = isAiCrawler(seen) ? 'ai' : bots(seen) ? 'bot' : 'human'
		// A long one would keep the whole header in memory.
		if (agent.length > longestUserAgent) return lane
		if (known.size >= most) known.clear()
		known.set(agent, lane)
		return lane
	}

	return (request, optedOut) => {
		if (isOwn?.(request)) return 'own'
		const lane = ofAgent(read.header(request, 'user-agent'))
		if (lane !== 'human') return lane
		if (isPrefetch(request, read)) return 'prefetch'
		return optedOut ? 'optout' : 'human'
	}
}

/** Whether a browser (or a router in it) fetches a page in advance: `Sec-Purpose: prefetch;prerender`, `Purpose`, `X-Moz`, Next.js's own. */
function isPrefetch<Request>(request: Request, read: RequestReader<Request>): boolean {
	const purpose = read.header(request, 'sec-purpose') ?? read.header(request, 'purpose') ?? read.header(request, 'x-moz')
	if (purpose !== undefined && /^\s*(?:prefetch|prerender|preview)\b/i.test(purpose)) return true
	return read.header(request, 'next-router-prefetch') !== undefined
}

/** Whether the visitor asks not to be followed: Global Privacy Control, Do Not Track. */
export function asksForPrivacy<Request>(request: Request, read: RequestReader<Request>): boolean {
	return read.header(request, 'sec-gpc') === '1' || read.header(request, 'dnt') === '1'
}

function ownTraffic<Request>(read: RequestReader<Request>, own: OwnTraffic): (request: Request) => boolean {
	refuseUnknown(own, { addresses: true, cookie: true, header: true })
	const { addresses = [], cookie, header } = own
	const code = 'ERR_TALLYMARK_OPTION'
	if (!Array.isArray(addresses)) throw expected(code, 'own.addresses', 'an array of addresses', addresses)
	for (const [name, value] of Object.entries({ 'own.cookie': cookie, 'own.header': header })) {
		if (value !== undefined && (typeof value !== 'string' || value === '')) throw expected(code, name, 'a name', value)
	}
	const isAddress = addressesIn('own.addresses', addresses)
	const headerName = header?.toLowerCase()
	return (request) =>
		(addresses.length > 0 && isAddress(read.address(request))) ||
		(cookie !== undefined && cookieIn(read.header(request, 'cookie'), cookie) !== undefined) ||
		(headerName !== undefined && read.header(request, headerName) !== undefined)
}
