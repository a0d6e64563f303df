/** Texts that all sessions of a namespace know: the first that comes is kept, for its time. */
import { equal } from './assert.ts'
import { type Proof, randomHex } from './desk.ts'

export const shared: readonly Proof[] = [
	[
		'of a shared text the first is kept, however many bring one at the same time, and all are told it',
		async (desk) => {
			const sessions = Array.from({ length: 4 }, () => desk.open().session)
			const name = `salt:${randomHex()}`
			const bring = () => Promise.all(sessions.map((session) => session.share({ name, value: randomHex(), ttlMs: 60_000 })))
			const told = new Set([...(await bring()), ...(await bring())])
			equal(told.size, 1, 'different texts told under one name')
			const other = randomHex()
			equal(await desk.open().session.share({ name: `${name}-`, value: other, ttlMs: 60_000 }), other, 'the text of another name')
		},
	],
	[
		'a shared text survives the session that brought it, and is what was brought to the last character',
		async (desk) => {
			const first = desk.open()
			const value = `"{\u00e9\n%\u{1f600}${'x'.repeat(4_000)}`
			await first.session.share({ name: 'a.b_c:d-e', value, ttlMs: 60_000 })
			await first.close()
			equal(await desk.open().session.share({ name: 'a.b_c:d-e', value: 'other', ttlMs: 60_000 }), value, 'the text that is kept')
		},
	],
	[
		'a shared text is gone when its time is over, and asking for it does not prolong it',
		async (desk) => {
			const { session } = desk.open()
			equal(await session.share({ name: 'short', value: 'a', ttlMs: 400 }), 'a', 'a text for 400 ms')
			// Its time began while it was on its way.
			const start = desk.clock.now()
			equal(await session.share({ name: 'long', value: 'a', ttlMs: 60_000 }), 'a', 'a text for a minute')
			equal(await session.share({ name: 'short', value: 'b', ttlMs: 60_000 }), 'a', 'the text for 400 ms, at once')
			await desk.waitUntil(start + 400)
			equal(await session.share({ name: 'short', value: 'c', ttlMs: 60_000 }), 'c', 'the text for 400 ms, after them')
			equal(await session.share({ name: 'long', value: 'c', ttlMs: 60_000 }), 'a', 'the text for a minute, after 400 ms')
		},
	],
	[
		'shared texts of one namespace are not those of another, and are no keys that were counted',
		async (desk) => {
			const [first, second] = [desk.open(), desk.open({ namespace: `${desk.namespace}-other` })]
			const told = await Promise.all([first, second].map(({ session }, i) => session.share({ name: 's', value: `${i}`, ttlMs: 60_000 })))
			equal(told, ['0', '1'], 'the text of one name in two namespaces')
			equal([await first.list(), await first.all(), await first.top()], [[], 0, []], 'what was counted')
		},
	],
]
