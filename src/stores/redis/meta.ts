/** What all counters of a namespace must agree on, written down by the first one. */
import { MismatchError } from '../../errors.ts'
import { granularities, type Level } from '../../time/granularity.ts'
import type { SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import type { Layout } from './inventory.ts'

/** Of the layout in keys.ts. */
const SCHEMA = 1
/** Of the hash that has the agreement. */
export const agreementField = 'settings'
/** ... and a mark of its own, by which whoever copies the numbers knows them again. */
export const identityField = 'identity'

type Agreement = Readonly<Record<string, string | number>>

export function agreementOf(settings: SessionSettings, partitions: number): Agreement {
	const { tracker, uniquesPer, retention, trendHalfLifeMs } = settings
	const levels = (['total', ...granularities] satisfies Level[]).filter((level) => uniquesPer.includes(level))
	return {
		schema: SCHEMA,
		partitions,
		uniques: tracker?.kind ?? 'off',
		uniquesPer: tracker === undefined ? 'none' : levels.join(', '),
		'retention.minute': retention.minute,
		'retention.hour': retention.hour,
		'retention.day': retention.day,
		trendHalfLifeMs,
	}
}

/** Writes the agreement down unless there is one, in one step, and asks which it is. */
export function agree(key: string, agreement: Agreement): Command[] {
	return [command('hsetnx', key, agreementField, JSON.stringify(agreement)), command('hget', key, agreementField)]
}

/** What the names of all keys in Redis follow from. */
export interface StoredSettings extends Layout {
	readonly partitions: number
	/** The kind of the tracker, or 'off'. */
	readonly uniques: string
}

/** The settings in an agreement; undefined for a reply that has none (null), or one of another layout. */
export function parseAgreement(stored: unknown): StoredSettings | undefined {
	let theirs: Agreement
	try {
		theirs = Object(JSON.parse(String(stored))) as Agreement
	} catch {
		return undefined
	}
	if (theirs['schema'] !== SCHEMA) return undefined
	const number = (name: string) => Number(theirs[name])
	const levels = String(theirs['uniquesPer']).split(', ')
	return {
		partitions: number('partitions'),
		uniques: String(theirs['uniques']),
		uniquesPer: (['total', ...granularities] satisfies Level[]).filter((level) => levels.includes(level)),
		retention: { minute: number('retention.minute'), hour: number('retention.hour'), day: number('retention.day') },
		trendHalfLifeMs: number('trendHalfLifeMs'),
	}
}

/** Throws MismatchError at the first difference between what is stored and what this counter has. */
export function checkAgreement(stored: string, agreement: Agreement, namespace: string, servedBy: string): void {
	let theirs: Agreement
	try {
		theirs = Object(JSON.parse(stored)) as Agreement
	} catch {
		theirs = {}
	}
	for (const [setting, ours] of Object.entries(agreement)) {
		if (theirs[setting] === ours) continue
		throw new MismatchError(
			`Counters of one namespace must agree: namespace ${JSON.stringify(namespace)} on ${servedBy} has \`${setting}\` ${theirs[setting]}, and this counter has ${ours}`,
		)
	}
}
