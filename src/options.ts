/** The options of a counter: what each means, its default, and what is refused. */
import { type Clock, systemClock } from './clock.ts'
import { BadInputError, expected, type TallymarkError } from './errors.ts'
import type { CacheLimits } from './flow/read-cache.ts'
import type { BatchLimits } from './flow/write-batcher.ts'
import type { Store } from './stores/store.ts'
import { type Granularity, isGranularity, type Level, lengthMs } from './time/granularity.ts'
import type { VisitorTracker } from './visitors/tracker.ts'
import { createTracker, type TrackerName } from './visitors/trackers.ts'

export interface BatchOptions {
	/** A batch is cut when its oldest hit has waited this long. 1 to 3,600,000. @default 1_000 */
	readonly maxWaitMs?: number | undefined
	/** ... or when this many keys of a partition wait. 1 to 1,000,000. @default 10_000 */
	readonly maxKeys?: number | undefined
	/** While the store cannot be reached, hits on new keys, and hits that name a visitor (who may be new), are refused past this many waiting keys and visitors. @default 1_000_000 */
	readonly maxPendingKeys?: number | undefined
}

export interface CacheOptions {
	/** A reading answers for this long. 0 to 86,400,000. @default 5_000 */
	readonly ttlMs?: number | undefined
	/** Keys whose readings are kept, and never more than some 64 MB of them. 1 to 10,000,000. @default 10_000 */
	readonly max?: number | undefined
	/** How long past its ttl a reading may answer, marked stale, while the store cannot be reached. @default 60_000 */
	readonly staleMs?: number | undefined
}

export interface CounterOptions {
	/** Where the numbers are kept. @default new MemoryStore() */
	readonly store?: Store | undefined
	/** Two counters of one namespace share their numbers. 1 to 64 of letters, digits, `.`, `_` and `-`. @default 'tm' */
	readonly namespace?: string | undefined
	/** How hits are gathered; `false`: `hit()` resolves when the hit is stored. */
	readonly batch?: false | BatchOptions | undefined
	/** How long readings are kept; `false`: each read asks the store. */
	readonly cache?: false | CacheOptions | undefined
	/** How distinct visitors are counted; `false`: not at all. @default 'hyperloglog' */
	readonly uniques?: false | TrackerName | VisitorTracker | undefined
	/** At which levels. @default ['total', 'day'] */
	readonly uniquesPer?: readonly Level[] | undefined
	/** Milliseconds a bucket is kept after its end; 0: the granularity is off. @default minute 24 h, hour 31 days, day 731 days */
	readonly retention?: Partial<Record<Granularity, number | undefined>> | undefined
	/** The same visitor hitting the same key again within this time is not counted: the time at which hits arrive, whatever their `at`. 0: off. @default 0 */
	readonly cooldownMs?: number | undefined
	/** How long an idempotency id (`hit(key, { id })`) is remembered. @default 86_400_000 (a day) */
	readonly idMemoryMs?: number | undefined
	/** In `trending()`, a hit this old is worth half a hit. At least a minute. @default 21_600_000 (6 h) */
	readonly trendHalfLifeMs?: number | undefined
	/** The longest key, in bytes of UTF-8. 1 to 4,096. @default 512 */
	readonly maxKeyBytes?: number | undefined
	/**
	 * Past this many keys, hits on further new ones are counted under '(other)'. At a start, until the keys that are stored already have been read, as many
	 * new ones are taken beside them: up to twice as many for once. @default none
	 */
	readonly maxKeys?: number | undefined
	/** @default the system's clock */
	readonly clock?: Clock | undefined
	/** Told of everything that goes wrong in the background, besides the 'error' event. */
	readonly onError?: ((error: TallymarkError) => void) | undefined
}

/** The options with every default in its place. */
export interface Settings {
	readonly namespace: string
	readonly batch: BatchLimits
	/** Every hit is stored before `hit()` resolves. */
	readonly unbatched: boolean
	readonly cache: CacheLimits | undefined
	readonly tracker: VisitorTracker | undefined
	readonly uniquesPer: readonly Level[]
	readonly retention: Readonly<Record<Granularity, number>>
	readonly cooldownMs: number
	readonly idMemoryMs: number
	readonly trendHalfLifeMs: number
	readonly maxKeyBytes: number
	readonly maxKeys: number | undefined
	readonly clock: Clock
	readonly onError: ((error: TallymarkError) => void) | undefined
}

const code = 'ERR_TALLYMARK_OPTION'
const year = 366 * lengthMs.day

/** `value` where it is a whole number in the bounds, `fallback` where it is undefined. */
export function whole(name: string, value: number | undefined, fallback: number, least: number, most: number): number {
	if (value === undefined) return fallback
	if (!Number.isSafeInteger(value) || value < least || value > most)
		throw expected(code, name, `a whole number from ${least} to ${most}`, value)
	return value
}

