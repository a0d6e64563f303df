/**
 * The way to the servers of a cluster. What is sent in one turn goes to each node as one pipeline, however many slots it has of it. The map of the
 * slots may be wrong, and a slot that is being moved is on two nodes: what is answered MOVED, ASK or TRYAGAIN was not executed, and goes again to where
 * it belongs. (That must not be left to the client's own pipelines: ioredis takes all of one to where one of its commands is to ask, and there the keys
 * that were not moved yet read as if they did not exist.)
 */
import { systemClock } from '../../../clock.ts'
import type { Command, RedisClient } from '../client.ts'
import { Failure } from '../failure.ts'
import { onlyIfReplicated, type Replicas, type Reply, type Server, sendTogether, type Wire } from '../wire.ts'
import { lead, push, strayedOf, takes } from './astray.ts'
import { addressOf, type ClusterClient, type ClusterNode } from './cluster-client.ts'
import { Owners } from './owners.ts'

/** A call, or that part of it that goes to one slot. */
interface Parcel {
	readonly commands: readonly Command[]
	/** Where its commands were in the call. */
	readonly places: readonly number[]
}

/** Without an answer for this long, the nodes are asked who has which slot: the one that has it may hang, and another have taken over. */
const SLOW_MS = 1_000
/** What is sent to every master does not wait longer for those that do not answer. */
const EVERYWHERE_MS = 1_000
/** From node to node at most. */
const HOPS = 5

export class ClusterWire implements Wire {
	readonly #replicas: Replicas
	#owners: Owners | undefined
	#refreshing = false

	constructor(replicas: Replicas) {
		this.#replicas = replicas
	}

	watch(client: RedisClient, suspect: Parameters<Wire['watch']>[1]): () => void {
		return this.#ownersOf(client as ClusterClient).watch(suspect)
	}

	send(redis: RedisClient, calls: readonly (readonly Command[])[]): Promise<readonly Reply[]>[] {
		const client = redis as ClusterClient
		const owners = this.#ownersOf(client)
		const nodes = new Map(client.nodes('all').map((node) => [addressOf(node), node]))
		const byNode = new Map<string | undefined, Parcel[]>()
		const answers = new Map<Parcel, Promise<readonly Reply[]>>()
		const parcels = calls.map((commands) => {
			const mine = parcelsOf(commands, (key) => owners.slot(key))
			for (const [slot, parcel] of mine) {
				if (slot === undefined && parcel.commands[0]!.name === 'script') {
					answers.set(parcel, this.#everywhere(client, parcel.commands))
					continue
				}
				const owner = slot === undefined ? anyMaster(client) : owners.of(slot)
				push(byNode, owner, parcel)
			}
			return mine.map(([, parcel]) => parcel)
		})
		for (const [owner, together] of byNode) {
			const node = owner === undefined ? undefined : nodes.get(owner)
			const sent = this.#sendTo(client, owner, node, together)
			for (const [i, parcel] of together.entries()) {
				answers.set(
					parcel,
					sent[i]!.then((replies) => this.#follow(client, parcel.commands, replies)),
				)
			}
		}
		return calls.map(async (commands, i) => {
			const replies: Reply[] = Array(commands.length)
			for (const parcel of parcels[i]!) {
				const theirs = await answers.get(parcel)!
				for (const [j, place] of parcel.places.entries()) replies[place] = theirs[j]
			}
			return replies
		})
	}

	servers(redis: RedisClient): readonly Server[] {
		const client = redis as ClusterClient
		// Whoever is gone is found so at the next look.
		this.#refresh(client)
		const masters = new Set<string>()
		const replicas = new Set<string>()
		for (const [master, ...others] of new Set(client.slots.filter((nodes) => nodes !== undefined))) {
			if (master !== undefined) masters.add(master)
			for (const other of others) replicas.add(other)
		}
		const nodes = new Map(client.nodes('all').map((node) => [addressOf(node), node]))
		const server = (role: Server['role']) => (address: string) => ({ name: `redis:${address}`, role, client: nodes.get(address) })
		const followers = [...replicas].filter((address) => !masters.has(address))
		return [...[...masters].sort().map(server('master')), ...followers.sort().map(server('replica'))]
	}

	#ownersOf(client: ClusterClient): Owners {
		this.#owners ??= new Owners(client)
		return this.#owners
	}

	#sendTo(
		client: ClusterClient,
		owner: string | undefined,
		node: ClusterNode | undefined,
		parcels: readonly Parcel[],
	): Promise<readonly Reply[]>[] {
		if (node === undefined || !takes.has(node.status)) {
			// It is not waited for: the client has no other use for it than to keep what is sent, and to send it late.
			this.#refresh(client)
			const why = owner === undefined ? 'nobody has the slot' : `no connection to ${owner}`
			return parcels.map(async ({ commands }) => failures(commands, why))
		}
		const sent = sendTogether(
			node,
			parcels.map(({ commands }) => commands),
			this.#replicas,
		)
		const slow = systemClock.setTimer(() => this.#refresh(client), SLOW_MS)
		void Promise.all(sent).then((all) => {
			slow.cancel()
			// No reply of a server: the connection is gone, and perhaps the server, and another has taken over.
			if (all.flat().some((reply) => reply instanceof Failure && !isReply(reply))) this.#refresh(client)
		})
		return sent
	}

	/** Sends again what was sent to the wrong node. */
	async #follow(client: ClusterClient, commands: readonly Command[], replies: readonly Reply[]): Promise<readonly Reply[]> {
		const all = strayedOf(commands, replies)
		if (all.length === 0) return replies
		this.#refresh(client)
		const whole = [...replies]
		for (let hop = 0, strayed = all; strayed.length > 0 && hop < HOPS; hop++) {
			await lead(client, strayed, whole)
			strayed = strayedOf(commands, whole).filter(({ to }) => to !== '')
		}
		if (this.#replicas.count === 0) return whole
		const sure = onlyIfReplicated(
			all.map(({ command }) => command),
			all.map(({ place }) => whole[place]),
			await this.#replicated(client),
			this.#replicas.count,
		)
		for (const [i, { place }] of all.entries()) whole[place] = sure[i]
		return whole
	}

	/** How many replicas have what was written, at each master: over which connection it was is the client's secret. */
	async #replicated(client: ClusterClient): Promise<readonly Reply[]> {
		const { count, timeoutMs } = this.#replicas
		const wait: Command = { name: 'wait', args: [count, timeoutMs] }
		const each = await Promise.all(client.nodes('master').map((node) => sendTogether(node, [[wait]], { count: 0, timeoutMs: 0 })[0]!))
		return each.flat()
	}

