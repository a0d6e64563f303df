/** Visitors: distinct ones, over keys and buckets. */
import { lengthMs, startOf, total } from '../../time/granularity.ts'
import { equal, within } from './assert.ts'
import { day, type Proof } from './desk.ts'

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `visitor:${from + i + 1}`)

const hostileVisitors = [
	'__proto__',
	'constructor',
	'\0',
	'\n',
	' ',
	'ada',
	'Ada',
	'\ufeffada',
	'é',
	'e\u0301',
	'😀',
	'{a}b',
	':',
	'x'.repeat(4_000),
]

export const visitors: readonly Proof[] = [
	[
		'each visitor of a key counts once, however often and through whichever session they come',
		async (desk) => {
			const [writer, other] = [desk.open(), desk.open()]
			for (let i = 0; i < 3; i++) await writer.hit({ key: '/home', visitors: ['ada', 'bob'] })
			await other.hit({ key: '/home', visitors: ['bob', 'cyd'] }, { key: '/other', visitors: ['dan'] })
			await other.hit({ key: '/home', hits: 5 })
			equal([await writer.uniques(['/home']), await other.uniques(['/home'])], [3, 3], 'visitors, as both sessions see them')
			equal(await writer.count('/home'), 9, 'hits')
		},
	],
	[
		'one visitor is exactly one, and nobody exactly nobody',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: '/home', visitors: ['ada'] })
			const { sketches } = await writer.session.visitors({ lane: 'human', keys: ['/home'], groups: [[total], []] })
			equal(
				sketches.map((sketch) => sketch.estimate()),
				[
					{ value: 1, exact: true, error: 0 },
					{ value: 0, exact: true, error: 0 },
				],
				'estimates',
			)
		},
	],
	[
		'many visitors are counted as the tracker counts them, whether they come at once or a few at a time',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: 'at once', visitors: numbered(0, 5_000) })
			for (let i = 0; i < 2_000; i += 250) await writer.hit({ key: 'in parts', visitors: numbered(Math.max(0, i - 50), i + 250) })
			within(await writer.uniques(['at once']), writer.estimate(numbered(0, 5_000)), desk.tolerance, 'visitors that came at once')
			within(await writer.uniques(['in parts']), writer.estimate(numbered(0, 2_000)), desk.tolerance, 'visitors that came a few at a time')
			within(await writer.uniques(['in parts', 'at once']), writer.estimate(numbered(0, 5_000)), desk.tolerance, 'visitors of both')
		},
	],
	[
		'the visitors of several keys are their union',
		async (desk) => {
			const writer = desk.open()
			await writer.hit(
				{ key: 'a', visitors: ['ada', 'bob'] },
				{ key: 'b', visitors: ['bob', 'cyd'] },
				{ key: 'c', visitors: ['dan'] },
				{ key: 'd' },
			)
			equal(await writer.uniques(['a', 'b']), 3, 'visitors of two keys')
			equal(await writer.uniques(['a', 'b', 'c', 'd', 'unknown']), 4, 'visitors of all keys and an unknown one')
			equal(await writer.uniques(['a', 'a']), 2, 'visitors of a key that is named twice')
			equal(await writer.uniques([]), 0, 'visitors of no key')
			equal(await writer.uniques('all'), 4, 'visitors of all keys together')
		},
	],
	[
		'the visitors of several buckets are their union, a sketch for each group of buckets',
		async (desk) => {
			const writer = desk.open()
			const starts = [0, 1, 2].map((days) => startOf('day', desk.clock.now() - days * day))
			await writer.hit(
				{ key: '/home', minute: starts[0]!, visitors: ['ada', 'bob'] },
				{ key: '/other', minute: starts[0]!, visitors: ['zoe'] },
			)
			await writer.hit({ key: '/home', minute: starts[1]!, visitors: ['bob', 'cyd'] })
			await writer.hit({ key: '/home', minute: starts[2]!, visitors: ['ada', 'bob'] })
			const days = starts.map((start) => ({ level: 'day', start }) as const)
			for (const [keys, expected] of [
				[['/home'], [2, 3, 3, 3, 0]],
				['all', [3, 4, 4, 4, 0]],
			] as const) {
				const groups = [[days[0]!], [days[0]!, days[1]!], days, [total], []]
				const { sketches } = await writer.session.visitors({ lane: 'human', keys, groups })
				equal(
					sketches.map((sketch) => sketch.estimate().value),
					expected,
					'visitors of groups of days',
				)
			}
		},
	],
	[
		'visitors are kept at the levels that were asked for, and at no other',
		async (desk) => {
			const writer = desk.open({ uniquesPer: ['minute'] })
			const minute = desk.minute()
			await writer.hit({ key: '/home', minute, visitors: ['ada', 'bob'] })
			await writer.hit({ key: '/home', minute: minute - lengthMs.minute, visitors: ['cyd'] })
			equal(await writer.uniques(['/home'], [{ level: 'minute', start: minute }]), 2, 'visitors of the minute')
			equal(await writer.uniques('all', [{ level: 'minute', start: minute }]), 2, 'visitors of all keys in the minute')
			equal(await writer.uniques(['/home'], [{ level: 'day', start: startOf('day', minute) }]), 0, 'visitors of the day')
			equal(await writer.uniques(['/home']), 0, 'visitors of all time')
			equal(await writer.top({ by: 'uniques' }), [], 'top by visitors of all time')
			equal(await writer.count('/home'), 2, 'hits of all time')
		},
	],
	[
		'a batch that comes again adds no visitors',
		async (desk) => {
			const writer = desk.open()
			const batches = await writer.hit({ key: '/home', visitors: numbered(0, 300) })
			await writer.hit({ key: '/home', visitors: numbered(100, 400) })
			const before = await writer.uniques(['/home'])
			within(before, writer.estimate(numbered(0, 400)), desk.tolerance, 'visitors')
			await writer.send(batches)
			equal(await writer.uniques(['/home']), before, 'visitors after a batch came again')
			within(await writer.uniques('all'), before, desk.tolerance, 'visitors of all keys after a batch came again')
		},
	],
	[
		'a sketch that was read is a copy: what the reader does to it changes nothing',
		async (desk) => {
			const writer = desk.open()
			await writer.hit({ key: 'a', visitors: ['ada'] }, { key: 'b', visitors: ['bob', 'cyd'] })
			for (const keys of [['a'], 'all'] as const) {
				const read = async () => (await writer.session.visitors({ lane: 'human', keys, groups: [[total]] })).sketches[0]!
				const [mine, before] = [await read(), await writer.uniques(keys)]
				mine.merge((await writer.session.visitors({ lane: 'human', keys: ['b'], groups: [[total]] })).sketches[0]!)
				equal(mine.estimate().value, 3, 'visitors of the copy')
				equal(await writer.uniques(keys), before, 'visitors in the store, after the copy grew')
				mine.release()
				equal(await writer.uniques(keys), before, 'visitors in the store, after the copy was released')
			}
		},
	],
	[
		'a sketch that was read takes the deltas that its reader has yet to send',
		async (desk) => {
			const tracker = desk.tracker()
			const writer = desk.open({ tracker })
			await desk.open().hit({ key: '/home', visitors: ['ada', 'bob'] })
			const { sketches } = await writer.session.visitors({ lane: 'human', keys: ['/home'], groups: [[total]] })
			const delta = tracker.delta()
			for (const visitor of ['bob', 'cyd']) delta.add(visitor)
			sketches[0]!.apply(delta)
			equal(sketches[0]!.estimate().value, 3, 'visitors with those that wait')
			equal(await writer.uniques(['/home']), 2, 'visitors in the store')
		},
	],
	[
		'any text is a visitor: hostile ones are told apart',
		async (desk) => {
			const writer = desk.open()
			for (const key of ['/home', '__proto__']) {
				await writer.hit({ key, visitors: hostileVisitors })
				await writer.hit({ key, visitors: [...hostileVisitors].reverse() })
				equal(await writer.uniques([key]), hostileVisitors.length, 'visitors')
			}
			equal(await writer.uniques('all'), hostileVisitors.length, 'visitors of all keys together')
		},
	],
	[
		'visitors that several sessions add at the same time are all there',
		async (desk) => {
			const writers = Array.from({ length: 5 }, () => desk.open())
			await Promise.all(
				writers.map(async (writer, w) => {
					for (let round = 0; round < 8; round++) {
						await writer.hit({ key: '/home', visitors: numbered(100 * w + 20 * round, 100 * w + 20 * round + 60) })
					}
				}),
			)
			const everyone = writers[0]!.estimate(numbered(0, 600))
			for (const keys of [['/home'], 'all'] as const) within(await writers[0]!.uniques(keys), everyone, desk.tolerance, 'visitors')
		},
	],
	[
		'refuses a counter with another kind of tracker, at once or with its first call',
		async (desk) => {
			await desk.open().hit({ key: '/home', visitors: ['ada'] })
			await desk.expectMismatch()
		},
	],
]
