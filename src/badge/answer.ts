/** What to answer a request for a badge with, whatever serves it: status, headers, body. */
import { hashed, hashText } from '../hash/murmur64.ts'
import type { BadgeEndpoint } from './endpoint.ts'

export interface BadgeAnswer {
	/** 304 where the client has this badge already; the body is '' then. */
	readonly status: 200 | 304
	readonly headers: Readonly<Record<string, string>>
	readonly body: string
}

/**
 * The answer with `drawn`, an SVG text or what goes to shields.io. `no-cache` makes GitHub's image proxy, and browsers, ask each time; the ETag makes
 * that cheap. `ifNoneMatch` is the request's header of that name. Opened by itself, the picture may load and run nothing.
 */
export function badgeAnswer(drawn: string | BadgeEndpoint, ifNoneMatch?: string | null | undefined): BadgeAnswer {
	const picture = typeof drawn === 'string'
	const body = picture ? drawn : JSON.stringify(drawn)
	const etag = etagOf(body)
	const fresh = {
		ETag: etag,
		'Cache-Control': 'no-cache',
		// Other sites show it and read it; it says nothing that is not public.
		'Cross-Origin-Resource-Policy': 'cross-origin',
		'Access-Control-Allow-Origin': '*',
		'Content-Security-Policy': "default-src 'none'",
		'X-Content-Type-Options': 'nosniff',
	}
	if (matches(ifNoneMatch, etag)) return { status: 304, headers: fresh, body: '' }
	return {
		status: 200,
		headers: { ...fresh, 'Content-Type': picture ? 'image/svg+xml; charset=utf-8' : 'application/json; charset=utf-8' },
		body,
	}
}

function etagOf(body: string): string {
	hashText(body)
	return `"${[hashed[1]!, hashed[0]!].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('')}"`
}

/** RFC 9110, 13.1.2: compared weakly, `*` matches anything. */
function matches(header: string | null | undefined, etag: string): boolean {
	if (header === undefined || header === null) return false
	return header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}