	/** Answers what one of the masters answered: those that are away are asked again when they are needed. */
	async #everywhere(client: ClusterClient, commands: readonly Command[]): Promise<readonly Reply[]> {
		const none: readonly Reply[] = failures(commands, 'no master of the cluster answered')
		let answer: readonly Reply[] | undefined
		const asked = client.nodes('master').map(async (node) => {
			const [replies = none] = await Promise.all(sendTogether(node, [commands], { count: 0, timeoutMs: 0 }))
			if (answer === undefined || answer.some((reply) => reply instanceof Failure)) answer = replies
		})
		await Promise.race([Promise.all(asked), new Promise<void>((resolve) => systemClock.setTimer(resolve, EVERYWHERE_MS))])
		return answer ?? none
	}

	/** At most once in a while. */
	#refresh(client: ClusterClient): void {
		if (this.#refreshing) return
		this.#refreshing = true
		systemClock.setTimer(() => {
			this.#refreshing = false
		}, SLOW_MS)
		client.refreshSlotsCache?.()
	}
}

/** The commands by their slot, in order; those without a key are on their own. */
function parcelsOf(commands: readonly Command[], slotOf: (key: string) => number): [slot: number | undefined, parcel: Parcel][] {
	const bySlot = new Map<number | undefined, { commands: Command[]; places: number[] }>()
	for (const [place, command] of commands.entries()) {
		const key = keyOf(command)
		const slot = key === undefined ? undefined : slotOf(key)
		let parcel = bySlot.get(slot)
		if (parcel === undefined) {
			parcel = { commands: [], places: [] }
			bySlot.set(slot, parcel)
		}
		parcel.commands.push(command)
		parcel.places.push(place)
	}
	return [...bySlot]
}

const keyless = new Set(['ping', 'info', 'time', 'script', 'config', 'wait'])
/** Where the key is, where that is not the first argument. */
const keyAt: Readonly<Record<string, number>> = { evalsha: 2, eval: 2, bitop: 1 }

function keyOf({ name, args }: Command): string | undefined {
	return keyless.has(name) ? undefined : String(args[keyAt[name] ?? 0])
}

/** An error that a server replied begins with a word in capitals. */
function isReply({ message }: Failure): boolean {
	return /^[A-Z]{3,} /.test(message)
}

function anyMaster(client: ClusterClient): string | undefined {
	const masters = client.nodes('master')
	const node = masters.find(({ status }) => status === 'ready') ?? masters[0]
	return node === undefined ? undefined : addressOf(node)
}

function failures(commands: readonly Command[], why: string): readonly Failure[] {
	const failure = new Failure(new Error(why))
	return commands.map(() => failure)
}
