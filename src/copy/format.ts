/**
 * A snapshot as text, to keep in a file: one JSON value a line, so that it can be read with any tool, and packed by any (gzip makes it some four times
 * smaller). Sketches are base64 of what `VisitorSketch.save` gives; times are epoch milliseconds.
 *
 *     {"tallymark":1,"source":"redis:6379/tm","at":<when>,"partitions":16,"uniques":"hyperloglog","uniquesPer":["total","day"],
 *      "retention":{"minute":<ms>,"hour":<ms>,"day":<ms>},"trendHalfLifeMs":<ms>}         the first line
 *     ["hits",<lane>,<level>,<start>,[<key>,<hits>,<key>,<hits>,...]]                    level: total, minute, hour or day
 *     ["visitors",<lane>,<level>,<start>,[<key>,<sketch>,...]]
 *     ["all-visitors",<lane>,<level>,<start>,<partition>,<sketch>]
 *     ["trend",<lane>,<at>,[<key>,<score>,...]]
 *     ["partition",<number>,<check>]       all of a partition has come; check: of all lines so far, see {@link Check}
 *     ["end"]                              the last line: without it a snapshot is cut
 */
import { BadInputError } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'
import { checkKey, checkLane } from '../input.ts'
import type { Lane, SnapshotRecord } from '../stores/store.ts'
import { type Bucket, type Granularity, granularities, isGranularity, type Level, startOf } from '../time/granularity.ts'
import { fromBase64, toBase64 } from './base64.ts'

const VERSION = 1
/** The longest that any counter takes. */
const MAX_KEY_BYTES = 4_096

export interface SnapshotHead {
	/** Store and namespace. */
	readonly source: string
	/** When it was begun. */
	readonly at: number
	readonly partitions: number
	/** The kind of tracker, or 'off'. */
	readonly uniques: string
	readonly uniquesPer: readonly Level[]
	readonly retention: Readonly<Record<Granularity, number>>
	readonly trendHalfLifeMs: number
}

export type SnapshotLine =
	| { readonly kind: 'record'; readonly record: SnapshotRecord }
	| { readonly kind: 'partition'; readonly partition: number; readonly check: string }
	| { readonly kind: 'end' }

/** A running hash of lines: each with the hash of those before it. */
export class Check {
	#hash = ''

