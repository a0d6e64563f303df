/** A session on a namespace of a store, to take its numbers out or put them in. */
import { systemClock } from '../clock.ts'
import { BadInputError } from '../errors.ts'
import { type CounterOptions, settingsOf } from '../options.ts'
import type { SessionSettings, Store, StoreSession, StoreTransfer } from '../stores/store.ts'

/** What the counters of the namespace were made with; the defaults are theirs. What differs from what is stored is refused. */
export type NumbersOptions = Pick<CounterOptions, 'uniques' | 'uniquesPer' | 'retention' | 'trendHalfLifeMs' | 'clock'>

/** What stops a long task at its next step, such as the signal of an AbortController. */
export interface StopSignal {
	readonly aborted: boolean
	readonly reason?: unknown
}

/** Of a session, but for the writer and the namespace. */
export type NumbersSettings = Pick<SessionSettings, 'tracker' | 'uniquesPer' | 'retention' | 'trendHalfLifeMs' | 'clock'>

export interface Opened {
	readonly store: Store
	readonly session: StoreSession
	readonly transfer: StoreTransfer
	readonly settings: NumbersSettings
}

/** Throws ERR_TALLYMARK_OPTION as a counter does. */
export function numbersOf(namespace: string, options: NumbersOptions): NumbersSettings {
	const { uniques, uniquesPer, retention, trendHalfLifeMs, clock = systemClock } = options
	const given = Object.entries({ uniques, uniquesPer, retention, trendHalfLifeMs, clock, namespace }).filter(
		([, value]) => value !== undefined,
	)
	const settings = settingsOf(Object.fromEntries(given))
	return {
		tracker: settings.tracker,
		uniquesPer: settings.uniquesPer,
		retention: settings.retention,
		trendHalfLifeMs: settings.trendHalfLifeMs,
		clock: settings.clock,
	}
}

/** Opens the namespace for as long as `act` takes. Throws ERR_TALLYMARK_ARGUMENT for a store that cannot be copied. */
export async function opened<Result>(
	store: Store,
	namespace: string,
	settings: NumbersSettings,
	act: (opened: Opened) => Promise<Result>,
): Promise<Result> {
	const session = open(store, namespace, settings)
	try {
		return await act({ store, session, transfer: transferOf(store, session), settings })
	} finally {
		await session.close()
	}
}

export function open(store: Store, namespace: string, settings: NumbersSettings): StoreSession {
	const writer = Array.from(globalThis.crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')
	return store.open({ ...settings, namespace, writer, report: () => {} })
}

export function transferOf(store: Store, session: StoreSession): StoreTransfer {
	const transfer = session.transfer?.()
	if (transfer === undefined) {
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', `Expected stores whose sessions have a transfer(), got '${store.name}'`)
	}
	return transfer
}

export function throwIfStopped(signal: StopSignal | undefined): void {
	if (signal?.aborted === true) throw signal.reason ?? new Error('Stopped')
}
