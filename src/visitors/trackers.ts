/** The trackers by the names that the `uniques` option takes. */
import { expected } from '../errors.ts'
import { BloomTracker } from './bloom.ts'
import { ExactTracker } from './exact.ts'
import { HyperLogLogTracker } from './hyperloglog.ts'
import type { VisitorTracker } from './tracker.ts'

const makers = {
	set: () => new ExactTracker(),
	hyperloglog: () => new HyperLogLogTracker(),
	bloom: () => new BloomTracker(),
} satisfies Record<string, () => VisitorTracker>

/** A tracker that comes with the package. */
export type TrackerName = keyof typeof makers

export const trackerNames = Object.keys(makers) as readonly TrackerName[]

/** A new tracker of that name. Throws ERR_TALLYMARK_OPTION for any other name. */
export function createTracker(name: TrackerName): VisitorTracker {
	if (!Object.hasOwn(makers, name)) {
		throw expected('ERR_TALLYMARK_OPTION', 'uniques', `one of ${trackerNames.map((known) => `'${known}'`).join(', ')}`, name)
	}
	return makers[name]()
}

/**
 * A new tracker of the kind that is recorded with data (`VisitorTracker.kind`); undefined for one that does not come with the package. The shape of a
 * Bloom filter is part of its kind.
 */
export function trackerOfKind(kind: string): VisitorTracker | undefined {
	const [, bits, hashes] = /^bloom:(\d+):(\d+)$/.exec(kind) ?? []
	if (bits !== undefined) return new BloomTracker({ bits: Number(bits), hashes: Number(hashes) })
	return trackerNames.find((name) => name === kind && name !== 'bloom') === undefined ? undefined : makers[kind as TrackerName]()
}