	add(line: string): void {
		hashText(this.#hash + line)
		this.#hash = hex(hashed[1]!) + hex(hashed[0]!)
	}

	/** 16 hex digits. */
	get text(): string {
		return this.#hash
	}
}

export function formatHead(head: SnapshotHead): string {
	return JSON.stringify({ tallymark: VERSION, ...head })
}

export function formatRecord(record: SnapshotRecord): string {
	const { kind, lane } = record
	if (kind === 'trend') return JSON.stringify([kind, lane, record.at, record.entries.flat()])
	const { level, start } = record.bucket
	if (kind === 'all-visitors') return JSON.stringify([kind, lane, level, start, record.partition, toBase64(record.sketch)])
	const entries = kind === 'hits' ? record.entries.flat() : record.entries.flatMap(([key, sketch]) => [key, toBase64(sketch)])
	return JSON.stringify([kind, lane, level, start, entries])
}

export function formatPartition(partition: number, check: Check): string {
	return JSON.stringify(['partition', partition, check.text])
}

export const END = JSON.stringify(['end'])

/** Throws ERR_TALLYMARK_SNAPSHOT for what is no first line of a snapshot. */
export function parseHead(line: string): SnapshotHead {
	const head = parsed(line, 1) as Partial<SnapshotHead> & { tallymark?: unknown }
	if (head?.tallymark !== VERSION) throw malformed(1, `a snapshot of version ${VERSION}`, line)
	const { source, at, partitions, uniques, uniquesPer, retention, trendHalfLifeMs } = head
	const levels = Array.isArray(uniquesPer) && uniquesPer.every((level) => level === 'total' || isGranularity(level))
	const kept = granularities.every((granularity) => Number.isSafeInteger(retention?.[granularity]))
	const whole = [at, partitions, trendHalfLifeMs].every((value) => Number.isSafeInteger(value))
	if (typeof source !== 'string' || typeof uniques !== 'string' || !levels || !kept || !whole || !(partitions! > 0)) {
		throw malformed(1, 'the settings of a namespace', line)
	}
	return {
		source,
		at: at!,
		partitions: partitions!,
		uniques,
		uniquesPer: uniquesPer!,
		retention: retention!,
		trendHalfLifeMs: trendHalfLifeMs!,
	}
}

/** `number`: of the line, for messages. Throws ERR_TALLYMARK_SNAPSHOT for what is no line of a snapshot. */
export function parseLine(line: string, number: number): SnapshotLine {
	const value = parsed(line, number)
	try {
		if (!Array.isArray(value)) throw new Error('no array')
		const [kind, first, ...rest] = value as unknown[]
		if (kind === 'end') return { kind }
		if (kind === 'partition') return { kind, partition: whole(first), check: String(rest[0]) }
		checkLane(first)
		return { kind: 'record', record: recordOf(String(kind), first, rest) }
	} catch (cause) {
		throw malformed(number, 'a line of a snapshot', line, cause)
	}
}

function recordOf(kind: string, lane: Lane, rest: readonly unknown[]): SnapshotRecord {
	if (kind === 'trend') return { kind, lane, at: whole(rest[0]), entries: entriesOf(rest[1], scoreOf) }
	const bucket = bucketOf(rest[0], rest[1])
	if (kind === 'hits') return { kind, lane, bucket, entries: entriesOf(rest[2], hitsOf) }
	if (kind === 'visitors') return { kind, lane, bucket, entries: entriesOf(rest[2], (text) => fromBase64(String(text))) }
	if (kind === 'all-visitors') return { kind, lane, bucket, partition: whole(rest[2]), sketch: fromBase64(String(rest[3])) }
	throw new Error(`of unknown kind ${kind}`)
}

function bucketOf(level: unknown, start: unknown): Bucket {
	if (level === 'total' && start === 0) return { level, start }
	if (!isGranularity(level) || startOf(level, whole(start)) !== start) throw new Error('no bucket')
	return { level, start }
}

function entriesOf<Value>(list: unknown, read: (value: unknown) => Value): [string, Value][] {
	if (!Array.isArray(list) || list.length % 2 !== 0) throw new Error('no list of pairs')
	return Array.from({ length: list.length / 2 }, (_, i) => {
		const key: unknown = list[2 * i]
		checkKey(key, MAX_KEY_BYTES)
		return [key, read(list[2 * i + 1])]
	})
}

function whole(value: unknown): number {
	if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`no whole number: ${value}`)
	return value as number
}

/** A sum beyond 2^53 is rounded, as doubles are, and a number all the same. */
function hitsOf(value: unknown): number {
	if (!Number.isInteger(value) || (value as number) < 0) throw new Error(`no whole number: ${value}`)
	return value as number
}

function scoreOf(value: unknown): number {
	if (typeof value !== 'number' || !(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new Error(`no score: ${value}`)
	return value
}

function parsed(line: string, number: number): unknown {
	try {
		return JSON.parse(line)
	} catch (cause) {
		throw malformed(number, 'JSON', line, cause)
	}
}

export function malformed(line: number, what: string, got: string, cause?: unknown): BadInputError {
	const why = cause instanceof Error ? ` (${cause.message})` : ''
	const shown = got.length > 60 ? `${got.slice(0, 60)}…` : got
	return new BadInputError('ERR_TALLYMARK_SNAPSHOT', `Expected line ${line} of the snapshot to be ${what}, got ${shown}${why}`, { cause })
}

const hex = (word: number) => (word >>> 0).toString(16).padStart(8, '0')
