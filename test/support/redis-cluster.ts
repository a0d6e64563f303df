/** A real Redis Cluster for tests: masters with a replica each, on free ports, without persistence; its slots can be moved and its nodes killed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { slotOf } from '../../src/stores/redis/cluster/slot.ts'
import { freePort, type RedisServer, startRedis } from './redis-server.ts'

export interface ClusterOptions {
	/** @default 3 */
	readonly masters?: number
	/** Of each master. @default 1 */
	readonly replicas?: number
	/** How long a node may be silent before the others take it for dead. @default 2_000 */
	readonly nodeTimeoutMs?: number
	/** More words for each server's command line. */
	readonly args?: readonly string[]
}

/** One of its servers. `admin` is a connection to it alone. */
export interface ClusterMember {
	server: RedisServer
	readonly admin: Redis
	readonly port: number
	readonly busPort: number
	/** Where it keeps what it knows of the others. */
	readonly dir: string
	/** Its name among the nodes. */
	readonly id: string
}

const slots = 16_384
const patienceMs = 20_000
/** After which a failover by agreement that did not come about is asked for again. */
const failoverMs = 5_500

export class RedisCluster {
	readonly members: ClusterMember[] = []
	readonly #options: Required<ClusterOptions>

	private constructor(options: ClusterOptions) {
		this.#options = { masters: 3, replicas: 1, nodeTimeoutMs: 2_000, args: [], ...options }
	}

	/** Resolves when every slot is served and every replica follows its master. */
	static async start(options: ClusterOptions = {}): Promise<RedisCluster> {
		const cluster = new RedisCluster(options)
		try {
			await cluster.#form()
		} catch (error) {
			await cluster.stop()
			throw error
		}
		return cluster
	}

	/** To find the cluster by. */
	get addresses(): { host: string; port: number }[] {
		return this.members.map(({ port }) => ({ host: '127.0.0.1', port }))
	}

	async stop(): Promise<void> {
		for (const { admin } of this.members) admin.disconnect()
		await Promise.all(this.members.map(({ server }) => server.stop()))
		for (const { dir } of this.members) rmSync(dir, { recursive: true, force: true })
	}

	async #form(): Promise<void> {
		const { masters, replicas } = this.#options
		const launched = await Promise.allSettled(Array.from({ length: masters * (1 + replicas) }, () => this.#launch()))
		for (const each of launched) if (each.status === 'fulfilled') this.members.push(each.value)
		for (const each of launched) if (each.status === 'rejected') throw each.reason
		const leaders = this.members.slice(0, masters)
		await Promise.all(
			leaders.map(async ({ admin }, i) => {
				await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
				await admin.call('CLUSTER', 'ADDSLOTSRANGE', Math.ceil((slots * i) / masters), Math.ceil((slots * (i + 1)) / masters) - 1)
			}),
		)
		const [first, ...others] = this.members
		for (const { port, busPort } of others) await first!.admin.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort)
		await this.until('all nodes know each other', async () => {
			const known = await Promise.all(this.members.map(({ admin }) => admin.call('CLUSTER', 'INFO')))
			return known.every((info) => String(info).includes(`cluster_known_nodes:${this.members.length}`))
		})
		await Promise.all(this.members.slice(masters).map(({ admin }, i) => admin.call('CLUSTER', 'REPLICATE', this.members[i % masters]!.id)))
		await this.whole()
	}

