/**
 * What every store promises, as cases that any test framework can run:
 *
 *     for (const { name, run } of storeContract(() => new MyStore())) test(name, run)
 *
 * Each case works in a namespace of its own, so that all of them can share a server; what they leave there they do not remove.
 */
import type { MaybePromise, Store } from '../stores/store.ts'
import type { TrackerName } from '../visitors/trackers.ts'
import { buckets } from './contract/buckets.ts'
import { claims } from './contract/claims.ts'
import { type ContractCase, Desk, type Proof } from './contract/desk.ts'
import { keys } from './contract/keys.ts'
import { ranking } from './contract/ranking.ts'
import { shared } from './contract/shared.ts'
import { transferOfNumbers, transferOfVisitors } from './contract/transfer.ts'
import { visitors } from './contract/visitors.ts'
import { writing } from './contract/writing.ts'

export type { ContractCase }

export interface StoreContractOptions {
	/**
	 * The trackers to run it with. Cases without visitors run with the first of them only. @default 'set' and 'hyperloglog'
	 */
	readonly trackers?: readonly TrackerName[]
	/**
	 * Whether the store asks nothing but the session's clock for the time. Then cases about time turn that clock, at bounds to the millisecond; otherwise
	 * they wait, some four seconds in all, and allow a quarter of a second. @default false
	 */
	readonly controlsTime?: boolean
}

/** A store under test, with what is to be done when the case is over. */
export interface StoreUnderTest {
	readonly store: Store
	dispose?(): MaybePromise<void>
}

/** The cases for the stores that `make` makes, one for each case; it may answer the same store again and again. */
export function storeContract(
	make: () => MaybePromise<Store | StoreUnderTest>,
	{ trackers = ['set', 'hyperloglog'], controlsTime = false }: StoreContractOptions = {},
): readonly ContractCase[] {
	const caseOf = ([name, prove]: Proof, tracker: TrackerName, suffix = ''): ContractCase => ({
		name: name + suffix,
		run: async () => {
			const made = await make()
			const { store, dispose } =
				'store' in made ? { store: made.store, dispose: () => made.dispose?.() } : { store: made, dispose: undefined }
			const desk = new Desk(store, tracker, controlsTime)
			try {
				await prove(desk)
			} finally {
				await desk.close()
				await dispose?.()
			}
		},
	})
	const [first] = trackers
	if (first === undefined) return []
	return [
		...[...writing, ...buckets, ...keys, ...ranking, ...claims, ...shared, ...transferOfNumbers].map((proof) => caseOf(proof, first)),
		...trackers.flatMap((tracker) => [...visitors, ...transferOfVisitors].map((proof) => caseOf(proof, tracker, ` (${tracker})`))),
	]
}
