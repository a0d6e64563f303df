/** A ring for a schedule: three servers, each behind a proxy of its own, by which the writers and the coordinators know it; partitions move meanwhile. */
import { connect } from '../../src/stores/redis/connect.ts'
import { Keys } from '../../src/stores/redis/keys.ts'
import { Link } from '../../src/stores/redis/link.ts'
import { ensurePlacement, readOwns } from '../../src/stores/redis/ring/ensure-placement.ts'
import type { MoveStep } from '../../src/stores/redis/ring/move.ts'
import { readPlacement } from '../../src/stores/redis/ring/placement.ts'
import type { RebalanceReport } from '../../src/stores/redis/ring/progress.ts'
import { type RebalanceNode, rebalance } from '../../src/stores/redis/ring/rebalance.ts'
import { happen, happenOnLink, isOnLink } from './faults.ts'
import type { Fault, Plan } from './plan.ts'
import { Random } from './random.ts'
import { ringNodes } from './ring-plan.ts'
import { ServerControl } from './server-control.ts'
import type { CleanUp, Stand } from './stand.ts'
import { namespace, type RingPlace } from './target.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Before which a coordinator can be killed. The other two come only when a move is given up. */
const steps: readonly MoveStep[] = ['prepare', 'seal', 'awaitSeal', 'copy', 'activate', 'awaitActivation', 'publish', 'tombstone', 'remove']
const coordinatorMs = 1_000
/** In which what the last coordinators have left must come to its end. */
const patienceMs = 45_000
/** The second between two fsyncs, and a margin below what a coordinator waits. */
const syncedMs = 1_200

export async function ringStand(plan: Plan, killWriter: () => Promise<void>, cleanUp: CleanUp): Promise<Stand> {
	const replica = plan.faults.some(({ kind }) => kind === 'failover')
	const started = await Promise.allSettled(ringNodes.map(() => ServerControl.start({ fsync: plan.fsync, replica })))
	const servers = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
	cleanUp.push(() => Promise.all(servers.map((server) => server.stop())))
	for (const each of started) if (each.status === 'rejected') throw each.reason
	const proxies = await Promise.all(servers.map(({ port }) => TcpProxy.start(port)))
	cleanUp.push(() => Promise.all(proxies.map((proxy) => proxy.close())))
	const keys = new Keys(namespace)
	const replicasToWaitFor = replica ? 1 : 0

	/** The nodes by these ports, as a coordinator knows them. */
	const open = (ports: readonly { readonly port: number }[]): RebalanceNode[] =>
		ports.map(({ port }, i) => {
			const name = ringNodes[i]!
			const link: Link = new Link(name, async () => {
				const client = await connect(`redis://127.0.0.1:${port}`, coordinatorMs, (error) => link.noteError(error))
				cleanUp.push(() => client.disconnect())
				return client
			})
			return { name, link, address: `redis://127.0.0.1:${proxies[i]!.port}` }
		})
	const nodes = open(proxies)
	// Somebody who is told of one node only must find a ring there, not make one of it.
	const members = nodes.map(({ name, address }) => ({ name, weight: 1, address }))
	const place = async () => {
		await ensurePlacement(nodes, keys, plan.partitions, members, coordinatorMs)
	}
	await until(place, 'The ring could not be made')
	// A replica that has not even the placement is a server that was wiped: of whoever knows no other one it would become a new ring.
	await Promise.all(servers.map((server) => server.replicated()))
	let moves = 0

	const move = async (from: readonly RebalanceNode[], to: readonly RebalanceNode[], killedBefore?: MoveStep): Promise<RebalanceReport> => {
		let killed = false
		const onStep = (step: MoveStep) => {
			if (step === killedBefore) killed = true
			if (killed) throw new Error('The coordinator was killed')
		}
		const report = await rebalance({ namespace, from, to, timeoutMs: coordinatorMs, replicasToWaitFor, onStep })
		moves += report.moved
		return report
	}
	/** One coordinator, or two that do not want the same. */
	const disturb = async ({ atMs, times }: Fault) => {
		const random = new Random(`${plan.seed} rebalance ${atMs}`)
		const coordinator = async () => {
			const aim = random.whole(1, 2 ** nodes.length - 1)
			const killedBefore = random.chance(0.4) ? random.pick(steps) : undefined
			const to = nodes.filter((_, i) => (aim & (1 << i)) !== 0)
			// Nobody may have answered: then it does nothing, and the partitions stay.
			await move(nodes, to, killedBefore).catch(() => {})
		}
		await Promise.all(Array.from({ length: Math.min(times, 2) }, coordinator))
	}
	/** Somebody brings everything to its end, with all nodes: afterwards each partition has one owner, and the placement knows it. */
	const settle = async () => {
		const healthy = open(servers)
		const finish = async () => {
			const { failed } = await move(healthy, healthy)
			if (failed[0] !== undefined) throw failed[0].error
		}
		await until(finish, 'The partitions do not come to rest')
		const { placement } = await readPlacement(healthy, keys, coordinatorMs)
		const partitions = Array.from({ length: plan.partitions }, (_, partition) => partition)
		const records = await Promise.all(healthy.map((node) => readOwns(node, keys, partitions, coordinatorMs)))
		for (const partition of partitions) {
			const theirs = records.map((all) => all?.[partition])
			const owners = healthy.filter((_, i) => theirs[i]?.state === 'active').map(({ name }) => name)
			const isSealed = theirs.some((own) => own?.state === 'sealed')
			if (owners.length !== 1 || isSealed || placement?.owners[partition]?.node !== owners[0])
				throw new Error(
					`Partition ${partition} is at ${placement?.owners[partition]?.node} by the placement, and ${JSON.stringify(theirs)}`,
				)
		}
	}
	const at = (ports: readonly { readonly port: number }[]): RingPlace => ({
		ring: ports.map(({ port }, i) => ({ name: ringNodes[i]!, port })),
	})
	return {
		place: at(proxies),
		async befall(fault) {
			const { kind, node = 0 } = fault
			if (kind === 'rebalance') return disturb(fault)
			if (isOnLink(kind)) return happenOnLink(proxies[node]!, kind, fault)
			return happen({ proxy: proxies[node]!, server: servers[node]!, killWriter, syncedMs }, fault)
		},
		async heal() {
			await Promise.all(proxies.map((proxy) => proxy.heal()))
			await settle()
		},
		healthy: () => at(servers),
		moves: () => moves,
	}
}

async function until(act: () => Promise<void>, otherwise: string): Promise<void> {
	for (const end = Date.now() + patienceMs; ; ) {
		try {
			return await act()
		} catch (cause) {
			if (Date.now() > end) throw new Error(`${otherwise}: ${cause}`, { cause })
		}
		await new Promise((resolve) => setTimeout(resolve, 50))
	}
}
