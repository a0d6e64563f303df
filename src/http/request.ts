/** A request as the counting reads it, whatever the framework. */
import { look } from './look.ts'

/** How an adapter's requests are read. Nothing is made for it: a request stays the framework's own. */
export interface RequestReader<Request> {
	/** What all middlewares of a request share. Where it is not there: the request itself. */
	readonly subject?: (request: Request) => object
	readonly method: (request: Request) => string
	/** The request target as it was sent: path and query, perhaps with scheme and host before them. */
	readonly target: (request: Request) => string
	/** A header by its name in lower case. */
	readonly header: (request: Request, name: string) => string | undefined
	/** The client's address as the framework trusts it; no header is read for it here. */
	readonly address: (request: Request) => string | undefined
	/** The pattern of the route that answered, such as `/users/:id`, where there is one. */
	readonly route: (request: Request) => string | undefined
}

/** The headers of a request, as Node has them. */
export interface NodeHeaders {
	readonly [name: string]: string | readonly string[] | undefined
}

/** Where a header is looked up: Node's object, or the `Headers` of a fetch request. */
export type HeaderBag = NodeHeaders | { get(name: string): string | null }

/** One header of Node's object; the first where several of the name were kept apart. */
export function headerOf(headers: NodeHeaders, name: string): string | undefined {
	const value = headers[name]
	return typeof value === 'string' || value === undefined ? value : value[0]
}

/** What is read of Node's own request. */
export interface NodeRequest {
	readonly headers: NodeHeaders
	/** Names and values in turn, as they came. */
	readonly rawHeaders?: readonly string[] | undefined
	readonly httpVersionMajor?: number | undefined
	/** `errored`: why it ended before its time. */
	readonly socket?: { readonly errored?: unknown } | undefined
}

/**
 * To be called on entry: makes a request keep its address over HTTP/2, where a response that has finished has no connection any more to read it from.
 * The functions in the options read it from the same place. Over HTTP/1 the connection is still there, and nothing is done.
 */
export function keepAddress(request: { readonly ip?: string | undefined }, { httpVersionMajor = 1 }: NodeRequest): void {
	if (httpVersionMajor < 2) return
	try {
		Object.defineProperty(request, 'ip', { value: request.ip, writable: true, configurable: true })
	} catch {
		// The client has left already: its page will not be counted.
	}
}

/** Names that are asked of every page: all are found in one look through a request's list. */
const usual = ['user-agent', 'sec-purpose', 'purpose', 'x-moz', 'next-router-prefetch', 'sec-gpc', 'dnt'] as const
/** Whether one of them is of that length. */
const isUsualLength = Array.from({ length: 256 }, (_, length) => usual.some((name) => name.length === length))

/** The list that was looked through last, for the questions about one request come one after another, and what was found in it. */
let lastList: readonly string[] | undefined
const found: (string | undefined)[] = usual.map(() => undefined)

function lookThrough(rawHeaders: readonly string[]): void {
	lastList = rawHeaders
	for (let index = 0; index < usual.length; index++) found[index] = undefined
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const each = rawHeaders[at]!
		if (isUsualLength[each.length] !== true) continue
		for (let index = 0; index < usual.length; index++) {
			if (found[index] === undefined && isNamed(each, usual[index]!)) found[index] = rawHeaders[at + 1]
		}
	}
}

/**
 * One header of Node's request. Not from `headers`, which Node makes of the list when it is first read: that costs more than all the counting, and many
 * pages need none of it. Cookies are, for they may come in several pieces.
 */
export function nodeHeader(request: NodeRequest, name: string): string | undefined {
	const rawHeaders = look(request, 'rawHeaders')
	if (rawHeaders === undefined || name === 'cookie') return headerOf(request.headers, name)
	if (rawHeaders !== lastList) lookThrough(rawHeaders)
	for (let index = 0; index < usual.length; index++) if (usual[index] === name) return found[index]
	for (let at = 0; at < rawHeaders.length; at += 2) if (isNamed(rawHeaders[at]!, name)) return rawHeaders[at + 1]
	return undefined
}

/** Whether a header's name as it came is `name`, which is in lower case. */
function isNamed(each: string, name: string): boolean {
	// Most others are told by their first letter: no string is made for them.
	return each.length === name.length && (each.charCodeAt(0) | 0x20) === name.charCodeAt(0) && each.toLowerCase() === name
}

/** One header, wherever it is looked up. */
export function headerIn(headers: HeaderBag | undefined, name: string): string | undefined {
	if (headers === undefined) return undefined
	if (typeof headers.get === 'function') return headers.get(name) ?? undefined
	return headerOf(headers as NodeHeaders, name)
}

/** User agents are read up to here: a header may have 16 kB, and what looks at it may take long for that. */
export const longestUserAgent = 512

/** What is longer is not looked at for a cookie. */
const longestCookies = 8_192

/** The value of a cookie, as it was sent, or undefined. Of several with the name the first. */
export function cookieIn(header: string | undefined, name: string): string | undefined {
	if (header === undefined || header.length > longestCookies) return undefined
	for (let at = 0; at < header.length; ) {
		let end = header.indexOf(';', at)
		if (end === -1) end = header.length
		const sign = header.indexOf('=', at)
		if (sign !== -1 && sign < end && header.slice(at, sign).trim() === name) return header.slice(sign + 1, end).trim()
		at = end + 1
	}
	return undefined
}
