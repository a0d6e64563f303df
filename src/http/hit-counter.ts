/**
 * From a finished response to a hit, whatever the framework: which responses count, under which key, whose they are, in which lane, and what happens when
 * one of the functions in the options fails. A framework's adapter says how its requests are read and when a response has finished; the rest is here.
 *
 * Nothing in here is awaited by a response or can break one: it runs after the last byte was handed over, and every error goes to the counter.
 */
import { expected, isTallymarkError, TallymarkError } from '../errors.ts'
import { checkText } from '../input.ts'
import { type Lane, lanes, type MaybePromise } from '../stores/store.ts'
import { type Claim, claimInTurn } from './claim.ts'
import type { SaltKeeper } from './day-salts.ts'
import { isHealthCheck } from './health-check.ts'
import { keyOfPath } from './key-of-path.ts'
import { asksForPrivacy, type LaneOptions, laneOf } from './lane-of.ts'
import { refuseUnknown } from './options.ts'
import type { RequestReader } from './request.ts'
import { anonymousVisitor } from './visitor.ts'
import { sourceOf } from './visitor-source.ts'

/** What is asked of a counter; `Counter` is one. */
export interface HitTarget extends SaltKeeper {
	/** Whoever takes hits reports what becomes of them: a rejection is not looked at here, for a `Counter` has told its 'error' listeners already. */
	hit(key: string, options?: { visitor?: string; lane?: Lane; at?: number }): Promise<unknown>
	/** Takes an error of the functions in the options, which nobody waits for. Without it, the first one is a process warning. */
	report?(error: TallymarkError): void
	/** Resolves when what was counted is stored; for handlers that are frozen after their response. */
	flush?(): Promise<void>
}

export interface HitCounterOptions<Request, Response> extends LaneOptions {
	/** Takes the hits. */
	readonly counter: HitTarget
	/**
	 * The key to count under. `'path'`: the path, as `keyOfPath` writes it; `'route'`: the pattern of the route that answered (`/users/:id`), the path where
	 * there is none; or a function, asked after the response has finished; undefined: do not count. Where a cookie may have to be set, it is asked before the
	 * headers are sent too, and so are `skip` and `classify`. @default 'path'
	 */
	readonly key?: 'path' | 'route' | ((request: Request) => string | undefined)
	/**
	 * Who it was: a string of 1 to 4,096 characters, undefined or null for nobody known, or a promise of that; the hit waits for it, the response does not.
	 * What throws, rejects or answers anything else is reported, and the hit counts without a visitor. `false`: hits without visitors.
	 * @default `anonymousVisitor()`, whose salt changes daily and is shared through the counter's store
	 */
	readonly visitor?: false | ((request: Request) => MaybePromise<string | undefined>)
	/** Leaves a response out that would count: a GET whose final status is 2xx or 304. @default health checks, as `isHealthCheck` knows them */
	readonly skip?: (request: Request, response: Response) => boolean
	/** The lane, one for all or asked for each with the one it would be. @default own, ai, bot, prefetch, optout or human, in this order */
	readonly classify?: Lane | ((request: Request, lane: Lane) => Lane)
	/**
	 * What `Sec-GPC: 1` and `DNT: 1` mean. `'count-anonymously'`: the hit counts in the lane 'optout' (unless it is a bot's), and no identity is formed;
	 * `'drop'`: it does not count; `'ignore'`: nothing. @default 'count-anonymously'
	 */
	readonly privacySignals?: 'ignore' | 'count-anonymously' | 'drop'
}

/** What an adapter calls. */
export interface HitCounting<Request, Response> {
	/**
	 * To be called when a response has finished; never when it was aborted. `exchange`: the object that the claim is made for, the same in every middleware
	 * of this request. Never throws. The promise, if there is one, settles when the hit was handed on; nobody has to
	 * catch what it rejects with.
	 */
	finished(request: Request, response: Response, status: number, exchange: object): Promise<unknown> | undefined
	/** To be called before the headers are sent, where there is one: the `Set-Cookie` to send with this response. Never throws. */
	readonly cookie: ((request: Request & object, response: Response, status: number) => string | undefined) | undefined
}

