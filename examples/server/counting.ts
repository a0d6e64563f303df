/** The counters of the server: pages, and those that clients make and name. One store, two namespaces. */
import { type CloseReport, Counter, type Store, type TallymarkError } from '../../src/index.ts'

export interface Counting {
	/** Every page view, whichever endpoint it came by. */
	readonly pages: Counter
	/** `/counters`: stored before the answer, read from the store each time, for a client acts on the number it gets. */
	readonly named: Counter
}

export interface CountingOptions {
	/** @default memory */
	readonly store?: Store | undefined
	/** Pages that are told apart; further ones are counted under '(other)', so that random addresses cannot fill the memory. @default 100_000 */
	readonly maxPages?: number | undefined
	readonly onError?: ((error: TallymarkError) => void) | undefined
}

const mostNamed = 10_000

export function openCounting({ store, maxPages = 100_000, onError }: CountingOptions = {}): Counting {
	return {
		// Visitors per minute and hour too: /analytics tells them for every bucket.
		pages: new Counter({ store, onError, maxKeys: maxPages, uniquesPer: ['total', 'minute', 'hour', 'day'] }),
		named: new Counter({ store, onError, namespace: 'tm.counters', maxKeys: mostNamed, batch: false, cache: false, uniques: false }),
	}
}

/** Stores what waits and lets go of the store. */
export async function closeCounting({ pages, named }: Counting, timeoutMs: number): Promise<CloseReport> {
	const [first, second] = await Promise.all([pages.close({ timeoutMs }), named.close({ timeoutMs })])
	return { stored: first.stored + second.stored, unstored: first.unstored + second.unstored }
}
