/**
 * Visitors known by a cookie: a random id that the server signs, so that nobody can make one up. More exact than an address and a browser's name, and a
 * thing to ask people's consent for. It is set with the first page that counts in the human lane, and not renewed: after `maxAgeMs` everybody is somebody
 * new. Who keeps no cookies is a new visitor with each page. In the other lanes hits have a visitor only where there is a cookie already.
 */
import { type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto'
import { expected } from '../errors.ts'
import { refuseUnknown } from './options.ts'
import { cookieIn, type HeaderBag, headerIn, type RequestReader } from './request.ts'
import { idFrom, keyFrom } from './visitor.ts'
import { type VisitorSource, visitorSource } from './visitor-source.ts'

export interface CookieVisitorOptions {
	/** Signs the ids: at least 16 bytes. Of several the first signs and all are accepted, so that one can be replaced. */
	readonly secret: string | Uint8Array | readonly (string | Uint8Array)[]
	/** Letters, digits, `.`, `_` and `-`. @default 'tm_visitor' */
	readonly name?: string
	/** How long a browser keeps it. 1,000 to 34,560,000,000 (400 days, which is as long as browsers do). @default 31_536_000_000 (365 days) */
	readonly maxAgeMs?: number
	/** Whether it is sent over https only. `false` for a site on plain http. @default true */
	readonly secure?: boolean
	/** The part of the site that it is sent to. @default '/' */
	readonly path?: string
}

const longestAgeMs = 400 * 86_400_000
const code = 'ERR_TALLYMARK_OPTION'

function subjectOf<Request extends object>(request: Request, read: RequestReader<Request>): object {
	return read.subject?.(request) ?? request
}

class CookieSource implements VisitorSource {
	readonly #name: string
	readonly #attributes: string
	readonly #keys: readonly KeyObject[]
	/** Ids whose cookie is on its way with the response, by what the middlewares of a request share: a second one sets no second cookie. */
	readonly #given = new WeakMap<object, string>()

	constructor(options: CookieVisitorOptions) {
		refuseUnknown(options, { secret: true, name: true, maxAgeMs: true, secure: true, path: true })
		const { secret, name = 'tm_visitor', maxAgeMs = 31_536_000_000, secure = true, path = '/' } = options
		if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name))
			throw expected(code, 'name', '1 to 64 letters, digits, `.`, `_` or `-`', name)
		if (!Number.isSafeInteger(maxAgeMs) || maxAgeMs < 1_000 || maxAgeMs > longestAgeMs) {
			throw expected(code, 'maxAgeMs', `a whole number from 1000 to ${longestAgeMs}`, maxAgeMs)
		}
		if (typeof secure !== 'boolean') throw expected(code, 'secure', 'true or false', secure)
		if (typeof path !== 'string' || !/^\/[!-:<-~]*$/.test(path)) throw expected(code, 'path', 'a path such as /', path)
		const secrets: readonly unknown[] = Array.isArray(secret) ? secret : [secret]
		if (secrets.length === 0) throw expected(code, 'secret', 'at least one secret', secrets)
		this.#name = name
		this.#keys = secrets.map(keyFrom)
		this.#attributes = `; Path=${path}; Max-Age=${Math.floor(maxAgeMs / 1_000)}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
	}

	identify<Request>(request: Request, read: RequestReader<Request>): string | undefined {
		return this.#given.get(subjectOf(request as Request & object, read)) ?? this.known(read.header(request, 'cookie'))
	}

	cookie<Request extends object>(request: Request, read: RequestReader<Request>): string | undefined {
		const subject = subjectOf(request, read)
		if (this.#given.has(subject) || this.known(read.header(request, 'cookie')) !== undefined) return undefined
		const id = randomBytes(16).toString('base64url')
		this.#given.set(subject, id)
		return `${this.#name}=${id}.${this.#signature(this.#keys[0]!, id)}${this.#attributes}`
	}

	/** The id in a `Cookie` header, if we signed it. */
	known(header: string | undefined): string | undefined {
		const [, id, signature] = /^([\w-]{22})\.([\w-]{22})$/.exec(cookieIn(header, this.#name) ?? '') ?? []
		if (id === undefined || signature === undefined) return undefined
		const given = Buffer.from(signature)
		return this.#keys.some((key) => timingSafeEqual(given, Buffer.from(this.#signature(key, id)))) ? id : undefined
	}

	/** With the name in it, so that a cookie of another name is none of this one. */
	#signature(key: KeyObject, id: string): string {
		return idFrom(key, `${this.#name}.${id}`)
	}
}

/**
 * Makes a `visitor` for a middleware, which sets the cookie where there is none, or one that was forged. Called by itself with a request it answers the
 * id of a cookie that is there, or undefined, and sets nothing. Throws `ERR_TALLYMARK_OPTION`.
 */
export function cookieVisitor(options: CookieVisitorOptions): (request: { readonly headers?: HeaderBag }) => string | undefined {
	const source = new CookieSource(options)
	return Object.assign((request: { readonly headers?: HeaderBag }) => source.known(headerIn(request.headers, 'cookie')), {
		[visitorSource]: source,
	})
}