const nothing = () => {}
/** Hits that wait for their visitor at a time; further ones count without. */
const mostWaiting = 10_000

/** Promises of hits whose rejection ends here. */
const lookedAfter = new WeakSet<Promise<unknown>>()
const mountedTwice = new WeakSet<HitTarget>()
const failed = new WeakSet<HitTarget>()

/** Checks the options and prepares the counting. Throws `ERR_TALLYMARK_OPTION`. */
export function hitCounting<Request, Response>(
	options: HitCounterOptions<Request, Response>,
	read: RequestReader<Request>,
	claim: Claim = claimInTurn,
): HitCounting<Request, Response> {
	checkOptions(options)
	const { counter, key = 'path', skip, classify, privacySignals = 'count-anonymously' } = options
	const visitor = options.visitor ?? (anonymousVisitor() as (request: Request) => MaybePromise<string | undefined>)
	const source = visitor === false ? undefined : sourceOf(visitor, counter)
	const lane = laneOf(read, options)
	let waiting = 0

	function skipped(request: Request, response: Response): boolean {
		return skip === undefined ? isHealthCheck(read.target(request)) : skip(request, response)
	}

	function page(request: Request): string | undefined {
		if (typeof key === 'function') return key(request)
		return (key === 'route' ? read.route(request) : undefined) ?? keyOfPath(read.target(request))
	}

	function kindOf(request: Request, optedOut: boolean): Lane {
		if (typeof classify === 'string') return classify
		const kind = lane(request, optedOut)
		return classify === undefined ? kind : classify(request, kind)
	}

	/** Whose it is; nobody's where that cannot be told, for a page that was seen is a hit, whoever saw it. */
	function whose(request: Request): MaybePromise<string | undefined> {
		try {
			const who = source?.identify(request, read)
			return who instanceof Promise ? who : known(who)
		} catch (error) {
			return unknown(error)
		}
	}

	function known(who: string | null | undefined): string | undefined {
		if (who === undefined || who === null) return undefined
		try {
			checkText('visitor', who)
			return who
		} catch (error) {
			report(counter, failure(undefined, error))
			return undefined
		}
	}

	function unknown(error: unknown): undefined {
		report(counter, failure('visitor', error))
	}

	/** Counts when it is known whose the hit is. */
	async function hold(who: Promise<string | undefined>, key: string, kind: Lane, at: number): Promise<void> {
		waiting++
		try {
			await handOn(counter, key, await who.then(known, unknown), kind, at).then(undefined, nothing)
		} catch (error) {
			report(counter, failure(undefined, error))
		} finally {
			waiting--
		}
	}

	return {
		finished(request, response, status, exchange) {
			if (!countable(read.method(request), status)) return undefined
			// Names the option that failed: its stack alone often ends in somebody's helper.
			let asked: string | undefined
			try {
				if (!claim(exchange, counter)) return tellMountedTwice(counter)
				asked = 'skip'
				if (skipped(request, response)) return undefined
				asked = 'key'
				const counted = page(request)
				if (counted === undefined) return undefined
				const optedOut = privacySignals !== 'ignore' && asksForPrivacy(request, read)
				if (optedOut && privacySignals === 'drop') return undefined
				asked = 'bots'
				let kind = typeof classify === 'string' ? classify : lane(request, optedOut)
				asked = 'classify'
				if (typeof classify === 'function') kind = classify(request, kind)
				asked = undefined
				const who = optedOut ? undefined : whose(request)
				if (!(who instanceof Promise)) return handOn(counter, counted, who, kind, undefined)
				if (waiting < mostWaiting) return hold(who, counted, kind, Date.now())
				who.catch(() => {})
				report(counter, new TallymarkError('ERR_TALLYMARK_ARGUMENT', `${waiting} hits wait for their visitors: further ones count without`))
				return handOn(counter, counted, undefined, kind, undefined)
			} catch (error) {
				report(counter, failure(asked, error))
				return undefined
			}
		},

		// Only with a page that will count for a human: nobody else is somebody to know again.
		cookie:
			source?.cookie &&
			((request, response, status) => {
				try {
					if (!countable(read.method(request), status) || skipped(request, response)) return undefined
					if (privacySignals !== 'ignore' && asksForPrivacy(request, read)) return undefined
					if (typeof key === 'function' && key(request) === undefined) return undefined
					if (kindOf(request, false) !== 'human') return undefined
					return source.cookie?.(request, read)
				} catch {
					// It will throw again when the page is counted, and is reported then.
					return undefined
				}
			}),
	}
}

