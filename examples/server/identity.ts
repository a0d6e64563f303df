/** Who it was: an anonymous visitor by address and browser, or a user that the client names. */
import { randomBytes } from 'node:crypto'
import type { Request } from 'express'
import { anonymousVisitor, keyedVisitor } from '../../src/express.ts'
import type { Counter } from '../../src/index.ts'

type Visitor = (request: Request) => string | undefined | Promise<string | undefined>

export interface Identity {
	/** For the middleware, which itself heeds who asks not to be followed. */
	readonly visitor: Visitor
	/** undefined where no address is known, or the request asks not to be followed (GPC, DNT): the hit counts without a visitor. */
	readonly visitorOf: Visitor
	/** The visitor who stands for a client's own id of a user. Keyed: the hash behind the estimates is public, and who chose its input could forge it. */
	readonly userOf: (id: string) => Promise<string>
}

const yearMs = 366 * 86_400_000

/**
 * `secret`: at least 16 characters, the same in every process that counts together. Without one the keys are random and shared through the store: that of
 * anonymous visitors for a day, that of users for a year.
 */
export function identity(counter: Counter, secret: string | undefined): Identity {
	const visitor: Visitor = secret === undefined ? anonymousVisitor({ counter }) : anonymousVisitor({ secret })
	let keyed: Promise<(id: string) => string> | undefined = secret === undefined ? undefined : Promise.resolve(keyedVisitor(secret))

	async function sharedKey(): Promise<(id: string) => string> {
		return keyedVisitor(await counter.share({ name: 'user-key', value: randomBytes(32).toString('base64url'), ttlMs: yearMs }))
	}
	return {
		visitor,
		visitorOf: (request) => (request.get('sec-gpc') === '1' || request.get('dnt') === '1' ? undefined : visitor(request)),
		async userOf(id) {
			keyed ??= sharedKey()
			// A store that is away now may be back for the next: what failed is not kept.
			keyed.catch(() => {
				keyed = undefined
			})
			return (await keyed)(`user ${id}`)
		},
	}
}
