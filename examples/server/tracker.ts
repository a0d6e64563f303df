/** `--tracker`: says after every request how many there were, and from how many visitors: `3 unique hits from total 7 hits`. */
import type { RequestHandler } from 'express'
import { type CloseReport, Counter, type Store, type TallymarkError } from '../../src/index.ts'
import type { Identity } from './identity.ts'

/**
 * `simple`: counted in memory, from 0. `rate`: likewise, with the hits of the last minute. `db`: counted in the store that REDIS_URL names, so the
 * numbers go on after a restart and are those of all processes.
 */
export const trackerKinds = ['simple', 'rate', 'db'] as const
export type TrackerKind = (typeof trackerKinds)[number]

export interface Tracker {
	middleware(visitorOf: Identity['visitorOf']): RequestHandler
	/** Prints what is still to be printed, and stores what is still to be stored. */
	close(timeoutMs: number): Promise<CloseReport>
}

export interface TrackerOptions {
	readonly kind: TrackerKind
	/** For `db`. */
	readonly store?: Store | undefined
	readonly print: (line: string) => void
	readonly onError?: ((error: TallymarkError) => void) | undefined
}

const key = 'requests'

export function openTracker({ kind, store, print, onError }: TrackerOptions): Tracker {
	const counter = new Counter({ store: kind === 'db' ? store : undefined, onError, namespace: 'tm.requests', uniquesPer: ['total'] })
	// One line after the other, in the order of the requests.
	let printed = Promise.resolve()

	async function count(visitor: ReturnType<Identity['visitorOf']>): Promise<string> {
		void counter.hit(key, { visitor: await visitor })
		const [hits, uniques, rate] = await Promise.all([counter.count(key), counter.uniques(key), kind === 'rate' ? counter.rate(key) : 0])
		return `${uniques.value} unique hits from total ${hits} hits${kind === 'rate' ? `, ${Math.round(rate)} hits per minute` : ''}`
	}

	return {
		middleware: (visitorOf) => (request, _response, next) => {
			const said = count(visitorOf(request)).catch((error: Error) => `The numbers cannot be read: ${error.message}`)
			printed = printed.then(async () => print(await said))
			next()
		},
		async close(timeoutMs) {
			await printed
			return counter.close({ timeoutMs })
		},
	}
}
