/**
 * The way to the servers of a cluster. What is sent in one turn goes to each node as one pipeline, however many slots it has of it. The client's map of
 * the slots may be wrong, and a slot that is being moved is on two nodes: what is answered MOVED, ASK or TRYAGAIN was not executed, and goes again
 * one by one, which is how the client follows them.
 */
import { systemClock } from '../../../clock.ts'
import type { Argument, Command, RedisClient } from '../client.ts'
import { Failure } from '../failure.ts'
import { onlyIfReplicated, type Replicas, type Reply, type Server, sendTogether, type Wire } from '../wire.ts'
import { addressOf, type ClusterClient } from './cluster-client.ts'
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
		const pipelines = new Map<string, Parcel[]>()
		const answers = new Map<Parcel, Promise<readonly Reply[]>>()
		const parcels = calls.map((commands) => {
			const mine = parcelsOf(commands, (key) => owners.slot(key))
			for (const [slot, parcel] of mine) {
				if (slot === undefined && parcel.commands[0]!.name === 'script') {
					answers.set(parcel, this.#everywhere(client, parcel.commands))
					continue
				}
				const name = slot === undefined ? 'any' : (owners.group(slot) ?? `slot ${slot}`)
				pipelines.set(name, [...(pipelines.get(name) ?? []), parcel])
			}
			return mine.map(([, parcel]) => parcel)
		})
		for (const together of pipelines.values()) {
			const sent = sendTogether(
				client,
				together.map(({ commands }) => commands),
				this.#replicas,
			)
			for (const [i, parcel] of together.entries()) {
				answers.set(
					parcel,
					this.#inTime(client, sent[i]!).then((replies) => this.#follow(client, parcel.commands, replies)),
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
		for (const [master, ...others] of client.slots?.filter((nodes) => nodes !== undefined) ?? []) {
			if (master !== undefined) masters.add(master)
			for (const other of others) replicas.add(other)
		}
		const nodes = new Map(client.nodes('all').map((node) => [addressOf(node), node]))
		if (masters.size === 0) {
			for (const node of client.nodes('master')) masters.add(addressOf(node))
			for (const node of client.nodes('slave')) replicas.add(addressOf(node))
		}
		const server = (role: Server['role']) => (address: string) => ({ name: `redis:${address}`, role, client: nodes.get(address) })
		const followers = [...replicas].filter((address) => !masters.has(address))
		return [...[...masters].sort().map(server('master')), ...followers.sort().map(server('replica'))]
	}

	#ownersOf(client: ClusterClient): Owners {
		this.#owners ??= new Owners(client)
		return this.#owners
	}

	/** Sends again, one by one, what was sent to the wrong node. */
	async #follow(client: ClusterClient, commands: readonly Command[], replies: readonly Reply[]): Promise<readonly Reply[]> {
		const strayed = [...replies.keys()].filter((i) => hasStrayed(replies[i]))
		if (strayed.length === 0) return replies
		const again = strayed.map((i) => commands[i]!)
		let answers: readonly Reply[] = await Promise.all(again.map((command) => one(client, command)))
		if (this.#replicas.count > 0) answers = onlyIfReplicated(again, answers, await this.#replicated(client), this.#replicas.count)
		const whole = [...replies]
		for (const [i, place] of strayed.entries()) whole[place] = answers[i]
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
		const none = commands.map((): Reply => new Failure(new Error('no master of the cluster answered')))
		let answer: readonly Reply[] | undefined
		const asked = client.nodes('master').map(async (node) => {
			const [replies = none] = await Promise.all(sendTogether(node, [commands], { count: 0, timeoutMs: 0 }))
			if (answer === undefined || answer.some((reply) => reply instanceof Failure)) answer = replies
		})
		await Promise.race([Promise.all(asked), new Promise<void>((resolve) => systemClock.setTimer(resolve, EVERYWHERE_MS))])
		return answer ?? none
	}

	#inTime<Result>(client: ClusterClient, answer: Promise<Result>): Promise<Result> {
		const timer = systemClock.setTimer(() => this.#refresh(client), SLOW_MS)
		return answer.finally(() => timer.cancel())
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
const keyAt: Readonly<Record<string, number>> = { evalsha: 2, bitop: 1 }

function keyOf({ name, args }: Command): string | undefined {
	return keyless.has(name) ? undefined : String(args[keyAt[name] ?? 0])
}

function hasStrayed(reply: Reply): boolean {
	// The last one is what ioredis says of a pipeline for nodes that, by its map of just now, are not one.
	return reply instanceof Failure && /^(MOVED|ASK|TRYAGAIN)\b|same slots allocation group/.test(reply.message)
}

async function one(client: ClusterClient, { name, args, binary }: Command): Promise<Reply> {
	try {
		return await (binary === true ? client.callBuffer(name, args as Argument[]) : client.call(name, args as Argument[]))
	} catch (error) {
		return new Failure(error)
	}
}
