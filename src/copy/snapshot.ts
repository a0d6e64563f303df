/** A namespace as bytes, for a file: format.ts says how they look. */
import type { Store } from '../stores/store.ts'
import { Check, END, formatHead, formatPartition, formatRecord } from './format.ts'
import { type NumbersOptions, numbersOf, open, type StopSignal, throwIfStopped, transferOf } from './opened.ts'
import { type CopyProgress, Tally } from './progress.ts'

export interface SnapshotOptions extends NumbersOptions {
	readonly store: Store
	/** @default 'tm' */
	readonly namespace?: string | undefined
	readonly onProgress?: ((progress: CopyProgress) => void) | undefined
	/** Stops at the next step, with its reason: what came until then is no whole snapshot. */
	readonly signal?: StopSignal | undefined
}

/** A chunk is as long as this, about. */
const CHUNK = 65_536

/**
 * Everything that a namespace holds, as bytes for `restore`: a key and some digits for each number, 4/3 of each sketch; gzip makes it a quarter. Exact when
 * nobody counts meanwhile; otherwise each number is one that it had in the meantime. Nothing is read before it is asked for.
 *
 * Throws what `copy` throws for its source.
 */
export async function* snapshot(options: SnapshotOptions): AsyncGenerator<Uint8Array, void, undefined> {
	const { store, namespace = 'tm', onProgress, signal } = options
	const settings = numbersOf(namespace, options)
	const session = open(store, namespace, settings)
	const encoder = new TextEncoder()
	const check = new Check()
	let text = ''
	const add = (line: string) => {
		check.add(line)
		text += `${line}\n`
	}
	try {
		const transfer = transferOf(store, session)
		const { partitions } = store
		const tally = new Tally(partitions, onProgress)
		const { tracker, uniquesPer, retention, trendHalfLifeMs, clock } = settings
		// A clock may answer fractions; times in a snapshot are whole.
		const at = Math.floor(clock.now())
		const source = `${store.name}/${namespace}`
		add(formatHead({ source, at, partitions, uniques: tracker?.kind ?? 'off', uniquesPer, retention, trendHalfLifeMs }))
		for (let partition = 0; partition < partitions; partition++) {
			for await (const record of transfer.snapshot(partition, at)) {
				throwIfStopped(signal)
				add(formatRecord(record))
				tally.add(record)
				if (text.length < CHUNK) continue
				yield encoder.encode(text)
				text = ''
			}
			throwIfStopped(signal)
			add(formatPartition(partition, check))
			tally.reach(partition + 1)
		}
		add(END)
		yield encoder.encode(text)
	} finally {
		await session.close()
	}
}
