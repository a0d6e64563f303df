/** The ranking of a partition, against sets that are kept here: what a server would answer, page by page. */
import { describe, expect, it } from 'vitest'
import { compareCodePoints } from '../../../src/stores/code-points.ts'
import type { Ranked } from '../../../src/stores/ranking.ts'
import type { Command } from '../../../src/stores/redis/client.ts'
import { type RankedSet, rank } from '../../../src/stores/redis/rank.ts'

/** A set: what a key has, and a writer's position, and all keys together. */
type Content = ReadonlyMap<string, number>

class Server {
	readonly #sets: ReadonlyMap<string, Content>
	/** From this question on it is another server, which has hashes in another order. */
	moves = Number.POSITIVE_INFINITY
	/** Of each question, its commands. */
	readonly asked: (readonly Command[])[] = []

	constructor(sets: ReadonlyMap<string, Content>) {
		this.#sets = sets
	}

	readonly ask = async (commands: readonly Command[]): Promise<unknown[]> => {
		if (commands.length > 0) this.asked.push(commands)
		return commands.map(({ name, args: [key, ...args] }) => {
			const content = this.#sets.get(String(key)) ?? new Map<string, number>()
			const members = [...content].map(([key, value]): [string, number] => [`=${key}`, -value])
			if (content.size > 0)
				members.push(['*', -[...content.values()].reduce((sum, value) => sum + value, 0)], ['#writer', 7], ['=deleted', 0.5])
			const sorted = members.sort(([a, x], [b, y]) => x - y || compareCodePoints(a, b))
			if (name === 'zrange') return sorted.slice(Number(args[0]), Number(args[1]) + 1).flat()
			if (name === 'zmscore') return args.map((member) => new Map(sorted).get(String(member)) ?? null)
			if (name !== 'zscan' && name !== 'hscan') throw new Error(`No ${name} here`)
			const [cursor] = args
			const option = (word: string) => (args.includes(word) ? String(args[args.indexOf(word) + 1]) : '')
			const count = option('COUNT')
			const prefix = option('MATCH').replace(/\*$/, '').replaceAll('\\', '')
			const end = Number(cursor) + Number(count)
			if (this.asked.length >= this.moves) sorted.reverse()
			const page = sorted.slice(Number(cursor), end).filter(([member]) => member.startsWith(prefix))
			const values = name === 'zscan' ? page : page.map(([member, value]) => [member, value > 0 ? '' : -value])
			return [end < sorted.length ? String(end) : '0', values.flat()]
		})
	}
}

function bestOf(sets: readonly (readonly [RankedSet, Content])[], limit: number, prefix: string): Ranked[] {
	const sums = new Map<string, number>()
	for (const [{ weight }, content] of sets) for (const [key, value] of content) sums.set(key, (sums.get(key) ?? 0) + value * weight)
	return [...sums]
		.filter(([key, score]) => score > 0 && key.startsWith(prefix))
		.map(([key, score]) => ({ key, score }))
		.sort((a, b) => b.score - a.score || compareCodePoints(a.key, b.key))
		.slice(0, limit)
}

function randomFrom(seed: number): (below: number) => number {
	let state = seed
	return (below) => {
		state = (state * 48_271) % 0x7fffffff
		return state % below
	}
}

function sorted(key: string, weight = 1): RankedSet {
	return { key, shape: 'sorted', weight }
}

function numbered(length: number, value: (n: number) => number): Content {
	return new Map(Array.from({ length }, (_, n) => [`/page/${n}`, value(n)]))
}

