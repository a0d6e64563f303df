/**
 * A schedule before it is run: what befalls whom and when, and who counts what. It comes from its seed alone, so the same seed brings back the same
 * schedule; only what the operating system makes of the times differs.
 */
import { Random } from './random.ts'
import type { Fsync } from './server-control.ts'

/** Between the writers and the server. */
export const linkKinds = [
	'refuse',
	'cut',
	'stall',
	'blackhole',
	'halfOpen',
	'loseRequest',
	'loseReply',
	'partialRequest',
	'partialReply',
] as const
/** At the server. */
const serverKinds = [
	'pause',
	'kill',
	'torn',
	'failover',
	'clientKill',
	'clientPause',
	'scriptFlush',
	'rewrite',
	'maxmemory',
	'wipe',
] as const

/** At the nodes of a cluster. */
export const clusterKinds = ['moveSlot', 'handOver', 'takeOver', 'killMaster', 'hangMaster'] as const

/** To the partitions of a ring. */
export const ringKinds = ['rebalance'] as const

export const kinds = [...linkKinds, ...serverKinds, 'killWriter'] as const

export type LinkKind = (typeof linkKinds)[number]
export type ClusterKind = (typeof clusterKinds)[number]
export type RingKind = (typeof ringKinds)[number]
export type Kind = (typeof kinds)[number] | ClusterKind | RingKind

/** Commands that a trap waits for; '' is any. */
const matches = ['evalsha', 'evalsha', 'expireat', 'pfadd', ''] as const

/** What a fault is about. Faults about the same thing come one after the other. */
export type Track = 'link' | 'server' | 'writer' | 'mover'

export interface Fault {
	readonly kind: Kind
	readonly track: Track
	/** From the start of the load. */
	readonly atMs: number
	readonly forMs: number
	/** In [0, 1): what else is to be chosen about it (where to cut, whom to hit, how far back). */
	readonly share: number
	/** How often it happens in a row. */
	readonly times: number
	readonly match: string
	/** In a ring: which of its servers, or the way to which. */
	readonly node?: number
	/** In a cluster: the writer that does not live is killed just before somebody takes over. */
	readonly killsWriter?: boolean
}

export interface WriterPlan {
	readonly name: string
	readonly joinsAtMs: number
	/** SIGKILL; undefined for one that lives. */
	readonly killedAtMs: number | undefined
	readonly ticks: number
	/** In a ring: of how many nodes it is told; the others it must find. @default all */
	readonly knows?: number
}

export interface Plan {
	readonly seed: string
	readonly partitions: number
	readonly uniques: 'set' | 'hyperloglog'
	readonly fsync: Fsync
	readonly maxWaitMs: number
	readonly maxKeys: number
	/** Names that a writer hits at once, now and then: so many for each partition that their batch is cut into several scripts. */
	readonly crowd?: number
	/** How long acknowledged batches are kept to be sent again. */
	readonly retentionMs: number
	/** How long a command may take. */
	readonly timeoutMs: number
	/** After the start, rounded up to a second: a minute of the past ends its life. */
	readonly minuteEndsAtMs: number
	readonly writers: readonly WriterPlan[]
	/** Whether keys are corrected and deleted too. */
	readonly operations: boolean
	readonly faults: readonly Fault[]
	readonly loadMs: number
	/** The load lasts until the last fault is over, if that is longer. */
	readonly lasting?: boolean
	/** In a cluster or a ring: how many replicas a batch waits for. */
	readonly replicasToWaitFor?: number
}

export interface PlanOptions {
	/** Which kinds may happen. @default all */
	readonly kinds?: readonly Kind[]
	/** These happen for sure, as far as they can in one schedule. */
	readonly surely?: readonly Kind[]
	/** @default 2_000 */
	readonly loadMs?: number
	/** Whether some schedules, of few partitions, hit many names at once. @default false */
	readonly crowds?: boolean
}

export const tickMs = 10

/** Takes back what the server has acknowledged: a writer that is dead cannot send that again. (kill: what a slow disk held up.) */
const takesBack: ReadonlySet<Kind> = new Set(['kill', 'torn', 'failover', 'wipe'])
const isLink: ReadonlySet<Kind> = new Set<Kind>(linkKinds)

