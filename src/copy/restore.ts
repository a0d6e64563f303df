/** A namespace out of the bytes that `snapshot` gave. */
import { BadInputError, MismatchError } from '../errors.ts'
import type { CounterOptions } from '../options.ts'
import type { Store } from '../stores/store.ts'
import { trackerOfKind } from '../visitors/trackers.ts'
import type { CopyReport } from './copy.ts'
import { Check, malformed, parseHead, parseLine, type SnapshotHead } from './format.ts'
import { type NumbersSettings, numbersOf, opened, type StopSignal, throwIfStopped } from './opened.ts'
import { type CopyProgress, Tally } from './progress.ts'
import { Target } from './target.ts'

export interface RestoreOptions extends Pick<CounterOptions, 'uniques' | 'clock'> {
	readonly store: Store
	/** Chunks of a snapshot, cut anywhere: a readable stream of Node is one of these. */
	readonly snapshot: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>
	/** @default 'tm' */
	readonly namespace?: string | undefined
	/** Forgets what the namespace has, before it begins, unless that is a part of this snapshot. Nobody may be counting there. @default false */
	readonly overwrite?: boolean | undefined
	readonly onProgress?: ((progress: CopyProgress) => void) | undefined
	readonly signal?: StopSignal | undefined
}

/**
 * Puts a snapshot back, into a store of any kind and number of partitions. The settings are those that it was taken with; `uniques` must be given only for
 * a tracker that does not come with the package. Buckets that are past their deadline by now are left out.
 *
 * It can be interrupted at any point, and goes on when called again with the same snapshot. Rejects with ERR_TALLYMARK_SNAPSHOT when the bytes are not a
 * whole snapshot (what came before the damage is restored by then), and otherwise as `copy` does for its target.
 */
export async function restore(options: RestoreOptions): Promise<CopyReport> {
	const { store, namespace = 'tm', overwrite = false, onProgress, signal } = options
	const lines = linesOf(options.snapshot)
	const check = new Check()
	const first = await lines.next()
	if (first.done === true) throw malformed(1, 'the beginning of a snapshot', 'nothing')
	const head = parseHead(first.value)
	check.add(first.value)
	return opened(store, namespace, settingsOf(head, namespace, options), async ({ transfer, settings }) => {
		const source = `${head.source} as of ${new Date(head.at).toISOString()}`
		const target = new Target(transfer, { source, id: source, partitions: head.partitions, overwrite })
		const done = await target.begin(`${store.name}/${namespace}`, store.partitions, settings.clock.now())
		const tally = new Tally(head.partitions, onProgress)
		tally.reach(done)
		let partition = 0
		let number = 1
		for await (const text of lines) {
			throwIfStopped(signal)
			const line = parseLine(text, ++number)
			if (line.kind === 'record') {
				if (partition >= done) {
					await target.put(line.record)
					tally.add(line.record)
				}
			} else if (line.kind === 'partition') {
				if (line.partition !== partition) throw malformed(number, `the end of partition ${partition}`, text)
				if (line.check !== check.text) throw malformed(number, `the check of undamaged lines, ${check.text}`, line.check)
				partition++
				if (partition > done) {
					await target.reach(partition)
					tally.reach(partition)
				}
			} else {
				if (partition !== head.partitions) throw malformed(number, `the end of partition ${partition}`, text)
				return { ...tally.progress, resumed: done > 0 }
			}
			check.add(text)
		}
		throw malformed(number + 1, 'a line (the snapshot is cut)', 'nothing')
	})
}

function settingsOf(head: SnapshotHead, namespace: string, { uniques, clock }: RestoreOptions): NumbersSettings {
	const kept = head.uniques === 'off' ? false : (uniques ?? trackerOfKind(head.uniques))
	if (kept === undefined) {
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', `Expected \`uniques\` to be the tracker of the snapshot, '${head.uniques}', got none`)
	}
	const settings = numbersOf(namespace, { ...head, uniques: kept, clock })
	const kind = settings.tracker?.kind ?? 'off'
	if (kind !== head.uniques) throw new MismatchError(`The snapshot has \`uniques\` ${head.uniques}, and ${kind} is to be restored`)
	return settings
}

async function* linesOf(chunks: RestoreOptions['snapshot']): AsyncGenerator<string, void, undefined> {
	const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
	/** Pieces of the line that has not ended. */
	let open: string[] = []
	for await (const chunk of chunks) {
		const lines = (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })).split('\n')
		const last = lines.pop()!
		for (const line of lines) {
			yield open.length === 0 ? line : open.join('') + line
			open = []
		}
		open.push(last)
	}
	// A line that does not end was cut: it is not looked at.
}
