/**
 * What must move so that the stored placement becomes a balanced one. Pure: it plans, and stores/redis moves.
 *
 * Balanced means that every node holds from `least` to `most` of {@link Share}, and that no partition is with a node that is not in the ring. The plan
 * has the fewest moves with which that can be: the larger of
 *
 *     what must leave:   partitions of removed nodes + the sum of what nodes hold above their `most`, and
 *     what must arrive:  the sum of what nodes lack to their `least`.
 *
 * So a balanced placement is left alone, though the ring would propose another one. Who gives and who takes:
 *
 * - A partition of a removed node goes to the first node with room that it prefers, all first choices before any second one, as in {@link Ring.place}.
 * - A node that stays gives what it holds above its `most`. Where more must arrive than leaves, the fullest for its weight give on, never below `least`.
 * - It gives to nodes below their `least` only: those that are new or have grown. Not before all of these are at their `most` (the placement was out of
 *   balance) does it give to others, and then only to one that holds less than its exact share.
 *   So when a node joins others of its weight that are balanced, partitions move to it only. (Of unequal weights, whole partitions may not come out even.)
 * - What it gives are partitions that prefer the taker most. No node both gives and takes.
 */

import { type Ring, Seats, type Share } from './ring.ts'

export interface Move {
	readonly partition: number
	readonly from: string
	readonly to: string
}

/** The moves, by partition, that balance `current` (the owner of each partition) over the nodes of `ring`. */
export function planMoves(current: readonly string[], ring: Ring): Move[] {
	const shares = ring.shares(current.length)
	const loads = new Map(shares.map(({ name }) => [name, 0]))
	const orphans: number[] = []
	current.forEach((owner, partition) => {
		const load = loads.get(owner)
		if (load === undefined) orphans.push(partition)
		else loads.set(owner, load + 1)
	})
	const needy = new Set(shares.filter(({ name, least }) => loads.get(name)! < least).map(({ name }) => name))
	const gifts = takeGifts(shares, loads, orphans.length)
	const given = [...gifts.values()].reduce((sum, gift) => sum + gift, 0)
	const seats = new Seats(shares, orphans.length + given, loads)
	const moves: Move[] = []

	const move = (partition: number, to: string): true => {
		seats.take(to)
		moves.push({ partition, from: current[partition]!, to })
		return true
	}
	/** Offers what givers still have to give to the nodes that `mayTake`. */
	const give = (mayTake: (name: string) => boolean): void => {
		const moved = new Set(moves.map(({ partition }) => partition))
		const movable = [...current.keys()].filter((partition) => gifts.has(current[partition]!) && !moved.has(partition))
		ring.offer(movable, (partition, to) => {
			const from = current[partition]!
			const gift = gifts.get(from)!
			if (gift === 0 || !mayTake(to) || !seats.takes(to)) return false
			gifts.set(from, gift - 1)
			return move(partition, to)
		})
	}
	give((name) => needy.has(name))
	give((name) => seats.isShort(name))
	ring.offer(orphans, (partition, to) => seats.takes(to) && move(partition, to))
	return moves.sort((a, b) => a.partition - b.partition)
}

/** How many partitions each giver gives; `loads` is what is left. */
function takeGifts(shares: readonly Share[], loads: Map<string, number>, orphans: number): Map<string, number> {
	const gifts = new Map<string, number>()
	const take = (name: string, gift: number): void => {
		gifts.set(name, (gifts.get(name) ?? 0) + gift)
		loads.set(name, loads.get(name)! - gift)
	}
	let leaving = orphans
	let arriving = 0
	for (const { name, least, most } of shares) {
		const load = loads.get(name)!
		if (load > most) take(name, load - most)
		leaving += Math.max(0, load - most)
		arriving += Math.max(0, least - load)
	}
	for (; leaving < arriving; leaving++) {
		const fullest = shares
			.filter(({ name, least }) => loads.get(name)! > least)
			.reduce((a, b) => (loads.get(b.name)! * a.points > loads.get(a.name)! * b.points ? b : a))
		take(fullest.name, 1)
	}
	return gifts
}
