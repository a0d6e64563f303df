/** Walks through keys, against a server that is kept here: one that is started anew has its keys in another order. */
import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/stores/redis/client.ts'
import { Keys } from '../../../src/stores/redis/keys.ts'
import { readKeys, readList } from '../../../src/stores/redis/read-lists.ts'
import type { Reader } from '../../../src/stores/redis/reader.ts'

const pages = Array.from({ length: 9_000 }, (_, n) => `/page/${n}`)
const keys = new Keys('tm')

/** A reader of one partition, whose server is another one after so many questions. */
function movingAfter(questions: number): Reader {
	const members = ['*', '#writer', '=deleted', ...pages.map((page) => `=${page}`)]
	let asked = 0
	const ask = async (_: number, commands: readonly Command[]) => {
		if (++asked === questions) members.reverse()
		return commands.map(({ args: [, cursor, ...options] }) => {
			const option = (word: string) => (options.includes(word) ? String(options[options.indexOf(word) + 1]) : '')
			const end = Number(cursor) + Number(option('COUNT'))
			const prefix = option('MATCH').replace(/\*$/, '')
			const page = members.slice(Number(cursor), end).filter((member) => member.startsWith(prefix))
			return [end < members.length ? String(end) : '0', page.flatMap((member) => [member, member === '=deleted' ? 0.5 : -1])]
		})
	}
	return { partitions: 1, ask, each: async (act: (partition: number) => unknown) => [await act(0)] } as unknown as Reader
}

describe.each([2, 3, 4, 5])('when the server is started anew before question %i', (questions) => {
	it('a walk through the keys misses none', async () => {
		const found = new Set<string>()
		for await (const some of readKeys('human', movingAfter(questions), keys)) for (const key of some) found.add(key)
		expect(found).toEqual(new Set(pages))
	})

	it.each(['', '/page/'])('a list misses none (prefix `%s`)', async (prefix) => {
		const query = { lane: 'human', prefix, limit: 10_000, after: undefined } as const
		const expected = pages.filter((page) => page.startsWith(prefix)).sort()
		expect(await readList(query, movingAfter(questions), keys)).toEqual({ keys: expected, more: false })
	})
})
