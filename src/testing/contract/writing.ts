/** Hits go in once each, whoever sends them and however often. */
import { lanes } from '../../stores/store.ts'
import { type Bucket, startOf, total } from '../../time/granularity.ts'
import { equal, fails, isTrue } from './assert.ts'
import { bucketsOf, hour, type Proof } from './desk.ts'

export const writing: readonly Proof[] = [
	[
		'adds up the hits of a key, batch after batch, at every level',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			for (const hits of [1, 2, 30]) await writer.hit({ key: '/home', hits, minute })
			equal(await writer.counts('/home', bucketsOf(minute)), [33, 33, 33, 33], 'hits at every level')
		},
	],
	[
		'reads 0 for a key that was never hit, and lists nothing',
		async (desk) => {
			const writer = desk.open()
			const buckets = bucketsOf(desk.minute())
			equal(await writer.counts('/nobody', buckets), [0, 0, 0, 0], 'hits of an unknown key')
			for (const bucket of buckets) equal(await writer.all(bucket), 0, 'hits of all keys together')
			equal(await writer.top(), [], 'top')
			equal(await writer.trending(), [], 'trending')
			equal(await writer.list(), [], 'list')
			equal(await writer.uniques(['/nobody']), 0, 'visitors of an unknown key')
			equal(await writer.uniques('all'), 0, 'visitors of all keys together')
		},
	],
	[
		'reading a number counts nothing',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: '/home', visitors: ['ada'] })
			for (let i = 0; i < 3; i++) {
				equal(await writer.count('/home'), 1, 'hits')
				equal(await writer.count('/never'), 0, 'hits of an unknown key')
				equal(await writer.uniques(['/home', '/never']), 1, 'visitors')
				equal(await writer.list(), ['/home'], 'list')
				equal(await writer.top(), [['/home', 1]], 'top')
			}
		},
	],
	[
		'answers rows in the order of the keys and columns in the order of the buckets, a key or bucket asked twice included',
		async (desk) => {
			const writer = desk.open()
			const [now, before] = [desk.minute(), desk.minute(2 * hour)]
			await writer.hit({ key: 'a', hits: 1, minute: now }, { key: 'b', hits: 20, minute: now }, { key: 'a', hits: 300, minute: before })
			const buckets = [{ level: 'minute', start: now }, total, { level: 'minute', start: before }, total] as const
			const { values } = await writer.reading(['b', 'a', 'unknown', 'b'], buckets)
			equal(values, [20, 20, 0, 20, 1, 301, 300, 301, 0, 0, 0, 0, 20, 20, 0, 20], 'values, row by row')
			equal((await writer.reading([], buckets)).values, [], 'values of no keys')
			equal((await writer.reading(['a'], [])).values, [], 'values of no buckets')
		},
	],
	[
		'a chart of many buckets of every level has what each of them holds, for every key and for all together',
		async (desk) => {
			const [writer, other] = [desk.open(), desk.open()]
			const now = desk.minute()
			const minutes = Array.from({ length: 30 }, (_, i) => now - i * 60_000)
			const hitsOf = (i: number) => (i % 3 === 2 ? 0 : i + 1)
			await writer.hit(...minutes.flatMap((minute, i) => (hitsOf(i) === 0 ? [] : [{ key: 'a', hits: hitsOf(i), minute }])))
			await other.hit(...minutes.map((minute) => ({ key: 'b', hits: 100, minute })), { key: 'gone', minute: minutes[4]! })
			await writer.delete('gone')
			const past = Array.from({ length: 9 }, (_, i) => now - (i + 2) * 24 * hour)
			await other.hit(...past.map((minute, i) => ({ key: 'a', hits: 1_000 + i, minute })))
			const chart = minutes.map((start): Bucket => ({ level: 'minute', start }))
			const days = past.map((minute): Bucket => ({ level: 'day', start: startOf('day', minute) }))
			const sums = minutes.map((_, i) => hitsOf(i))
			const { values } = await writer.reading(['b', 'gone', 'a'], [...chart, ...days, total])
			const width = chart.length + days.length + 1
			equal(values.slice(0, width), [...minutes.map(() => 100), ...past.map(() => 0), 3_000], 'one key')
			equal(values.slice(width, 2 * width), Array(width).fill(0), 'a key that was deleted')
			const all = sums.reduce((sum, hits) => sum + hits) + 9_036
			equal(values.slice(2 * width), [...sums, ...past.map((_, i) => 1_000 + i), all], 'another key')
			const parts = (await writer.reading('all', [...chart, ...days])).values
			const together = Array.from({ length: width - 1 }, (_, column) =>
				parts.reduce((sum, value, i) => sum + (i % (width - 1) === column ? value : 0), 0),
			)
			equal(together, [...sums.map((hits) => hits + 100), ...past.map((_, i) => 1_000 + i)], 'all keys together')
		},
	],
	[
		'a batch of many keys, lanes and minutes counts each of them',
		async (desk) => {
			const writer = desk.open()
			const [now, before] = [desk.minute(), desk.minute(90_000)]
			const keys = Array.from({ length: 1_300 }, (_, i) => `/page/${i}`)
			const batches = await writer.hit(
				...keys.map((key, i) => ({ key, hits: i + 1, minute: now })),
				...keys.map((key) => ({ key, hits: 10_000, minute: before })),
				...keys.map((key, i) => ({ key, hits: 2 * i + 1, minute: now, lane: 'bot' as const })),
			)
			for (const { status } of await writer.send(batches)) equal(status, 'duplicate', 'the batch sent again')
			const human = await writer.reading(keys, [total, { level: 'minute', start: now }, { level: 'minute', start: before }])
			equal(
				human.values,
				keys.flatMap((_, i) => [10_001 + i, i + 1, 10_000]),
				'hits of every key',
			)
			const bots = await writer.reading(keys, [total], 'bot')
			equal(
				bots.values,
				keys.map((_, i) => 2 * i + 1),
				'hits of every key in another lane',
			)
		},
	],
	[
		'a batch that comes twice counts once',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			const batches = await writer.hit({ key: '/home', hits: 5, visitors: ['ada'], minute })
			for (let i = 0; i < 3; i++) equal((await writer.send(batches))[0]!.status, 'duplicate', 'the same batch again')
			equal(await writer.counts('/home', bucketsOf(minute)), [5, 5, 5, 5], 'hits')
			equal(await writer.all(), 5, 'hits of all keys together')
			equal((await writer.trending()).length, 1, 'keys that trend')
		},
	],
	[
		'a batch that comes several times at once counts once',
		async (desk) => {
			const writer = desk.open()
			for (let round = 1; round <= 5; round++) {
				const [batch] = writer.batches([{ key: '/home', hits: 5 }])
				const outcomes = await Promise.all([1, 2, 3, 4].map(() => writer.session.apply(batch!)))
				isTrue(
					outcomes.every(({ status }) => status === 'applied' || status === 'duplicate'),
					'each copy of a batch is applied or a duplicate',
				)
				equal(await writer.count('/home'), 5 * round, 'hits')
			}
		},
	],
	[
		'an older batch that comes again counts nothing',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			const first = await writer.hit({ key: '/home', hits: 1, minute })
			const second = await writer.hit({ key: '/home', hits: 20, minute })
			await writer.hit({ key: '/home', hits: 300, minute })
			for (const batch of [...second, ...first, ...second]) {
				equal((await writer.session.apply(batch)).status, 'duplicate', 'an older batch again')
			}
			equal(await writer.counts('/home', bucketsOf(minute)), [321, 321, 321, 321], 'hits')
		},
	],
	[
		'the same sequence of another session is another batch',
		async (desk) => {
			const [ada, bob] = [desk.open(), desk.open()]
			const batches = await ada.hit({ key: '/home', hits: 1 })
			await bob.hit({ key: '/home', hits: 20 })
			equal((await ada.send(batches))[0]!.status, 'duplicate', 'the batch of the first session again')
			equal([await ada.count('/home'), await bob.count('/home')], [21, 21], 'hits, as both sessions see them')
		},
	],
	[
		'the first hits of a minute, from several sessions at the same time, all count',
		async (desk) => {
			const minute = desk.minute()
			const writers = Array.from({ length: 6 }, () => desk.open())
			await Promise.all(writers.map((writer) => writer.hit({ key: '/home', minute, visitors: [writer.id] })))
			equal(await writers[0]!.counts('/home', bucketsOf(minute)), [6, 6, 6, 6], 'hits')
			equal(await writers[0]!.uniques(['/home']), writers[0]!.estimate(writers.map(({ id }) => id)), 'visitors')
		},
	],
	[
		'several writers at once lose no hit and double none',
		async (desk) => {
			const writers = Array.from({ length: 5 }, () => desk.open())
			const keys = Array.from({ length: 12 }, (_, i) => `/page/${i}`)
			const minutes = [desk.minute(), desk.minute(3 * hour)]
			const rounds = 15
			await Promise.all(
				writers.map(async (writer, w) => {
					for (let round = 0; round < rounds; round++) {
						const batches = writer.batches(
							keys.flatMap((key, k) => minutes.map((minute, m) => ({ key, minute, hits: 1 + k + 100 * w + 10_000 * m }))),
						)
						const again = round % 3 === 0 ? await Promise.all([writer.send(batches), writer.send(batches)]) : [await writer.send(batches)]
						for (const outcome of again.flat()) isTrue(outcome.status !== 'refused', 'no batch is refused')
					}
				}),
			)
			const hitsIn = (k: number, m: number) => rounds * writers.reduce((sum, _, w) => sum + 1 + k + 100 * w + 10_000 * m, 0)
			const [reader] = writers
			for (const [m, minute] of minutes.entries()) {
				const { values } = await reader!.reading(keys, [{ level: 'minute', start: minute }])
				equal(
					values,
					keys.map((_, k) => hitsIn(k, m)),
					'hits of each key in a minute',
				)
			}
			const { values } = await reader!.reading(keys, [total])
			const totals = keys.map((_, k) => hitsIn(k, 0) + hitsIn(k, 1))
			equal(values, totals, 'hits of each key')
			equal(
				await reader!.all(),
				totals.reduce((sum, hits) => sum + hits, 0),
				'hits of all keys together',
			)
		},
	],
	[
		'says with each value which batches are in it, also while more are under way',
		async (desk) => {
			const [writer, other] = [desk.open(), desk.open()]
			for (let round = 1; round <= 10; round++) {
				const sent = writer.hit({ key: '/home' })
				// Every batch is one hit, so that the value must equal the last sequence.
				const reading = await writer.reading(['/home'], [total])
				equal(reading.values[0], reading.applied[0], 'hits, and the last batch that is in them, read beside a write')
				await sent
				const after = await writer.reading(['/home'], [total])
				equal([after.values[0], after.applied[0]], [round, round], 'hits, and the last batch that is in them, after a write')
			}
			equal((await other.reading(['/home'], [total])).applied, [0], "the batches of a session that sent none: another's do not count")
			const top = await writer.session.top({ lane: 'human', buckets: [total], by: 'hits', limit: 1, prefix: '' })
			equal(top.applied.length, desk.store.partitions, 'partitions of which a top list tells the last batch')
			equal(top.applied[writer.partition('/home')], 10, 'the last batch in a top list')
			const all = await writer.reading('all', [total])
			equal(all.values.length, desk.store.partitions, 'rows of all keys together')
			equal(all.applied[writer.partition('/home')], 10, 'the last batch in all keys together')
		},
	],
	[
		'the partitions of a session have sequences of their own',
		async (desk) => {
			const writer = desk.open()
			const keys = Array.from({ length: 40 }, (_, i) => `/page/${i}`)
			for (const [i, key] of keys.entries()) await writer.hit({ key, hits: i + 1 })
			const { values, applied } = await writer.reading(keys, [total])
			equal(
				values,
				keys.map((_, i) => i + 1),
				'hits',
			)
			for (const [i, key] of keys.entries()) isTrue(applied[i]! <= writer.sequence(key), 'no value has batches in it that were never sent')
			equal((await writer.reading('all', [total])).values.length, desk.store.partitions, 'rows of all keys together')
			equal(await writer.all(), 820, 'hits of all keys together')
		},
	],
	[
		'the lanes are counted apart',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			await writer.hit(...lanes.map((lane, i) => ({ key: '/home', lane, hits: i + 1, minute, visitors: [`visitor of ${lane}`] })))
			await writer.hit({ key: '/bots-only', lane: 'bot', hits: 100, minute })
			for (const [i, lane] of lanes.entries()) {
				equal(await writer.counts('/home', bucketsOf(minute), lane), Array(4).fill(i + 1), `hits in lane ${lane}`)
				equal(await writer.uniques(['/home'], [total], lane), 1, `visitors in lane ${lane}`)
				equal(await writer.all(total, lane), lane === 'bot' ? 102 : i + 1, `hits of all keys in lane ${lane}`)
				equal((await writer.trending(100, undefined, lane)).length, lane === 'bot' ? 2 : 1, `keys that trend in lane ${lane}`)
			}
			equal(await writer.list(), ['/home'], 'list of the human lane')
			equal(await writer.list('', 100, 'bot'), ['/bots-only', '/home'], 'list of the bot lane')
			equal(await writer.top({ lane: 'own' }), [['/home', 6]], 'top of a lane')
			await writer.set('/home', 1_000, 'ai')
			equal(
				[await writer.count('/home'), await writer.count('/home', total, 'ai')],
				[1, 1_000],
				'hits, after those of another lane were set',
			)
		},
	],
	[
		'namespaces are counted apart, those that begin alike too',
		async (desk) => {
			const names = ['', '.', '-hits', '0', '_'].map((end) => desk.namespace + end)
			const writers = names.map((namespace) => desk.open({ namespace }))
			for (const [i, writer] of writers.entries()) await writer.hit({ key: '/home', hits: i + 1 }, { key: 'hits:/home', hits: 50 })
			for (const [i, writer] of writers.entries()) {
				equal(await writer.count('/home'), i + 1, 'hits in one of several namespaces')
				equal(await writer.all(), i + 51, 'hits of all keys in one of several namespaces')
			}
		},
	],
	[
		'counts exactly up to 2^53 - 1',
		async (desk) => {
			const writer = desk.open()
			const minute = desk.minute()
			const most = Number.MAX_SAFE_INTEGER
			await writer.hit({ key: '/home', hits: most - 3, minute })
			await writer.hit({ key: '/home', hits: 1, minute })
			equal(await writer.counts('/home', bucketsOf(minute)), Array(4).fill(most - 2), 'hits')
			await writer.hit({ key: '/home', hits: 2, minute })
			equal(await writer.counts('/home', bucketsOf(minute)), Array(4).fill(most), 'hits')
			equal([await writer.all(), await writer.top()], [most, [['/home', most]]], 'all keys together, and top')
			await writer.set('/home', most - 1)
			equal([await writer.count('/home'), await writer.all()], [most - 1, most - 1], 'hits that were set')
			await writer.delete('/home')
			equal(await writer.all(), 0, 'all keys together, when the only one was deleted')
		},
	],
	[
		'the numbers stay when the session that wrote them is closed',
		async (desk) => {
			const [first, second] = [desk.open(), desk.open()]
			await first.hit({ key: '/home', hits: 3, visitors: ['ada'] })
			await first.close()
			await second.hit({ key: '/home', hits: 4, visitors: ['bob'] })
			await second.close()
			const third = desk.open()
			equal([await third.count('/home'), await third.uniques(['/home'])], [7, 2], 'hits and visitors, as a later session sees them')
		},
	],
	[
		'refuses a counter of other settings, at once or with its first call',
		async (desk) => {
			await desk.open().hit({ key: '/home', visitors: ['ada'] })
			const others = {
				'no uniques': { tracker: undefined },
				'uniques at other levels': { uniquesPer: ['total'] },
				'another retention': { retention: { minute: hour, hour: 31 * 24 * hour, day: 731 * 24 * hour } },
				'another half-life': { trendHalfLifeMs: hour },
			} as const
			for (const [name, settings] of Object.entries(others)) {
				await fails('ERR_TALLYMARK_MISMATCH', () => desk.open(settings).list(), `a counter with ${name}`)
			}
			equal(await desk.open().count('/home'), 1, 'hits, as a counter of the same settings sees them')
		},
	],
	[
		'reports its health: one node or more, each up, with its name and latency',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: '/home' })
			const nodes = await writer.session.health()
			isTrue(nodes.length > 0, 'there is at least one node')
			for (const { name, status, latencyMs } of nodes) {
				isTrue(name !== '', 'every node has a name')
				equal(status, 'up', `status of ${name}`)
				isTrue(latencyMs !== undefined && latencyMs >= 0, `the latency of ${name} is known`)
			}
			isTrue((await writer.reading(['/home'], [total])).servedBy !== '', 'a reading says who served it')
		},
	],
]
