/**
 * Who has which slot, and when that must be doubted. Two things tell that a server may lack what it had: its slot has another owner (a failover, to a
 * replica that may have been behind; or it was moved, which is harmless and looks the same), and a node that was there before is connected anew (it
 * was restarted, perhaps). A slot that went away and came back between two looks is not seen here; the look at everything that is made now and then,
 * and the next write, find it.
 */
import { renewed } from '../patience.ts'
import type { Concerns } from '../wire.ts'
import { addressOf, type ClusterClient, type ClusterNode } from './cluster-client.ts'
import { slotOf, tagOf } from './slot.ts'

/** Slots that are remembered by their tag. */
const TAGS = 10_000

export class Owners {
	readonly #client: ClusterClient
	readonly #prefix: string
	readonly #slots = new Map<string, number>()
	/** Of each slot that was asked for: its owner. */
	readonly #known = new Map<number, string>()
	/** Nodes that were connected once. */
	readonly #met = new Set<string>()

	constructor(client: ClusterClient) {
		this.#client = client
		this.#prefix = client.options?.keyPrefix ?? ''
	}

	slot(key: string): number {
		const tag = tagOf(this.#prefix + key)
		let slot = this.#slots.get(tag)
		if (slot === undefined) {
			if (this.#slots.size >= TAGS) this.#slots.clear()
			slot = slotOf(tag)
			this.#slots.set(tag, slot)
		}
		return slot
	}

	/** The master that has a slot, as far as the client knows. */
	of(slot: number): string | undefined {
		const owner = this.#client.slots[slot]?.[0]
		if (owner !== undefined && !this.#known.has(slot)) this.#known.set(slot, owner)
		return owner
	}

	/** See Wire.watch. */
	watch(suspect: (concerns?: Concerns) => void): () => void {
		const connected = new Map<ClusterNode, () => void>()
		const meet = (node: ClusterNode) => {
			const address = addressOf(node)
			if (node.status === 'ready') this.#met.add(address)
			const ready = () => {
				renewed(node)
				if (!this.#met.has(address)) this.#met.add(address)
				else suspect((key) => this.#client.slots[this.slot(key)]?.[0] === address)
			}
			node.on('ready', ready)
			connected.set(node, ready)
		}
		const leave = (node: ClusterNode) => {
			const ready = connected.get(node)
			if (ready !== undefined) node.off('ready', ready)
			connected.delete(node)
		}
		const refresh = () => {
			const changed = this.#changed()
			if (changed.size > 0) suspect((key) => changed.has(this.slot(key)))
		}
		const ready = () => suspect()
		for (const node of this.#client.nodes('all')) meet(node)
		this.#client.on('+node', meet)
		this.#client.on('-node', leave)
		this.#client.on('refresh', refresh)
		this.#client.on('ready', ready)
		return () => {
			this.#client.off('+node', meet)
			this.#client.off('-node', leave)
			this.#client.off('refresh', refresh)
			this.#client.off('ready', ready)
			for (const node of connected.keys()) leave(node)
		}
	}

	/** Slots that have another owner than when they were last looked at. */
	#changed(): ReadonlySet<number> {
		const changed = new Set<number>()
		for (const [slot, owner] of this.#known) {
			const now = this.#client.slots[slot]?.[0]
			if (now === undefined || now === owner) continue
			changed.add(slot)
			this.#known.set(slot, now)
		}
		return changed
	}
}
