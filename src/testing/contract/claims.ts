/** Claims: one winner, for a while. */
import { equal } from './assert.ts'
import { type Proof, randomHex } from './desk.ts'

export const claims: readonly Proof[] = [
	[
		'a claim has one winner, however many try at the same time',
		async (desk) => {
			const writers = Array.from({ length: 4 }, () => desk.open())
			for (const kind of ['cooldown', 'id'] as const) {
				const claim = writers[0]!.claim(randomHex(), { kind })
				const answers = await Promise.all([...writers, ...writers].map((writer) => writer.session.claim(claim)))
				equal(answers.filter((won) => won).length, 1, `winners of a claim (${kind})`)
				for (const writer of writers) equal(await writer.session.claim(claim), false, `a claim that is held (${kind})`)
			}
		},
	],
	[
		'claims of other names, and of the other kind, are other claims',
		async (desk) => {
			const { session, claim } = opened(desk)
			const names = ['0000000000000000', '0000000000000001', '0000000100000000', 'ffffffffffffffff', '8000000000000000', randomHex()]
			for (const name of names) {
				equal(await session.claim(claim(name)), true, `the first claim of ${name}`)
				equal(await session.claim(claim(name)), false, `the second claim of ${name}`)
				equal(await session.claim(claim(name, { kind: 'id' })), true, `the first claim of ${name} as an id`)
			}
		},
	],
	[
		'a claim is free again when its time is over, and not before',
		async (desk) => {
			const { session, claim } = opened(desk)
			const long = randomHex()
			equal(await session.claim(claim(long, { ttlMs: 60_000 })), true, 'a claim of a minute')
			let short: string
			let end: number
			// Where a claim is over before it can be asked about, with longer ones.
			for (let ttlMs = 400; ; ttlMs *= 2) {
				short = randomHex()
				end = desk.clock.now() + ttlMs
				equal(await session.claim(claim(short, { ttlMs })), true, 'a short claim')
				// Does not prolong it.
				const again = await session.claim(claim(short, { ttlMs: 60_000 }))
				if (again && desk.clock.now() >= end && ttlMs < 10_000) continue
				equal(again, false, 'a claim that is held')
				break
			}
			await desk.waitUntil(end)
			equal(await session.claim(claim(short, { ttlMs: 60_000 })), true, 'the short claim, after its time')
			equal(await session.claim(claim(long)), false, 'the claim of a minute')
			equal(await session.claim(claim(short)), false, 'the claim that was taken over')
		},
	],
	[
		'who holds a claim can take it back, and nobody else can',
		async (desk) => {
			const [holder, other] = [desk.open(), desk.open()]
			for (const kind of ['cooldown', 'id'] as const) {
				const claim = holder.claim(randomHex(), { kind })
				await other.session.release(claim)
				equal(await holder.session.claim(claim), true, 'a claim that nobody holds')
				await other.session.release(claim)
				equal(await other.session.claim(claim), false, 'a claim that another holds, after an attempt to release it')
				await holder.session.release(claim)
				equal(await other.session.claim(claim), true, 'a claim that was taken back')
				await holder.session.release(claim)
				equal(await holder.session.claim(claim), false, 'a claim that has passed to another, after its first holder released it')
			}
		},
	],
	[
		'claims of one namespace are not those of another, and count nothing',
		async (desk) => {
			const [first, second] = [desk.open(), desk.open({ namespace: `${desk.namespace}-other` })]
			const claim = first.claim(randomHex())
			equal([await first.session.claim(claim), await second.session.claim(claim)], [true, true], 'the same claim in two namespaces')
			equal([await first.list(), await first.all(), await first.top()], [[], 0, []], 'what was counted')
		},
	],
]

function opened(desk: Parameters<Proof[1]>[0]) {
	const writer = desk.open()
	return { session: writer.session, claim: writer.claim }
}
