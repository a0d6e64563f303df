/** Top and trending. */
import { total } from '../../time/granularity.ts'
import { equal, isTrue, near } from './assert.ts'
import { hour, type Proof } from './desk.ts'

export const ranking: readonly Proof[] = [
	[
		'a top list has as many entries as asked for, most hits first',
		async (desk) => {
			const writer = desk.open()
			// 7 is prime to 50: all numbers from 1 to 50, in a mixed order.
			await writer.hit(...Array.from({ length: 50 }, (_, i) => ({ key: `/page/${i}`, hits: ((i * 7) % 50) + 1 })))
			const expected = Array.from({ length: 50 }, (_, i) => [`/page/${i}`, ((i * 7) % 50) + 1] as const).sort((a, b) => b[1] - a[1])
			for (const limit of [0, 1, 9, 10, 11, 49, 50, 51, 1_000]) {
				equal(await writer.top({ limit }), expected.slice(0, limit), `the top ${limit}`)
			}
		},
	],
	[
		'keys with the same number are in code point order, also where the limit cuts them',
		async (desk) => {
			const writer = desk.open()
			// One for all, or those of the next minute would be trending more.
			const minute = desk.minute()
			const ties = ['', ...'0123456789abcdefghij'].map((end) => `/tie${end}`)
			const order = [...ties, '\uffff', '😀']
			for (const part of [1, 2, 0])
				await writer.hit(...order.filter((_, i) => i % 3 === part).map((key) => ({ key, hits: 5, minute, visitors: ['ada'] })))
			await writer.hit({ key: '/z', hits: 6, minute })
			for (const limit of [1, 2, 10, 22, 23, 24]) {
				equal(await writer.top({ limit }), [['/z', 6], ...order.map((key) => [key, 5])].slice(0, limit), `the top ${limit}`)
				equal(await writer.top({ limit, by: 'uniques' }), order.map((key) => [key, 1]).slice(0, limit), `the top ${limit} by visitors`)
			}
			const now = desk.clock.now()
			equal(
				(await writer.trending(3, now)).map(({ key }) => key),
				['/z', '/tie', '/tie0'],
				'trending',
			)
		},
	],
	[
		'a top list of several buckets goes by their sum',
		async (desk) => {
			const writer = desk.open()
			const minutes = [desk.minute(), desk.minute(60_000), desk.minute(120_000)]
			const hits = { steady: [4, 4, 4], burst: [10, 0, 0], late: [0, 0, 9], gone: [0, 0, 0] }
			for (const [key, counts] of Object.entries(hits)) {
				for (const [m, count] of counts.entries()) if (count > 0) await writer.hit({ key, hits: count, minute: minutes[m]! })
			}
			await writer.hit({ key: 'earlier', hits: 1_000, minute: desk.minute(10 * hour) })
			const of = (...chosen: number[]) => chosen.map((m) => ({ level: 'minute', start: minutes[m]! }) as const)
			equal(
				await writer.top({ buckets: of(0, 1, 2) }),
				[
					['steady', 12],
					['burst', 10],
					['late', 9],
				],
				'top of three minutes',
			)
			equal(await writer.top({ buckets: of(0, 1, 2), limit: 1 }), [['steady', 12]], 'the top one of three minutes')
			equal(
				await writer.top({ buckets: of(0, 2) }),
				[
					['burst', 10],
					['late', 9],
					['steady', 8],
				],
				'top of two minutes',
			)
			equal(await writer.top({ buckets: of(1) }), [['steady', 4]], 'top of one minute')
			equal(await writer.top({ buckets: [] }), [], 'top of no minute')
		},
	],
	[
		'a top list of a prefix has the keys that start with it, as many as asked for',
		async (desk) => {
			const writer = desk.open()
			await writer.hit(
				...Array.from({ length: 30 }, (_, i) => ({ key: `/blog/${i}`, hits: i + 1 })),
				...Array.from({ length: 30 }, (_, i) => ({ key: `/shop/${i}`, hits: 1_000 + i })),
				{ key: '/blog', hits: 500 },
			)
			equal(
				await writer.top({ prefix: '/blog/', limit: 2 }),
				[
					['/blog/29', 30],
					['/blog/28', 29],
				],
				'the top 2 that start with /blog/',
			)
			equal((await writer.top({ prefix: '/blog' })).length, 31, 'how many start with /blog')
			equal(await writer.top({ prefix: '/none' }), [], 'top of what starts with /none')
		},
	],
	[
		'a top list by visitors goes by the union over its buckets',
		async (desk) => {
			const writer = desk.open({ uniquesPer: ['total', 'minute'] })
			const minutes = [desk.minute(), desk.minute(60_000)]
			const visit = async (key: string, m: number, ...visitors: string[]) =>
				writer.hit({ key, minute: minutes[m]!, visitors, hits: visitors.length })
			await visit('faithful', 0, 'ada', 'bob', 'cyd')
			await visit('faithful', 1, 'ada', 'bob', 'cyd')
			await visit('changing', 0, 'ada', 'bob')
			await visit('changing', 1, 'cyd', 'dan')
			await visit('single', 1, 'ada')
			await writer.hit({ key: 'nobody', hits: 100, minute: minutes[0]! })
			const both = minutes.map((start) => ({ level: 'minute', start }) as const)
			equal(
				await writer.top({ by: 'uniques', buckets: both }),
				[
					['changing', 4],
					['faithful', 3],
					['single', 1],
				],
				'top of two minutes',
			)
			equal(
				await writer.top({ by: 'uniques', buckets: [both[0]!] }),
				[
					['faithful', 3],
					['changing', 2],
				],
				'top of one minute',
			)
			equal(await writer.top({ by: 'uniques', buckets: both, limit: 1, prefix: 'fa' }), [['faithful', 3]], 'top of a prefix')
			const { entries } = await writer.session.top({ lane: 'human', buckets: [total], by: 'uniques', limit: 1, prefix: '' })
			equal(entries, [{ key: 'changing', hits: 4, uniques: 4 }], 'an entry, which has its hits too')
		},
	],
	[
		'what trends has hits that fade by half in each half-life',
		async (desk) => {
			const writer = desk.open()
			const halfLife = 6 * hour
			const now = desk.clock.now()
			const minute = desk.minute()
			await writer.hit({ key: 'new', hits: 10, minute }, { key: 'old', hits: 30, minute: minute - 2 * halfLife })
			await writer.hit({ key: 'both', hits: 4, minute: minute - halfLife })
			await writer.hit({ key: 'both', hits: 4, minute })
			const fade = (age: number) => 2 ** -(age / halfLife)
			for (const later of [0, hour, halfLife, 40 * halfLife]) {
				const entries = await writer.trending(10, now + later)
				equal(
					entries.map(({ key }) => key),
					['new', 'old', 'both'],
					'what trends, most first',
				)
				const age = now + later - minute
				near(entries[0]?.score, 10 * fade(age), 'score of hits of now')
				near(entries[1]?.score, 30 * fade(age + 2 * halfLife), 'score of hits of two half-lives ago')
				near(entries[2]?.score, 4 * fade(age) + 4 * fade(age + halfLife), 'score of hits of both times')
			}
			equal(
				(await writer.trending(1, now)).map(({ key }) => key),
				['new'],
				'the one that trends most',
			)
			equal(await writer.trending(0, now), [], 'the none that trend most')
		},
	],
	[
		'scores stay finite where hits are a thousand half-lives apart',
		async (desk) => {
			const writer = desk.open({ trendHalfLifeMs: 60_000 })
			const [now, minute] = [desk.clock.now(), desk.minute()]
			const fade = (age: number) => 2 ** -(age / 60_000)
			await writer.hit({ key: 'ancient', hits: 1_000, minute: minute - 20 * hour })
			await writer.hit({ key: 'old', hits: 1_000, minute: minute - 10 * hour })
			await writer.hit({ key: 'new', minute })
			await writer.hit({ key: 'newer', hits: 2, minute }, { key: 'late', hits: 1, minute: minute - 10 * 60_000 })
			const entries = await writer.trending(3, now)
			equal(
				entries.map(({ key }) => key),
				['newer', 'new', 'late'],
				'what trends, most first',
			)
			near(entries[0]?.score, 2 * fade(now - minute), 'score of the newest')
			near(entries[2]?.score, fade(now - minute + 10 * 60_000), 'score of one that came late')
			for (const { score } of await writer.trending(100, now))
				isTrue(score > 0 && Number.isFinite(score), 'every score is positive and finite')
		},
	],
]
