/**
 * From a finished response to a hit, whatever the framework: which responses count, under which key, whose they are, and what happens when one of the
 * functions in the options fails. A framework's adapter says when a response has finished and reads method and status; the rest is here.
 *
 * Nothing in here is awaited by a response or can break one: it runs after the last byte was handed over, and every error goes to the counter.
 */
import { expected, isTallymarkError, TallymarkError } from '../errors.ts'
import { type Lane, lanes } from '../stores/store.ts'
import { refuseUnknown } from './options.ts'

/** What is asked of a counter; `Counter` is one. */
export interface HitTarget {
	/** Whoever takes hits reports what becomes of them: a rejection is not looked at here, for a `Counter` has told its 'error' listeners already. */
	hit(key: string, options?: { visitor?: string; lane?: Lane }): Promise<unknown>
	/** Takes an error of the functions in the options, which nobody waits for. Without it, the first one is a process warning. */
	report?(error: TallymarkError): void
}

export interface HitCounterOptions<Request, Response> {
	/** Takes the hits. */
	readonly counter: HitTarget
	/** The key to count under, asked after the response has finished; undefined: do not count. @default the path, as `keyOfPath` writes it */
	readonly key?: (request: Request) => string | undefined
	/** Who it was: any string, undefined for nobody known. `false`: hits without visitors. @default `anonymousVisitor()`, with a secret of this process */
	readonly visitor?: false | ((request: Request) => string | undefined)
	/** Leaves a response out that would count: a GET whose final status is 2xx or 304. @default nothing is left out */
	readonly skip?: (request: Request, response: Response) => boolean
	/** The kind of traffic, one for all or asked for each. @default 'human' */
	readonly lane?: Lane | ((request: Request) => Lane)
}

/** What an adapter fills in where the options are silent. */
export interface HitCounterDefaults<Request> {
	readonly key: (request: Request) => string
	/** Makes the default visitor function; asked only when it is needed. */
	readonly visitor: () => (request: Request) => string | undefined
}

/** What an adapter calls. */
export interface HitCounting<Request, Response> {
	/** Whether this response is still to be counted for this counter: the first middleware of a counter gets true, any further one false and a warning. */
	claim(response: object): boolean
	/** To be called once, when the response has finished; never when it was aborted. Never throws. */
	finished(request: Request, response: Response, method: string, status: number): void
}

/** On a response: the counters that count it. Shared by every copy (ESM, CommonJS) of this module. */
const claimedBy = Symbol.for('tallymark.claimedBy')
const mountedTwice = new WeakSet<HitTarget>()
const failed = new WeakSet<HitTarget>()

/** Checks the options and prepares the counting. */
export function hitCounting<Request, Response>(
	options: HitCounterOptions<Request, Response>,
	defaults: HitCounterDefaults<Request>,
): HitCounting<Request, Response> {
	refuseUnknown(options, { counter: true, key: true, visitor: true, skip: true, lane: true })
	const { counter, key = defaults.key, visitor = defaults.visitor(), skip, lane } = options
	if (typeof counter?.hit !== 'function') throw expected('ERR_TALLYMARK_OPTION', 'counter', 'a Counter', counter)
	for (const [name, option] of Object.entries({ key, skip })) {
		if (option !== undefined && typeof option !== 'function') throw expected('ERR_TALLYMARK_OPTION', name, 'a function', option)
	}
	if (visitor !== false && typeof visitor !== 'function') throw expected('ERR_TALLYMARK_OPTION', 'visitor', 'a function or false', visitor)
	if (lane !== undefined && typeof lane !== 'function' && !lanes.includes(lane)) {
		throw expected('ERR_TALLYMARK_OPTION', 'lane', `one of ${lanes.join(', ')}, or a function`, lane)
	}

	/** Names the option that failed: its stack alone often ends in somebody's helper. */
	function asked<T>(name: string, ask: () => T): T {
		try {
			return ask()
		} catch (cause) {
			throw new TallymarkError('ERR_TALLYMARK_OPTION', `The option \`${name}\` threw: ${messageOf(cause)}`, { cause })
		}
	}

	return {
		claim(response) {
			const marked = response as { [claimedBy]?: Set<HitTarget> }
			marked[claimedBy] ??= new Set()
			if (!marked[claimedBy].has(counter)) {
				marked[claimedBy].add(counter)
				return true
			}
			if (!mountedTwice.has(counter)) {
				mountedTwice.add(counter)
				warn('hitCounter is mounted twice for one counter: each response is counted once, by the first', 'TALLYMARK_MOUNTED_TWICE')
			}
			return false
		},

		finished(request, response, method, status) {
			try {
				if (method !== 'GET' || !((status >= 200 && status < 300) || status === 304)) return
				if (skip && asked('skip', () => skip(request, response))) return
				const page = asked('key', () => key(request))
				if (page === undefined) return
				const who = visitor ? asked('visitor', () => visitor(request)) : undefined
				const kind = typeof lane === 'function' ? asked('lane', () => lane(request)) : lane
				const hit = counter.hit(page, { ...(who !== undefined && { visitor: who }), ...(kind !== undefined && { lane: kind }) })
				hit.catch(() => {})
			} catch (error) {
				report(counter, error)
			}
		},
	}
}

/** Hands the error on; whatever happens there ends here. */
function report(counter: HitTarget, error: unknown): void {
	const reported = isTallymarkError(error)
		? error
		: new TallymarkError('ERR_TALLYMARK_ARGUMENT', `A hit failed: ${messageOf(error)}`, { cause: error })
	try {
		if (counter.report) counter.report(reported)
		else if (!failed.has(counter)) {
			failed.add(counter)
			warn(reported.message, reported.code)
		}
	} catch {
		// Counting never breaks the page, and there is nobody left to tell.
	}
}

/** Once per process for each counter and reason, where the runtime has warnings. */
function warn(message: string, code: string): void {
	globalThis.process?.emitWarning?.(message, { type: 'TallymarkWarning', code })
}

function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error)
}