	async #launch(): Promise<ClusterMember> {
		const dir = mkdtempSync(join(tmpdir(), 'tallymark-cluster-'))
		// Between finding a port and listening on it another process can take it.
		for (let attempt = 1; ; attempt++) {
			try {
				const busPort = await freePort()
				const server = await this.#startServer(dir, busPort)
				const admin = new Redis(server.port, { retryStrategy: () => 20, maxRetriesPerRequest: null })
				admin.on('error', () => {})
				return { server, admin, port: server.port, busPort, dir, id: String(await admin.call('CLUSTER', 'MYID')) }
			} catch (error) {
				if (attempt === 5) throw error
			}
		}
	}

	#startServer(dir: string, busPort: number, port?: number): Promise<RedisServer> {
		const { nodeTimeoutMs, args } = this.#options
		const words = ['--cluster-enabled', 'yes', '--cluster-node-timeout', nodeTimeoutMs, '--cluster-port', busPort]
		// A replica follows as soon as it may, and takes over however far it is behind: that is what is to be tested.
		const more = ['--repl-diskless-sync-delay', 0, '--cluster-replica-validity-factor', 0, '--cluster-allow-replica-migration', 'no']
		return startRedis({ dir, args: [...words, ...more, ...args].map(String), ...(port !== undefined && { port }) })
	}

	/** Waits until every slot is served, by the word of every node, they agree by whom, and every replica is in step. */
	async whole(): Promise<void> {
		await this.agreed()
		let states: string[] = []
		const isWhole = async () => {
			states = await Promise.all(
				this.members.map(async ({ admin, port }) => {
					const [info, replication] = await Promise.all([admin.call('CLUSTER', 'INFO'), admin.info('replication')])
					const isOk = String(info).includes('cluster_state:ok') && String(info).includes(`cluster_slots_ok:${slots}`)
					if (isOk && replication.includes('role:master')) return 'master'
					return isOk && replication.includes('master_link_status:up') ? 'replica' : `${port}\n${info}${replication}`
				}),
			)
			const count = (state: string) => states.filter((each) => each === state).length
			const { masters, replicas } = this.#options
			return count('master') === masters && count('replica') === masters * replicas
		}
		await this.until('every slot is served and every replica follows', isWhole, () => states.join('\n'))
	}

	/**
	 * Waits until all nodes know the same owners, by the same epochs. A slot that moves on sooner can end up with nobody: who gets it claims it with the
	 * highest epoch that it knows of, and loses it to the last word of somebody whose epoch is higher.
	 */
	async agreed(): Promise<void> {
		let views: string[] = []
		const isSame = async () => {
			views = await Promise.all(
				this.members.map(async (member) => {
					const owners = (await this.nodes(member)).filter(({ ranges }) => ranges.length > 0)
					return owners
						.map(({ id, epoch, ranges }) => `${id} ${epoch} ${ranges.join(' ')}`)
						.sort()
						.join('\n')
				}),
			)
			return new Set(views).size === 1
		}
		await this.until('all nodes know the same owners', isSame, () => views.join('\n\n'))
	}

	async isMaster({ admin }: ClusterMember): Promise<boolean> {
		return (await admin.info('replication')).includes('role:master')
	}

	/** The master that has a slot, by its own word. */
	async masterOf(slot: number): Promise<ClusterMember> {
		let found: ClusterMember | undefined
		await this.until(`slot ${slot} has a master`, async () => {
			for (const member of this.members) {
				const own = (await this.nodes(member)).find(({ flags }) => flags.includes('myself'))
				if (own?.flags.includes('master') && own.ranges.some(([from, to]) => slot >= from && slot <= to)) found = member
			}
			return found !== undefined
		})
		return found!
	}

	masterOfKey(key: string): Promise<ClusterMember> {
		return this.masterOf(slotOf(key))
	}

	async masters(): Promise<ClusterMember[]> {
		const roles = await Promise.all(this.members.map((member) => this.isMaster(member)))
		return this.members.filter((_, i) => roles[i])
	}

	async replicasOf({ id }: ClusterMember): Promise<ClusterMember[]> {
		const theirs = await Promise.all(
			this.members.map(async (member) => (await this.nodes(member)).some(({ flags, master }) => flags.includes('myself') && master === id)),
		)
		return this.members.filter((_, i) => theirs[i])
	}

	/** What a member knows of all nodes. */
	async nodes({ admin }: ClusterMember) {
		const lines = String(await admin.call('CLUSTER', 'NODES'))
			.trim()
			.split('\n')
		return lines.map((line) => {
			const [id = '', , flags = '', master = '', , , epoch = '', , ...owned] = line.split(' ')
			const ranges = owned.filter((range) => !range.startsWith('[')).map((range) => range.split('-').map(Number))
			return { id, flags: flags.split(','), master, epoch, ranges: ranges.map(([from, to = from]) => [from!, to!] as const) }
		})
	}

	/** Moves a slot as redis-cli does, a few keys at a time; `pace` is awaited before each step. Answers how many keys it had. */
	async moveSlot(slot: number, target: ClusterMember, pace: () => Promise<unknown> = async () => {}, atOnce = 3): Promise<number> {
		const source = await this.masterOf(slot)
		if (source === target) return 0
		await this.agreed()
		await target.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id)
		await source.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id)
		let moved = 0
		for (;;) {
			const keys = (await source.admin.callBuffer('CLUSTER', 'GETKEYSINSLOT', slot, atOnce)) as Buffer[]
			if (keys.length === 0) break
			await pace()
			// The target may think for a moment that the cluster is down.
			await this.until('the keys are moved', async () => {
				const answer = source.admin.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5_000, 'REPLACE', 'KEYS', ...keys)
				return answer.then(
					() => true,
					() => false,
				)
			})
			moved += keys.length
		}
		await pace()
		await target.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target.id)
		await source.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target.id)
		for (const other of await this.masters())
			if (other !== source && other !== target) await other.admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target.id)
		await this.agreed()
		return moved
	}

	/** A replica takes over: by agreement ('' loses nothing), or whatever its master says ('TAKEOVER'). */
	async failOver(replica: ClusterMember, how: '' | 'FORCE' | 'TAKEOVER' = ''): Promise<void> {
		let asked = Number.NEGATIVE_INFINITY
		await this.until('the replica is master', async () => {
			if (await this.isMaster(replica)) return true
			// One that is not agreed upon in time is given up by the nodes themselves.
			if (performance.now() > asked + failoverMs) {
				asked = performance.now()
				await replica.admin.call('CLUSTER', 'FAILOVER', ...(how === '' ? [] : [how])).catch(() => {})
			}
			return false
		})
	}

	/** From now on a replica gets nothing of what its master is told: its password is wrong. Answers how to let it catch up, whoever it then follows. */
	async holdBack(replica: ClusterMember, master: ClusterMember): Promise<() => Promise<void>> {
		await replica.admin.config('SET', 'masteruser', 'nobody')
		await replica.admin.config('SET', 'masterauth', 'nothing')
		await master.admin.call('CLIENT', 'KILL', 'TYPE', 'REPLICA')
		await this.until('the replica is cut off', async () => !(await replica.admin.info('replication')).includes('master_link_status:up'))
		return async () => {
			await replica.admin.config('SET', 'masteruser', '')
			await replica.admin.config('SET', 'masterauth', '')
		}
	}

	/** SIGKILL. Its data is gone unless it was kept. */
	async kill({ server }: ClusterMember): Promise<void> {
		await server.stop()
	}

	/** Starts a node that was killed under its old name: it learns what happened from the others. */
	async restart(member: ClusterMember): Promise<void> {
		// The same ports again: a connection from some other one of this machine may have them for a moment.
		await this.until('the node has its ports again', async () => {
			try {
				member.server = await this.#startServer(member.dir, member.busPort, member.port)
				return true
			} catch {
				return false
			}
		})
	}

	/** `more` tells how it is instead. */
	async until(what: string, holds: () => Promise<boolean>, more = () => ''): Promise<void> {
		for (const end = Date.now() + patienceMs; ; ) {
			if (await holds()) return
			if (Date.now() > end) throw new Error(`Not within ${patienceMs} ms: ${what}\n${more()}`)
			await new Promise((resolve) => setTimeout(resolve, 20))
		}
	}
}
