/** The options that every store over Redis has, checked. */
import { BadInputError, expected } from '../../errors.ts'
import type { SessionLimits } from './session.ts'
import type { Replicas } from './wire.ts'

export interface RedisOptions {
	/** For `servedBy` and messages. @default the port, where it is known */
	readonly name?: string | undefined
	/**
	 * How long a batch can be sent again after it was acknowledged, should the server lose it: longer than its disk or its replicas may be behind.
	 * 100 to 3,600,000. @default 60_000
	 */
	readonly retentionMs?: number | undefined
	/** Memory for that, over all, and as much again for the visitors the server is known to have; beyond it the oldest go first. 1 MB to 1 GB. @default 67_108_864 */
	readonly retainedBytes?: number | undefined
	/** A reading without an answer fails after this. 10 to 60,000. @default 2_000 */
	readonly readTimeoutMs?: number | undefined
	/**
	 * A batch without an answer is sent again after this, or, where the server is slow, after twice the time that its slowest answer of the last half
	 * minute took (at most twice this or 5 s, whichever is more). 10 to 60,000. @default 5_000
	 */
	readonly writeTimeoutMs?: number | undefined
	/**
	 * Replicas that must have a batch before it is acknowledged, 0 to 16; with fewer it is sent again, and again. Costs the way to the replicas and back
	 * with each flush; while there are too few of them, readings over the same connection wait up to a quarter of `readTimeoutMs` at a time. @default 0
	 */
	readonly replicasToWaitFor?: number | undefined
}

/** `partitions` has another default in each store. */
export interface PartitionedOptions extends RedisOptions {
	readonly partitions?: number | undefined
}

const known: Record<keyof Required<PartitionedOptions>, true> = {
	partitions: true,
	name: true,
	retentionMs: true,
	retainedBytes: true,
	readTimeoutMs: true,
	writeTimeoutMs: true,
	replicasToWaitFor: true,
}

export interface CheckedOptions {
	/** 'redis:<name>'; 'redis' where there is none. */
	readonly name: string
	readonly limits: SessionLimits
	readonly replicas: Replicas
}

/** Throws ERR_TALLYMARK_OPTION for one that is unknown or out of its range. */
export function checkOptions(store: string, options: PartitionedOptions, name: string | undefined, partitions: number): CheckedOptions {
	for (const option of Object.keys(options)) {
		if (!Object.hasOwn(known, option)) {
			throw new BadInputError(
				'ERR_TALLYMARK_OPTION',
				`Expected the options of a ${store} to be known ones (${Object.keys(known).join(', ')}), got \`${option}\``,
			)
		}
	}
	const given = options.name ?? name
	if (given !== undefined && (typeof given !== 'string' || given === '')) throw expected('ERR_TALLYMARK_OPTION', 'name', 'a text', given)
	const shares = whole('partitions', options.partitions, partitions, 1, 1_024)
	const readTimeoutMs = whole('readTimeoutMs', options.readTimeoutMs, 2_000, 10, 60_000)
	return {
		name: given === undefined ? 'redis' : `redis:${given}`,
		limits: {
			partitions: shares,
			retentionMs: whole('retentionMs', options.retentionMs, 60_000, 100, 3_600_000),
			retainedBytes: whole('retainedBytes', options.retainedBytes, 2 ** 26, 2 ** 20, 2 ** 30) / shares,
			readTimeoutMs,
			writeTimeoutMs: whole('writeTimeoutMs', options.writeTimeoutMs, 5_000, 10, 60_000),
		},
		replicas: { count: whole('replicasToWaitFor', options.replicasToWaitFor, 0, 0, 16), timeoutMs: Math.ceil(readTimeoutMs / 4) },
	}
}

function whole(name: string, value: number | undefined, fallback: number, least: number, most: number): number {
	if (value === undefined) return fallback
	if (!Number.isSafeInteger(value) || value < least || value > most) {
		throw expected('ERR_TALLYMARK_OPTION', name, `a whole number from ${least} to ${most}`, value)
	}
	return value
}
