/** Schedules for a cluster: slots move and masters change all the time, and the ways to the nodes fail meanwhile. */
import { type ClusterKind, clusterKinds, type Fault, type LinkKind, linkKinds, type Plan, planOf } from './plan.ts'
import { Random } from './random.ts'

export interface ClusterPlanOptions {
	/** @default 20 */
	readonly moves?: number | undefined
	/** Of any kind. @default 2 */
	readonly failovers?: number
	/** @default 20 */
	readonly linkFaults?: number
	/** @default 15_000 */
	readonly loadMs?: number | undefined
	/** The kind of the first failover. */
	readonly surely?: ClusterKind | undefined
	/**
	 * For `surely` takeOver or killMaster: a replica lags behind its master, a writer is killed, and the replica takes over: what the writer was told is
	 * stored must be there, for it has waited for a replica. @default false
	 */
	readonly killsWriter?: boolean
	/** @default 0 or 1, and 1 where a writer is killed */
	readonly replicasToWaitFor?: number
}

const failoverKinds = clusterKinds.filter((kind) => kind !== 'moveSlot')

export function clusterPlanOf(seed: string, options: ClusterPlanOptions = {}): Plan {
	const { moves = 20, failovers = 2, linkFaults = 20, loadMs = 15_000, surely, killsWriter = false } = options
	const random = new Random(`cluster ${seed}`)
	const base = planOf(seed, { kinds: ['cut'], loadMs, ...(killsWriter && { surely: ['killWriter'] }) })
	const kinds: ClusterKind[] = Array.from({ length: failovers }, (_, i) =>
		i === 0 && surely !== undefined ? surely : random.pick(failoverKinds),
	)
	for (let left = moves; left > 0; left--) kinds.splice(random.whole(0, kinds.length), 0, 'moveSlot')
	const fault = (kind: ClusterKind | LinkKind, track: 'link' | 'server', atMs: number): Fault => ({
		kind,
		track,
		atMs: Math.round(atMs),
		forMs: random.whole(20, 400),
		share: random.next(),
		times: random.pick([1, 1, 2, 4]),
		match: random.pick(['evalsha', 'evalsha', 'expireat', 'pfadd', '']),
	})
	const isDeadly = (i: number) => killsWriter && i === kinds.indexOf(surely ?? 'takeOver')
	// For longer than anybody waits for a replica.
	const deadly = (fault: Fault): Fault => ({ ...fault, forMs: random.whole(1_500, 2_000), share: fault.share / 2, killsWriter: true })
	const spread = (i: number, all: number) => (0.05 + (0.9 * (i + 0.5 * random.next())) / all) * loadMs
	return {
		...base,
		lasting: true,
		partitions: random.pick([4, 16, 64]),
		timeoutMs: random.pick([300, 1_000]),
		replicasToWaitFor: options.replicasToWaitFor ?? (killsWriter ? 1 : random.pick([0, 0, 1])),
		faults: [
			...kinds.map((kind, i) => {
				const each = fault(kind, 'server', spread(i, kinds.length))
				return isDeadly(i) ? deadly(each) : each
			}),
			...Array.from({ length: linkFaults }, (_, i) => fault(random.pick(linkKinds), 'link', spread(i, linkFaults))),
		],
	}
}