describe('a ranking', () => {
	it.each(Array.from({ length: 200 }, (_, i) => i + 1))('is the order of the sums, whatever the sets and the ties (%i)', async (seed) => {
		const random = randomFrom(seed)
		const sets = Array.from({ length: 1 + random(4) }, (_, i): [RankedSet, Content] => {
			const highest = 1 + random(random(2) === 0 ? 4 : 500)
			const keys = random(5) === 0 ? 0 : random(600)
			const content = new Map(Array.from({ length: keys }, () => [`/${random(3)}/${random(700)}`, 1 + random(highest)]))
			return [{ key: `set ${i}`, shape: random(3) === 0 ? 'hash' : 'sorted', weight: 2 ** -random(3) }, content]
		})
		const server = new Server(new Map(sets.map(([{ key }, content]) => [key, content])))
		for (const [limit, prefix] of [
			[1 + random(20), ''],
			[1 + random(400), ''],
			[1 + random(20), `/${random(4)}`],
			[5, '/1/6'],
		] as const) {
			const query = { limit, prefix }
			const ranked = await rank(
				sets.map(([set]) => set),
				query,
				server.ask,
				16,
			)
			expect(ranked, JSON.stringify(query)).toEqual(bestOf(sets, limit, prefix))
		}
	})

	it('asks once where all are alike, in one set or in one of several', async () => {
		const alike = numbered(5_000, () => 3)
		const server = new Server(new Map([['current', alike]]))
		for (const sets of [[sorted('current')], [sorted('before', 0.5), sorted('current', 0.25), sorted('next')]]) {
			server.asked.length = 0
			expect(await rank(sets, { limit: 10, prefix: '' }, server.ask, 16)).toHaveLength(10)
			expect(server.asked).toHaveLength(1)
		}
	})

	it('looks nothing up in a set that it has read to its end', async () => {
		const server = new Server(
			new Map([
				['before', new Map([['/page/9', 90]])],
				['current', numbered(5_000, (n) => 5_000 - n)],
			]),
		)
		const best = await rank([sorted('before'), sorted('current')], { limit: 2, prefix: '' }, server.ask, 16)
		expect(best).toEqual([
			{ key: '/page/9', score: 5_081 },
			{ key: '/page/0', score: 5_000 },
		])
		expect(server.asked).toHaveLength(1)
	})

	it('does not take the last of equals for the first of those that were not read', async () => {
		const server = new Server(
			new Map([
				['before', new Map([['/zzz', 3]])],
				['current', numbered(200, () => 3)],
			]),
		)
		const best = await rank([sorted('before'), sorted('current')], { limit: 120, prefix: '' }, server.ask, 16)
		expect(best.at(-1)).toEqual({ key: [...numbered(200, () => 3).keys()].sort()[119], score: 3 })
	})

	it('reads from the top while that finds what has the prefix, and lets the server look for it then, in pieces', async () => {
		const content = new Map([...numbered(60_000, () => 5), ['/rare', 1] as const])
		const server = new Server(new Map([['set', content]]))
		const asked = async (prefix: string) => {
			server.asked.length = 0
			const ranked = await rank([sorted('set')], { limit: 10, prefix }, server.ask, 1)
			return [ranked.length, [...new Set(server.asked.flat().map(({ name }) => name))].join()]
		}
		expect(await asked('/page/1')).toEqual([10, 'zrange'])
		expect(await asked('/rare')).toEqual([1, 'zrange,zscan'])
		const pages = server.asked.flat().filter(({ name }) => name === 'zrange')
		expect(pages.length).toBeLessThan(13)
		for (const { name, args } of server.asked.flat()) if (name === 'zscan') expect(Number(args.at(-1))).toBeLessThanOrEqual(2_000)
	})

	it('reads smaller pieces of each where many are read at the same time', async () => {
		const hours = Array.from({ length: 20 }, (_, i): RankedSet => ({ key: `hour ${i}`, shape: 'hash', weight: 1 }))
		const server = new Server(new Map(hours.map(({ key }) => [key, numbered(300, (n) => n + 1)])))
		const best = await rank(hours, { limit: 1, prefix: '' }, server.ask, 16)
		expect(best).toEqual([{ key: '/page/299', score: 6_000 }])
		// Without what is looked at again, to see that the order stays.
		for (const commands of server.asked) {
			const pieces = commands.slice(0, 20)
			expect(16 * pieces.reduce((sum, { args }) => sum + Number(args.at(-1)), 0)).toBeLessThanOrEqual(32_000)
		}
	})

	it.each(['', '/page/', '/page/4'])('reads a hash whole though it is on another server in between (prefix `%s`)', async (prefix) => {
		const content = numbered(5_000, (n) => n + 1)
		const hour: RankedSet = { key: 'hour', shape: 'hash', weight: 1 }
		for (const moves of [2, 3]) {
			const server = new Server(new Map([['hour', content]]))
			server.moves = moves
			const query = { limit: 6_000, prefix }
			expect(await rank([hour], query, server.ask, 1)).toEqual(bestOf([[hour, content]], query.limit, prefix))
		}
	})
})
