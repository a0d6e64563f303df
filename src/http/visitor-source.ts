/** A way to know visitors that takes more than the framework's request: an address where a request has none, the counter's store, a cookie to set. */
import type { MaybePromise } from '../stores/store.ts'
import type { SaltKeeper } from './day-salts.ts'
import type { RequestReader } from './request.ts'

export interface VisitorSource {
	/** Who it is; undefined: nobody known. */
	identify<Request>(request: Request, read: RequestReader<Request>): MaybePromise<string | undefined>
	/** The same for that counter, unless it was told whose already. */
	bind?(counter: SaltKeeper): VisitorSource
	/** The `Set-Cookie` to send with the response, if there is one to send; whoever is identified afterwards is known by it. */
	cookie?<Request extends object>(request: Request, read: RequestReader<Request>): string | undefined
}

/** On a visitor function of ours: its source. Known to every copy (ESM, CommonJS) of this module. */
export const visitorSource = Symbol.for('tallymark.visitorSource')

/** The source of a visitor function: its own, or one that hands it the request. */
export function sourceOf<Request>(visitor: (request: Request) => MaybePromise<string | undefined>, counter: SaltKeeper): VisitorSource {
	const own = (visitor as { readonly [visitorSource]?: VisitorSource })[visitorSource]
	if (own !== undefined) return own.bind?.(counter) ?? own
	return { identify: (request) => visitor(request as unknown as Request) }
}
