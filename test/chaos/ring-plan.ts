/** Schedules for a ring: what befalls a server befalls one of several, and partitions move between them meanwhile. */
import { type Fault, type Kind, type Plan, planOf } from './plan.ts'
import { Random } from './random.ts'
import type { Fsync } from './server-control.ts'

/** By these names the placement knows them. */
export const ringNodes = ['a', 'b', 'c'] as const

export interface RingPlanOptions {
	/** Which kinds may happen besides. @default all */
	readonly kinds?: readonly Kind[]
	/** These happen for sure, as far as they can in one schedule. */
	readonly surely?: readonly Kind[]
	/** Times that coordinators set out, one or two together. @default 3 */
	readonly rebalances?: number | undefined
	/** Where no file is torn: with everysec every move waits for seconds. @default either */
	readonly fsync?: Fsync
	/** @default 4_000 */
	readonly loadMs?: number | undefined
}

export function ringPlanOf(seed: string, options: RingPlanOptions = {}): Plan {
	const { kinds, surely, rebalances = 3, loadMs = 4_000 } = options
	const random = new Random(`ring ${seed}`)
	const base = planOf(seed, { loadMs, ...(kinds && { kinds }), ...(surely && { surely }) })
	const has = (kind: Kind) => base.faults.some((fault) => fault.kind === kind)
	const faults: Fault[] = base.faults.map((fault) => ({ ...fault, node: random.whole(0, ringNodes.length - 1) }))
	// A server that is wiped while it has the only copy of what is on its way loses what nobody can report.
	const moves = has('wipe') ? 0 : rebalances
	for (let i = 0; i < moves; i++) {
		const atMs = Math.round((0.05 + (0.8 * (i + 0.5 * random.next())) / moves) * loadMs)
		faults.push({ kind: 'rebalance', track: 'mover', atMs, forMs: 0, share: random.next(), times: random.pick([1, 1, 2]), match: '' })
	}
	return {
		...base,
		partitions: random.pick([3, 6, 12]),
		timeoutMs: random.pick([300, 1_000]),
		// With `always`, what was answered is on the disk, and a torn file still has it: it would be torn further than that.
		fsync: has('torn') ? 'everysec' : (options.fsync ?? base.fsync),
		replicasToWaitFor: has('failover') ? random.pick([0, 1]) : 0,
		// Who knows of one server only, and finds it wiped, would make a new ring of it.
		writers: base.writers.map((writer, i) => (i === 0 || has('wipe') ? writer : { ...writer, knows: random.whole(1, ringNodes.length) })),
		faults,
	}
}
