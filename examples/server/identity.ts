/** Who it was: an anonymous visitor by address and browser, or a user that the client names. */

import { randomBytes } from 'node:crypto'
import type { Request } from 'express'
import { anonymousVisitor, keyedVisitor } from '../../src/express.ts'

export interface Identity {
	/** undefined where no address is known: the hit counts without a visitor. */
	readonly visitorOf: (request: Request) => string | undefined
	/** The visitor who stands for a client's own id of a user. Keyed: the hash behind the estimates is public, and who chose its input could forge it. */
	readonly userOf: (id: string) => string
}

/** `secret`: at least 16 characters, the same in every process that counts together. @default random for each process */
export function identity(secret: string = randomBytes(32).toString('base64url')): Identity {
	const keyed = keyedVisitor(secret)
	return { visitorOf: anonymousVisitor({ secret }), userOf: (id) => keyed(`user ${id}`) }
}