/** Refuses options that nobody knows: a misspelt one would silently do nothing. `names` has every key of the type, which the compiler checks. */
export function known<Options extends object>(what: string, options: Options, names: Record<keyof Required<Options>, true>): void {
	if (typeof options !== 'object' || options === null || Array.isArray(options)) throw expected(code, what, 'an object', options)
	for (const name of Object.keys(options)) {
		if (!Object.hasOwn(names, name))
			throw new BadInputError(code, `Expected \`${what}\` to have known options (${Object.keys(names).join(', ')}), got \`${name}\``)
	}
}

const optionNames: Record<keyof Required<CounterOptions>, true> = {
	store: true,
	namespace: true,
	batch: true,
	cache: true,
	uniques: true,
	uniquesPer: true,
	retention: true,
	cooldownMs: true,
	idMemoryMs: true,
	trendHalfLifeMs: true,
	maxKeyBytes: true,
	maxKeys: true,
	clock: true,
	onError: true,
}

/** The settings that `options` ask for. Throws `ERR_TALLYMARK_OPTION`, naming the option, what it may be and what it is. */
export function settingsOf(options: CounterOptions): Settings {
	known('options', options, optionNames)
	const {
		namespace = 'tm',
		batch,
		cache,
		uniques = 'hyperloglog',
		uniquesPer = ['total', 'day'],
		retention = {},
		clock = systemClock,
		onError,
		store,
	} = options

	if (typeof namespace !== 'string' || !/^[\w.-]{1,64}$/.test(namespace)) {
		throw expected(code, 'namespace', '1 to 64 letters, digits, `.`, `_` or `-`', namespace)
	}
	if (batch !== undefined && batch !== false) known('batch', batch, { maxWaitMs: true, maxKeys: true, maxPendingKeys: true })
	if (cache !== undefined && cache !== false) known('cache', cache, { ttlMs: true, max: true, staleMs: true })
	known('retention', retention, { minute: true, hour: true, day: true })
	if (typeof clock?.now !== 'function' || typeof clock.setTimer !== 'function')
		throw expected(code, 'clock', 'an object with now() and setTimer()', clock)
	if (onError !== undefined && typeof onError !== 'function') throw expected(code, 'onError', 'a function', onError)
	if (store !== undefined && typeof store?.open !== 'function') throw expected(code, 'store', 'a store, such as new MemoryStore()', store)
	const levels = "an array of 'total', 'minute', 'hour', 'day'"
	if (!Array.isArray(uniquesPer)) throw expected(code, 'uniquesPer', levels, uniquesPer)
	for (const level of uniquesPer) if (level !== 'total' && !isGranularity(level)) throw expected(code, 'uniquesPer', levels, level)

	const kept = {
		minute: whole('retention.minute', retention.minute, lengthMs.day, 0, 20 * year),
		hour: whole('retention.hour', retention.hour, 31 * lengthMs.day, 0, 20 * year),
		day: whole('retention.day', retention.day, 731 * lengthMs.day, 0, 20 * year),
	}
	const limits = batch === false ? {} : (batch ?? {})
	return {
		namespace,
		batch: {
			maxWaitMs: whole('batch.maxWaitMs', limits.maxWaitMs, 1_000, 1, 3_600_000),
			maxKeys: whole('batch.maxKeys', limits.maxKeys, 10_000, 1, 1_000_000),
			maxPendingKeys: whole('batch.maxPendingKeys', limits.maxPendingKeys, 1_000_000, 1, 2 ** 31),
		},
		unbatched: batch === false,
		cache:
			cache === false
				? undefined
				: {
						ttlMs: whole('cache.ttlMs', cache?.ttlMs, 5_000, 0, lengthMs.day),
						max: whole('cache.max', cache?.max, 10_000, 1, 10_000_000),
						staleMs: whole('cache.staleMs', cache?.staleMs, 60_000, 0, year),
					},
		tracker: trackerOf(uniques),
		uniquesPer: uniques === false ? [] : [...new Set(uniquesPer)].filter((level: Level) => level === 'total' || kept[level] > 0),
		retention: kept,
		cooldownMs: whole('cooldownMs', options.cooldownMs, 0, 0, year),
		idMemoryMs: whole('idMemoryMs', options.idMemoryMs, lengthMs.day, 1_000, year),
		trendHalfLifeMs: whole('trendHalfLifeMs', options.trendHalfLifeMs, 6 * lengthMs.hour, lengthMs.minute, 20 * year),
		maxKeyBytes: whole('maxKeyBytes', options.maxKeyBytes, 512, 1, 4_096),
		maxKeys: options.maxKeys === undefined ? undefined : whole('maxKeys', options.maxKeys, 0, 1, 2 ** 31),
		clock,
		onError,
	}
}

function trackerOf(uniques: NonNullable<CounterOptions['uniques']>): VisitorTracker | undefined {
	if (uniques === false) return undefined
	if (typeof uniques === 'string') return createTracker(uniques)
	if (typeof uniques?.delta !== 'function' || typeof uniques.sketch !== 'function' || typeof uniques.kind !== 'string') {
		throw expected(code, 'uniques', "false, 'set', 'hyperloglog', 'bloom' or a visitor tracker", uniques)
	}
	return uniques
}
