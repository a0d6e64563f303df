/** From one store into another, whatever they are: memory, Redis, a ring. */
import { BadInputError } from '../errors.ts'
import type { Store } from '../stores/store.ts'
import { identityOf } from './identity.ts'
import { type NumbersOptions, numbersOf, opened, type StopSignal, throwIfStopped } from './opened.ts'
import { type CopyProgress, Tally } from './progress.ts'
import { Target } from './target.ts'

export interface CopyOptions extends NumbersOptions {
	readonly from: Store
	readonly to: Store
	/** @default 'tm' */
	readonly namespace?: string | undefined
	/** Where it goes; within one store it must be another one. @default as `namespace` */
	readonly toNamespace?: string | undefined
	/** Forgets what the target has, before it begins, unless that is a part of this copy. Nobody may be counting there. @default false */
	readonly overwrite?: boolean | undefined
	readonly onProgress?: ((progress: CopyProgress) => void) | undefined
	/** Stops at the next step, with its reason; what was copied stays, and the same call goes on. */
	readonly signal?: StopSignal | undefined
}

export interface CopyReport extends CopyProgress {
	/** Whether it went on with a copy that had been interrupted, or found it finished. */
	readonly resumed: boolean
}

/**
 * Copies the hits, visitors and trends of a namespace. The copy is exact when nobody counts in the source meanwhile; otherwise each number is one that
 * it had during the copy. Nobody may count in the target before it is through.
 *
 * It can fail or be stopped at any point: the same call then goes on with the first partition of the source that is not through. Numbers are set and
 * visitors united, never added, so that what is copied twice is copied once. A copy that is finished is not made again, but with `overwrite`. The source
 * is known again by a mark that is kept beside its settings (a store in memory, by the object), not by the name or the address of its store.
 *
 * The stores may have different numbers of partitions; the settings of both namespaces are those given here. Claims (cooldowns, ids) and the sequences of
 * writers are not copied.
 *
 * Rejects with ERR_TALLYMARK_NOT_EMPTY when the target has numbers that are of no such copy, with MismatchError when a namespace was written with other
 * settings, with StoreUnavailableError when a store does not answer, with ERR_TALLYMARK_ARGUMENT when a place is to be copied onto itself.
 */
export async function copy(options: CopyOptions): Promise<CopyReport> {
	const { from, to, namespace = 'tm', toNamespace = namespace, overwrite = false, onProgress, signal } = options
	if (from === to && namespace === toNamespace) {
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', 'Expected `to` to be another store than `from`, or `toNamespace` another namespace')
	}
	const settings = numbersOf(namespace, options)
	return opened(from, namespace, settings, (source) =>
		opened(to, toNamespace, numbersOf(toNamespace, options), async ({ transfer }) => {
			const { partitions } = from
			const id = await identityOf(source)
			const target = new Target(transfer, { source: `${from.name}/${namespace}`, id, partitions, from: source.transfer, overwrite })
			const done = await target.begin(`${to.name}/${toNamespace}`, to.partitions, settings.clock.now())
			const tally = new Tally(partitions, onProgress)
			tally.reach(done)
			for (let partition = done; partition < partitions; partition++) {
				for await (const record of source.transfer.snapshot(partition, settings.clock.now())) {
					throwIfStopped(signal)
					await target.put(record)
					tally.add(record)
				}
				throwIfStopped(signal)
				await target.reach(partition + 1)
				tally.reach(partition + 1)
			}
			return { ...tally.progress, resumed: done > 0 }
		}),
	)
}
