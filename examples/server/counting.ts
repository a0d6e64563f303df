/** The counters of the server: pages, those that clients make and name, and what became of these. One store, a namespace for each. */
import { type CloseReport, Counter, type Store, type TallymarkError } from '../../src/index.ts'

export interface Counting {
	/** Every page view, whichever endpoint it came by. */
	readonly pages: Counter
	/** `/counters`: stored before the answer, read from the store each time, for a client acts on the number it gets. */
	readonly named: Counter
	/** How often counters were deleted, by groups of their names. */
	readonly deleted: Counter
}

export interface CountingOptions {
	/** @default memory */
	readonly store?: Store | undefined
	/** Pages that are told apart; further ones are counted under '(other)', so that random addresses cannot fill the memory. @default 100_000 */
	readonly maxPages?: number | undefined
	readonly onError?: ((error: TallymarkError) => void) | undefined
}

const mostNamed = 10_000
/**
 * A visit on one server is to be seen on the dashboard of another within two seconds. It may take this long to be stored, this long until what the other
 * has read before is too old, and the dashboard looks as often.
 */
export const freshMs = 500

export function openCounting({ store, maxPages = 100_000, onError }: CountingOptions = {}): Counting {
	const exact = { store, onError, batch: false, cache: false, uniques: false } as const
	return {
		// Visitors per minute and hour too: /analytics tells them for every bucket.
		pages: new Counter({
			store,
			onError,
			maxKeys: maxPages,
			uniquesPer: ['total', 'minute', 'hour', 'day'],
			batch: { maxWaitMs: freshMs },
			cache: { ttlMs: freshMs },
		}),
		named: new Counter({ ...exact, namespace: 'tm.counters', maxKeys: mostNamed }),
		deleted: new Counter({ ...exact, namespace: 'tm.counters.deleted' }),
	}
}

/** Stores what waits and lets go of the store. */
export async function closeCounting({ pages, named, deleted }: Counting, timeoutMs: number): Promise<CloseReport> {
	const reports = await Promise.all([pages, named, deleted].map((counter) => counter.close({ timeoutMs })))
	return {
		stored: reports.reduce((sum, { stored }) => sum + stored, 0),
		unstored: reports.reduce((sum, { unstored }) => sum + unstored, 0),
	}
}