/** A page that somebody got. */
export function countable(method: string, status: number): boolean {
	return method === 'GET' && ((status >= 200 && status < 300) || status === 304)
}

function tellMountedTwice(counter: HitTarget): undefined {
	if (mountedTwice.has(counter)) return
	mountedTwice.add(counter)
	warn('hitCounter is mounted twice for one counter: each response is counted once, by the first', 'TALLYMARK_MOUNTED_TWICE')
}

function handOn(counter: HitTarget, key: string, visitor: string | undefined, lane: Lane, at: number | undefined): Promise<unknown> {
	const hit =
		lane === 'human' && at === undefined
			? visitor === undefined
				? counter.hit(key)
				: counter.hit(key, { visitor })
			: counter.hit(key, { ...(visitor !== undefined && { visitor }), ...(lane !== 'human' && { lane }), ...(at !== undefined && { at }) })
	// Most hits of a counter have their promise in common: each is looked after once, for that makes another promise and a turn of its queue.
	if (!lookedAfter.has(hit)) {
		lookedAfter.add(hit)
		hit.then(undefined, nothing)
	}
	return hit
}

export function failure(option: string | undefined, cause: unknown): TallymarkError {
	if (option !== undefined)
		return new TallymarkError('ERR_TALLYMARK_OPTION', `The option \`${option}\` threw: ${messageOf(cause)}`, { cause })
	return isTallymarkError(cause) ? cause : new TallymarkError('ERR_TALLYMARK_ARGUMENT', `A hit failed: ${messageOf(cause)}`, { cause })
}

/** Hands the error on; whatever happens there ends here. */
export function report(counter: HitTarget, error: TallymarkError): void {
	try {
		if (counter.report) counter.report(error)
		else if (!failed.has(counter)) {
			failed.add(counter)
			warn(error.message, error.code)
		}
	} catch {
		// Counting never breaks the page, and there is nobody left to tell.
	}
}

/** Once per process for each counter and reason, where the runtime has warnings. */
export function warn(message: string, code: string): void {
	globalThis.process?.emitWarning?.(message, { type: 'TallymarkWarning', code })
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error)
}

function checkOptions<Request, Response>(options: HitCounterOptions<Request, Response>): void {
	refuseUnknown(options, {
		counter: true,
		key: true,
		visitor: true,
		skip: true,
		classify: true,
		privacySignals: true,
		bots: true,
		own: true,
	})
	const code = 'ERR_TALLYMARK_OPTION'
	const { counter, key, visitor, skip, classify, privacySignals } = options
	if (typeof counter?.hit !== 'function') throw expected(code, 'counter', 'a Counter', counter)
	if (key !== undefined && key !== 'path' && key !== 'route' && typeof key !== 'function')
		throw expected(code, 'key', "'path', 'route' or a function", key)
	if (skip !== undefined && typeof skip !== 'function') throw expected(code, 'skip', 'a function', skip)
	if (visitor !== undefined && visitor !== false && typeof visitor !== 'function')
		throw expected(code, 'visitor', 'a function or false', visitor)
	if (classify !== undefined && typeof classify !== 'function' && !lanes.includes(classify))
		throw expected(code, 'classify', `one of ${lanes.join(', ')}, or a function`, classify)
	if (privacySignals !== undefined && !['ignore', 'count-anonymously', 'drop'].includes(privacySignals))
		throw expected(code, 'privacySignals', "'ignore', 'count-anonymously' or 'drop'", privacySignals)
}
