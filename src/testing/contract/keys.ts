/** Keys: any text is one, in the order of code points; set, delete, list. */
import { total } from '../../time/granularity.ts'
import { equal, isTrue } from './assert.ts'
import { bucketsOf, day, hour, inOrder, type Proof, type Writer } from './desk.ts'

const hostileKeys: readonly string[] = [
	'\0',
	'\0\0',
	'\n',
	'\r\n$3\r\nfoo\r\n',
	' ',
	'#x',
	'%00',
	"' OR 1=1 --",
	'(other)',
	'*',
	'+inf',
	'-1',
	'../..',
	'0',
	'1e5',
	'=',
	'==x',
	'=x',
	'?',
	'@all',
	'[a-z]*',
	'\\',
	'__proto__',
	'a',
	'a\0b',
	'a:b*',
	'constructor',
	'e\u0301',
	'hasOwnProperty',
	'hits',
	'hits:minute:0',
	'toString',
	'x'.repeat(512),
	'{',
	'{a}b',
	'{}',
	'}',
	'\u007f',
	'é',
	'é'.repeat(256),
	'\u2028',
	'日本語',
	'\ufeff',
	'\uffff',
	'😀',
	'👩\u200d👩\u200d👧',
	'\u{10ffff}',
]

/** Whether the writer finds of a key what it had: hits, bucket and visitors. */
async function expectKey(writer: Writer, key: string, hits: number, minute: number, visitors: number): Promise<void> {
	const name = `of the key ${JSON.stringify(key).slice(0, 40)}`
	equal(await writer.counts(key, bucketsOf(minute)), Array(4).fill(hits), `hits ${name}`)
	equal(await writer.uniques([key]), visitors, `visitors ${name}`)
}