export function planOf(seed: string, { kinds: allowed = kinds, surely = [], loadMs = 2_000, crowds = false }: PlanOptions = {}): Plan {
	const random = new Random(seed)
	const first = surely.length > 0 ? surely : [random.pick(allowed)]
	const wiped = first.includes('wipe')
	const killsWriter = !wiped && first.includes('killWriter')
	// What a killed writer had stored must stay; and a wipe is to be told from other losses.
	const others = allowed.filter(
		(kind) => (killsWriter ? !takesBack.has(kind) : kind !== 'killWriter') && (!wiped || !takesBack.has(kind)) && kind !== 'wipe',
	)
	// What takes something back is what the protocol is for.
	const weighted = others.flatMap((kind) => (takesBack.has(kind) ? [kind, kind] : [kind]))
	const wanted: Kind[] = first.filter((kind) => kind !== 'killWriter' && (!killsWriter || !takesBack.has(kind)))
	for (let left = random.whole(2, 5); left > 0 && others.length > 0; left--) {
		const kind = random.pick(weighted)
		if (kind !== 'killWriter') wanted.push(kind)
	}
	const link = wanted.filter((kind) => isLink.has(kind))
	const server = wanted.filter((kind) => !isLink.has(kind))
	const faults = [...spread(link, 'link', loadMs, random), ...spread(server, 'server', loadMs, random)].sort((a, b) => a.atMs - b.atMs)
	const killedAtMs = killsWriter ? random.whole(0.4 * loadMs, 0.9 * loadMs) : undefined
	const writer = (name: string, joinsAtMs: number, endsAtMs?: number): WriterPlan => ({
		name,
		joinsAtMs,
		killedAtMs: endsAtMs,
		ticks: Math.floor((loadMs - joinsAtMs) / tickMs),
	})
	const writers = [writer('a', 0, killedAtMs), writer('b', 0)]
	if (killedAtMs === undefined) writers.push(writer('c', 0.4 * loadMs))
	else {
		writers.push(writer('c', Math.min(loadMs - 100, killedAtMs + 100)))
		faults.push({ kind: 'killWriter', track: 'writer', atMs: killedAtMs, forMs: 0, share: 0, times: 1, match: '' })
	}
	const partitions = random.pick([1, 2, 4, 16])
	// With numbers of its own, so that a schedule is the same without it.
	const ofCrowd = new Random(`${seed} crowd`)
	const crowd = crowds && partitions <= 2 && ofCrowd.chance(0.6) ? partitions * ofCrowd.whole(600, 1_300) : undefined
	const plan: Plan = {
		seed,
		partitions,
		uniques: random.pick(['set', 'hyperloglog']),
		fsync: random.chance(0.7) ? 'everysec' : 'always',
		maxWaitMs: random.pick([20, 50, 150]),
		maxKeys: random.chance(0.3) ? 40 : 10_000,
		retentionMs: wiped ? 300 : 60_000,
		timeoutMs: random.pick([150, 300, 1_000]),
		minuteEndsAtMs: random.whole(0, 0.5 * loadMs),
		writers,
		// A hit that was deleted, or overwritten, cannot be told from one that was lost.
		operations: !wiped,
		faults,
		loadMs,
	}
	// A batch that is cut at few keys is never cut into scripts; and what is sent at once takes its time.
	return crowd === undefined ? plan : { ...plan, crowd, maxKeys: 10_000, timeoutMs: 1_000 }
}

/** Faults one after the other, spread over the load, in an order of their own. */
function spread(wanted: readonly Kind[], track: Track, loadMs: number, random: Random): Fault[] {
	const order = wanted.map((kind) => ({ kind, at: random.next() })).sort((a, b) => a.at - b.at)
	const share = (0.9 * loadMs) / Math.max(1, order.length)
	return order.map(({ kind }, i) => {
		const turn = Math.round(0.05 * loadMs + share * (i + 0.5 * random.next()))
		// Late enough for something to be lost that nobody can send again.
		const atMs = kind === 'wipe' ? Math.max(turn, random.whole(0.4 * loadMs, 0.9 * loadMs)) : turn
		// Some are long, so that buckets end and times run out meanwhile.
		const forMs = random.chance(0.15) ? random.whole(500, 1_200) : random.whole(20, 400)
		return { kind, track, atMs, forMs, share: random.next(), times: random.pick([1, 1, 2, 4]), match: random.pick(matches) }
	})
}
