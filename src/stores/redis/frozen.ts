/** A batch that was frozen: its parts, what belongs to it besides, and how it ends. */
import type { TallymarkError } from '../../errors.ts'
import type { Batch, Outcome } from '../store.ts'
import type { Part } from './counted-set.ts'
import type { DeletePlan } from './delete-plan.ts'
import type { VisitorFlush } from './visitor-flush.ts'

/** A deletion on its way. `again`: it was swept again, later than hits from after it, which have taken the place of its marks. */
export type Deletion = DeletePlan & { swept: boolean; again: boolean }

export interface Frozen {
	/** Nothing else of the batch is kept: it has the visitors, which may have to be let go of earlier than the hits. */
	readonly batch: Pick<Batch, 'kind' | 'sequence'>
	readonly parts: readonly Part[]
	visitors: VisitorFlush | undefined
	readonly deletion: Deletion | undefined
	/** Roughly what keeping its parts costs. */
	readonly bytes: number
	/** When it was acknowledged, or last sent again after that. */
	at: number
	/** Parts that were refused, and why. */
	readonly refusals: (readonly [Part, TallymarkError])[]
}

export function frozenOf(batch: Batch, parts: readonly Part[], visitors?: VisitorFlush, deletion?: Frozen['deletion']): Frozen {
	let bytes = 200
	for (const { members } of parts) bytes += 100 + 16 * members.length
	// The names are shared by the parts, and by the batch.
	if (batch.kind === 'hits') for (const { deltas } of batch.groups) for (const { key } of deltas) bytes += 100 + key.length
	return { batch: { kind: batch.kind, sequence: batch.sequence }, parts, visitors, deletion, bytes, at: 0, refusals: [] }
}

export function outcomeOf({ batch, parts, refusals, deletion }: Frozen): Outcome {
	if (refusals.length > 0 && parts.every(({ state }) => state === 'dropped')) return { status: 'refused', error: refusals[0]![1] }
	if (batch.kind === 'delete') return { status: 'applied', existed: deletion!.existed }
	return { status: 'applied' }
}