export const keys: readonly Proof[] = [
	[
		'any text is a key: hostile ones count, rank and list like others',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			// A writer's own id, as some stores keep it beside the keys.
			const all = [`#${writer.id}`, ...hostileKeys]
			await writer.hit(...all.map((key, i) => ({ key, hits: 1_000 - i, minute, visitors: ['ada', `visitor ${i}`] })))
			for (const [i, key] of all.entries()) await expectKey(writer, key, 1_000 - i, minute, 2)
			equal(
				await writer.top({ limit: 1_000 }),
				all.map((key, i) => [key, 1_000 - i]),
				'top',
			)
			equal(await writer.top({ limit: 1_000, buckets: [{ level: 'minute', start: minute }] }), await writer.top(), 'top of the minute')
			equal(
				(await writer.trending(1_000)).map(({ key }) => key),
				all,
				'trending',
			)
			const sum = all.reduce((hits, _, i) => hits + 1_000 - i, 0)
			equal(await writer.all(), sum, 'hits of all keys together')
			const listed = inOrder(all)
			equal(await writer.list('', 7), listed, 'list')
			for (const key of hostileKeys) {
				const withPrefix = listed.filter((other) => other.startsWith(key))
				equal(await writer.list(key), withPrefix, `list of what starts with ${JSON.stringify(key)}`)
				equal(
					(await writer.top({ prefix: key })).map(([other]) => other).toSorted(),
					withPrefix.toSorted(),
					`top of what starts with ${JSON.stringify(key)}`,
				)
			}
		},
	],
	[
		'hostile keys are set and deleted without a trace on others',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			await writer.hit(...hostileKeys.map((key) => ({ key, hits: 3, minute, visitors: ['ada'] })))
			for (const [i, key] of hostileKeys.entries()) if (i % 3 === 0) await writer.set(key, 100 + i)
			for (const [i, key] of hostileKeys.entries())
				if (i % 3 === 1) equal((await writer.delete(key)).existed, true, `${JSON.stringify(key)} existed`)
			for (const [i, key] of hostileKeys.entries()) {
				if (i % 3 === 1) await expectKey(writer, key, 0, minute, 0)
				else if (i % 3 === 2) await expectKey(writer, key, 3, minute, 1)
				else equal(await writer.counts(key, bucketsOf(minute)), [100 + i, 3, 3, 3], `hits of ${JSON.stringify(key)}, set`)
			}
			equal(await writer.list('', 11), inOrder(hostileKeys.filter((_, i) => i % 3 !== 1)), 'list')
		},
	],
	[
		'keys that look alike are different keys',
		async (desk) => {
			const writer = desk.open()
			const alike = ['/Home', '/home', '/home ', '/home/', '/h\u00f6me', '/ho\u0308me', '/home\0', 'home']
			await writer.hit(...alike.map((key, i) => ({ key, hits: i + 1 })))
			for (const [i, key] of alike.entries()) equal(await writer.count(key), i + 1, `hits of ${JSON.stringify(key)}`)
		},
	],
	[
		'lists keys in code point order, each once, whatever the size of the page',
		async (desk) => {
			const writer = desk.open()
			const expected = [...Array.from({ length: 30 }, (_, i) => `/page/${String(i).padStart(2, '0')}`), '\ue000', '\uffff', '😀', '😁']
			// Neither in their order nor all in one batch.
			for (const part of [2, 0, 1])
				await writer.hit(
					...expected
						.filter((_, i) => i % 3 === part)
						.map((key) => ({ key }))
						.reverse(),
				)
			for (const size of [1, 2, 5, 33, 34, 35, 1_000]) equal(await writer.list('', size), expected, `list in pages of ${size}`)
			await writer.hit({ key: '/page/001' })
			equal(
				(await writer.list('/page/0', 4)).slice(0, 3),
				['/page/00', '/page/001', '/page/01'],
				'list with a key that came after the first list',
			)
		},
	],
	[
		'walks through all keys of a lane, but for those that were deleted',
		async (desk) => {
			const writer = desk.open()
			equal(await writer.keys(), [], 'keys where there are none')
			const many = Array.from({ length: 3_000 }, (_, i) => `/page/${i}`)
			await writer.hit(...[...many, ...hostileKeys].map((key) => ({ key })))
			await writer.hit({ key: '/crawled', lane: 'bot' })
			await writer.set('/set', 0)
			await writer.delete('/page/7')
			const expected = [...many.filter((key) => key !== '/page/7'), ...hostileKeys, '/set']
			equal(await desk.open().keys(), inOrder(expected), 'keys of the human lane')
			equal(await desk.open().keys('bot'), ['/crawled'], 'keys of the bot lane')
		},
	],
	[
		'lists what starts with a prefix, and goes on after any text',
		async (desk) => {
			const writer = desk.open()
			const all = ['/a', '/a/1', '/a/2', '/aa', '/b', '/b/1', '😀', '😀1']
			await writer.hit(...all.map((key) => ({ key })))
			const page = async (prefix: string, after: string | undefined, limit: number) => {
				const { keys: listed, more } = await writer.session.list({ lane: 'human', prefix, limit, after })
				return [listed, more]
			}
			equal(await page('/a/', undefined, 10), [['/a/1', '/a/2'], false], 'keys that start with /a/')
			equal(await page('/a/', undefined, 1), [['/a/1'], true], 'the first page')
			equal(await page('/a/', '/a/1', 1), [['/a/2'], false], 'the last page: there is no more with this prefix')
			equal(await page('/a/', '/a/2', 1), [[], false], 'the page after the last')
			equal(await page('', '/a/15', 2), [['/a/2', '/aa'], true], 'what follows a text that is no key')
			equal(await page('/b', '/a', 10), [['/b', '/b/1'], false], 'a prefix beyond what was asked to go on after')
			equal(await page('/a', '/b', 10), [[], false], 'a prefix before what was asked to go on after')
			equal(await page('😀', undefined, 1), [['😀'], true], 'a prefix beyond the basic plane')
			equal(await page('/c', undefined, 10), [[], false], 'a prefix that no key has')
			equal(await page('', undefined, 0), [[], true], 'a page of none')
			equal(await page('/c', undefined, 0), [[], false], 'a page of none, where there are none')
		},
	],
	[
		'a set number replaces the all-time hits, and moves all keys together by the difference',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			await writer.hit({ key: '/home', hits: 10, minute, visitors: ['ada'] }, { key: '/other', hits: 5, minute })
			const before = await writer.trending(100, minute)
			await writer.set('/home', 1_000)
			equal([await writer.count('/home'), await writer.all()], [1_000, 1_005], 'hits after more were set')
			await writer.set('/home', 3)
			equal([await writer.count('/home'), await writer.all()], [3, 8], 'hits after fewer were set')
			equal(await writer.list(), ['/home', '/other'], 'list')
			await writer.set('/new', 7)
			equal(await writer.list(), ['/home', '/new', '/other'], 'list with a key that was new')
			equal([await writer.count('/new'), await writer.all()], [7, 15], 'hits of a key that was new')
			equal(
				await writer.top(),
				[
					['/new', 7],
					['/other', 5],
					['/home', 3],
				],
				'top',
			)
			for (const bucket of bucketsOf(minute).slice(1)) {
				equal([await writer.count('/home', bucket), await writer.all(bucket)], [10, 15], `hits of the ${bucket.level}: they stay`)
			}
			equal(await writer.uniques(['/home']), 1, 'visitors: they stay')
			equal(await writer.trending(100, minute), before, 'trending: it stays')
			await writer.hit({ key: '/home', hits: 2, minute })
			equal([await writer.count('/home'), await writer.all()], [5, 17], 'hits that come after it are added')
		},
	],
	[
		'a key that was set to 0 is listed and not ranked',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: 'b', hits: 2 }, { key: 'c', hits: 1 })
			await writer.set('a', 0)
			await writer.set('b', 0)
			equal([await writer.count('a'), await writer.count('b'), await writer.all()], [0, 0, 1], 'hits')
			equal(await writer.list(), ['a', 'b', 'c'], 'list')
			equal(await writer.top(), [['c', 1]], 'top')
			equal((await writer.delete('a')).existed, true, 'a key that was set to 0 exists')
			equal(await writer.list(), ['b', 'c'], 'list after the delete')
		},
	],
	[
		'a set that comes again after later hits does not undo them',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: '/home', hits: 4 })
			const set = await writer.set('/home', 100)
			await writer.hit({ key: '/home', hits: 7 })
			equal((await writer.session.apply(set)).status, 'duplicate', 'the set again')
			equal([await writer.count('/home'), await writer.all()], [107, 107], 'hits')
		},
	],
	[
		'a deleted key is gone from every level and lane, from top, trending and list',
		async (desk) => {
			const writer = desk.open({ retention: { minute: 3 * day, hour: 31 * day, day: 731 * day } })
			const minutes = [desk.minute(), desk.minute(30 * hour)]
			for (const key of ['/gone', '/kept']) {
				for (const minute of minutes) {
					await writer.hit({ key, hits: 10, minute, visitors: [key, 'ada'] }, { key, hits: 3, minute, lane: 'bot', visitors: ['crawler'] })
				}
			}
			equal((await writer.delete('/gone')).existed, true, 'existed')
			for (const lane of ['human', 'bot'] as const) {
				const hits = lane === 'human' ? 10 : 3
				for (const minute of minutes) {
					const buckets = bucketsOf(minute)
					equal(await writer.counts('/gone', buckets, lane), [0, 0, 0, 0], 'hits of the deleted key')
					equal(await writer.counts('/kept', buckets, lane), [2 * hits, hits, hits, hits], 'hits of the other key')
					for (const bucket of buckets.slice(1))
						equal(await writer.all(bucket, lane), hits, `hits of all keys together in the ${bucket.level}`)
					equal(await writer.uniques(['/gone'], [buckets[3]!], lane), 0, 'visitors of the day')
				}
				equal(await writer.all(total, lane), 2 * hits, 'hits of all keys together')
				equal(await writer.uniques(['/gone'], [total], lane), 0, 'visitors')
				equal(
					(await writer.trending(100, undefined, lane)).map(({ key }) => key),
					['/kept'],
					'trending',
				)
				equal(await writer.list('', 100, lane), ['/kept'], 'list')
				equal(await writer.top({ lane }), [['/kept', 2 * hits]], 'top')
				equal(await writer.top({ lane, by: 'uniques' }), [['/kept', lane === 'human' ? 2 : 1]], 'top by visitors')
			}
			equal(await writer.uniques('all'), 3, 'visitors of all keys together are a union: they stay')
		},
	],
	[
		'a key exists until it is deleted, by whichever number it has',
		async (desk) => {
			const writer = desk.open()
			equal((await writer.delete('/home')).existed, false, 'a key that was never hit existed')
			await writer.hit({ key: '/home', lane: 'ai' })
			equal((await writer.delete('/home')).existed, true, 'a key that was hit in another lane existed')
			equal((await writer.delete('/home')).existed, false, 'a deleted key existed')
		},
	],
	[
		'a batch from before a delete does not bring the key back, and hits after it begin anew',
		async (desk) => {
			const [writer, other] = [desk.open(), desk.open()]
			const minute = desk.minute()
			const hits = await writer.hit({ key: '/home', hits: 10, minute, visitors: ['ada'] })
			const theirs = await other.hit({ key: '/home', hits: 20, minute, visitors: ['bob'] })
			const set = await writer.set('/home', 500)
			const { batch } = await writer.delete('/home')
			for (const [sender, again] of [
				[writer, hits[0]!],
				[other, theirs[0]!],
				[writer, set],
				[writer, batch],
			] as const) {
				equal((await sender.session.apply(again)).status, 'duplicate', 'a batch from before the delete, or the delete itself, again')
			}
			equal(await writer.counts('/home', bucketsOf(minute)), [0, 0, 0, 0], 'hits after the delete')
			equal([await writer.uniques(['/home']), await writer.list(), await writer.all()], [0, [], 0], 'visitors, list, and all keys together')
			await other.hit({ key: '/home', hits: 2, minute, visitors: ['cyd'] })
			await writer.hit({ key: '/home', hits: 1, minute, visitors: ['cyd'] })
			equal((await writer.session.apply(batch)).status, 'duplicate', 'the delete once more')
			equal(await writer.counts('/home', bucketsOf(minute)), [3, 3, 3, 3], 'hits that came after the delete')
			equal(
				[await writer.uniques(['/home']), await writer.list(), await writer.all()],
				[1, ['/home'], 3],
				'visitors, list, and all keys together',
			)
		},
	],
	[
		'hits beside deletes of several sessions leave all keys together equal to the sum of the keys',
		async (desk) => {
			const writers = [desk.open(), desk.open(), desk.open()]
			const minute = desk.minute()
			const names = ['a', 'b', 'c', 'd', 'e']
			await Promise.all(
				writers.map(async (writer, w) => {
					for (let round = 0; round < 10; round++) {
						await writer.hit(...names.map((key) => ({ key, hits: 1 + w, minute })))
						if (round % 3 === w) await writer.delete(names[round % 5]!)
						if (round % 4 === w) await writer.set(names[(round + 1) % 5]!, 1_000)
					}
				}),
			)
			for (const bucket of bucketsOf(minute)) {
				const { values } = await writers[0]!.reading(names, [bucket])
				const sum = values.reduce((hits, value) => hits + value, 0)
				equal(await writers[0]!.all(bucket), sum, `hits of all keys together (${bucket.level})`)
				isTrue(sum > 0, 'some hits came after the last delete')
			}
		},
	],
]
