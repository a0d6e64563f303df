/** Where a schedule takes place: one server behind a proxy, or a cluster whose nodes have one each (for a ring see ring-stand.ts). */
import { slotOf } from '../../src/stores/redis/cluster/slot.ts'
import { type ClusterMember, RedisCluster } from '../support/redis-cluster.ts'
import { happen, happenOnLink, isOnLink } from './faults.ts'
import type { ClusterKind, Fault, Plan } from './plan.ts'
import { Random } from './random.ts'
import { ServerControl } from './server-control.ts'
import { namespace, type Place } from './target.ts'
import { TcpProxy } from './tcp-proxy.ts'

export interface Stand {
	/** For the writers: through proxies. */
	readonly place: Place
	befall(fault: Fault): Promise<void>
	/** Everything is as it should be again. */
	heal(): Promise<void>
	/** For the recount: straight to the servers. */
	healthy(): Place
	/** In a ring: how many partitions have moved. */
	moves?(): number
}

export type CleanUp = (() => Promise<unknown> | unknown)[]

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export async function serverStand(plan: Plan, killWriter: () => Promise<void>, cleanUp: CleanUp): Promise<Stand> {
	const server = await ServerControl.start({ fsync: plan.fsync, replica: plan.faults.some(({ kind }) => kind === 'failover') })
	cleanUp.push(() => server.stop())
	const proxy = await TcpProxy.start(server.port)
	cleanUp.push(() => proxy.close())
	return {
		place: proxy.port,
		befall: (fault) => happen({ proxy, server, killWriter }, fault),
		heal: () => proxy.heal(),
		healthy: () => server.port,
	}
}

export async function clusterStand(plan: Plan, killWriter: () => Promise<void>, cleanUp: CleanUp): Promise<Stand> {
	const cluster = await RedisCluster.start({ args: ['--appendonly', 'yes'] })
	cleanUp.push(() => cluster.stop())
	const proxies = await Promise.all(cluster.members.map(({ port }) => TcpProxy.start(port)))
	cleanUp.push(() => Promise.all(proxies.map((proxy) => proxy.close())))
	const tags = Array.from({ length: plan.partitions }, (_, partition) => `{${namespace}:${partition}}`)
	const slots = [...tags, `${namespace}:meta`, `${namespace}:writers`].map(slotOf)
	return {
		place: cluster.members.map(({ port }, i) => ({ port, through: proxies[i]!.port })),
		async befall(fault) {
			const { kind } = fault
			const random = new Random(`${plan.seed} ${kind} ${fault.atMs}`)
			const kill = fault.killsWriter === true ? killWriter : async () => {}
			if (isOnLink(kind)) await happenOnLink(random.pick(proxies), kind, fault)
			else await perform[kind as ClusterKind](cluster, fault, slots, random, kill)
		},
		async heal() {
			await Promise.all(proxies.map((proxy) => proxy.heal()))
			await cluster.whole()
		},
		healthy: () => cluster.members.map(({ port }) => ({ port, through: port })),
	}
}

/** `kill` is called just before a replica that lags behind takes over. */
type Perform = (cluster: RedisCluster, fault: Fault, slots: readonly number[], random: Random, kill: () => Promise<void>) => Promise<void>

/** A master that has something of ours, and its replica. */
async function pair(
	cluster: RedisCluster,
	slots: readonly number[],
	random: Random,
): Promise<{ master: ClusterMember; replica: ClusterMember }> {
	await cluster.whole()
	const master = await cluster.masterOf(random.pick(slots))
	const [replica] = await cluster.replicasOf(master)
	if (replica === undefined) throw new Error('A master has no replica')
	return { master, replica }
}

/** They come one after the other: a failover in the middle of a slot's move leaves the slot in two halves, which Redis itself does not mend. */
const perform: Record<ClusterKind, Perform> = {
	/** A few keys at a time; as many as fit into the time of the fault wait in between. */
	async moveSlot(cluster, { forMs, times }, slots, random) {
		await cluster.whole()
		const slot = random.pick(slots)
		const source = await cluster.masterOf(slot)
		const target = random.pick((await cluster.masters()).filter((member) => member !== source))
		const end = Date.now() + forMs
		await cluster.moveSlot(slot, target, () => wait(Date.now() < end ? 15 : 0), 2 + times * 10)
	},
	async handOver(cluster, _, slots, random) {
		const { replica } = await pair(cluster, slots, random)
		await cluster.failOver(replica)
	},
	/** The replica lacks what was written for a while. */
	async takeOver(cluster, { forMs }, slots, random, kill) {
		const { master, replica } = await pair(cluster, slots, random)
		const catchUp = await cluster.holdBack(replica, master)
		await wait(forMs)
		await kill()
		await cluster.failOver(replica, 'TAKEOVER')
		await catchUp()
	},
	/** Likewise, and its master is gone: the others choose it. */
	async killMaster(cluster, { forMs, share }, slots, random, kill) {
		const { master, replica } = await pair(cluster, slots, random)
		const catchUp = share < 0.5 ? await cluster.holdBack(replica, master) : async () => {}
		await wait(forMs)
		await kill()
		await cluster.kill(master)
		await cluster.until('a replica has taken over', () => cluster.isMaster(replica))
		await catchUp()
		await cluster.restart(master)
	},
	/** Until a replica has taken over: then it goes on as if it were the master still. */
	async hangMaster(cluster, { forMs }, slots, random) {
		const { master, replica } = await pair(cluster, slots, random)
		master.server.pause()
		try {
			await cluster.until('a replica has taken over', () => cluster.isMaster(replica))
			await wait(forMs)
		} finally {
			master.server.resume()
		}
	},
}
