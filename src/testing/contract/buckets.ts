/** Buckets: which of them a hit falls in, and how long they live. */
import { type Bucket, deadlineOf, type Granularity, granularities, lengthMs, startOf, total } from '../../time/granularity.ts'
import { equal } from './assert.ts'
import { bucketsOf, type Desk, day, hour, type Proof, type Writer } from './desk.ts'

/** A minute whose bucket has `livesMs`, or up to a second more, to live under this retention, in whole seconds. */
function nearItsDeadline(
	desk: Desk,
	livesMs: number,
): { minute: number; bucket: Bucket; retention: Record<Granularity, number>; deadline: number } {
	const now = desk.clock.now()
	const minute = desk.minute() - lengthMs.minute
	const end = minute + lengthMs.minute
	const retention = { minute: Math.ceil((now + livesMs - end) / 1_000) * 1_000, hour: 31 * day, day: 731 * day }
	const bucket = { level: 'minute', start: minute } as const
	return { minute, bucket, retention, deadline: deadlineOf(bucket, retention) }
}

export const buckets: readonly Proof[] = [
	[
		'a hit falls in its own minute, hour and day, in UTC, and in no other',
		async (desk) => {
			const writer = desk.open()
			// Hits at both bounds of a day and around them.
			const midnight = startOf('day', desk.clock.now() - 2 * day)
			const minutes = [midnight - 60_000, midnight, midnight + 59 * 60_000, midnight + hour, midnight + day - 60_000, midnight + day]
			const retention = { minute: 30 * day, hour: 31 * day, day: 731 * day }
			const long = desk.open({ namespace: `${desk.namespace}-long`, retention })
			await long.hit(...minutes.map((minute, i) => ({ key: '/home', minute, hits: 10 ** i })))
			const hitsIn = (bucket: Bucket) =>
				minutes.reduce((sum, minute, i) => sum + (bucket.start === startOf(bucket.level as Granularity, minute) ? 10 ** i : 0), 0)
			for (const level of granularities) {
				for (const minute of [midnight - 2 * 60_000, midnight + 60_000, midnight + 3 * hour, ...minutes]) {
					const bucket = { level, start: startOf(level, minute) }
					equal([await long.count('/home', bucket), await long.all(bucket)], [hitsIn(bucket), hitsIn(bucket)], `hits in a ${level}`)
				}
			}
			equal(await writer.count('/home'), 0, 'hits in the other namespace')
		},
	],
	[
		'hits that come late or out of order fall in the buckets of their own time',
		async (desk) => {
			const writer = desk.open()
			const minutes = [desk.minute(5 * hour), desk.minute(), desk.minute(20 * hour), desk.minute(3 * 60_000), desk.minute(5 * hour)]
			for (const [i, minute] of minutes.entries()) await writer.hit({ key: '/home', minute, hits: 10 ** i, visitors: [`visitor ${i}`] })
			const starts = { minute: 0, hour: 0, day: 0 }
			for (const level of granularities) {
				for (const minute of minutes) {
					const start = startOf(level, minute)
					const expected = minutes.reduce((sum, other, i) => sum + (startOf(level, other) === start ? 10 ** i : 0), 0)
					equal(await writer.count('/home', { level, start }), expected, `hits in a ${level}`)
					starts[level]++
				}
			}
			equal(await writer.count('/home'), 11_111, 'all-time hits')
		},
	],
	[
		'a hit for a bucket past its deadline counts for the coarser levels only',
		async (desk) => {
			const writer = desk.open({ retention: { minute: hour, hour: 10 * hour, day: 731 * day } })
			const hits = [
				[desk.minute(3 * hour), [1, 0, 1, 1]],
				[desk.minute(40 * hour), [1, 0, 0, 1]],
			] as const
			for (const [i, [minute, expected]] of hits.entries()) {
				const key = `/page/${i}`
				await writer.hit({ key, minute, visitors: ['ada'] })
				equal(await writer.counts(key, bucketsOf(minute)), expected, 'hits at every level')
				equal(await writer.all({ level: 'minute', start: minute }), 0, 'hits of all keys together in the minute')
			}
			equal([await writer.all(), await writer.uniques('all')], [2, 1], 'all-time hits and visitors of all keys together')
		},
	],
	[
		'a granularity whose retention is 0 keeps nothing',
		async (desk) => {
			const writer = desk.open({ retention: { minute: 0, hour: 31 * day, day: 0 } })
			const minute = desk.minute()
			await writer.hit({ key: '/home', hits: 3, minute, visitors: ['ada'] })
			equal(await writer.counts('/home', bucketsOf(minute)), [3, 0, 3, 0], 'hits at every level')
			equal(await writer.top({ buckets: [{ level: 'day', start: startOf('day', minute) }] }), [], 'top of the day')
			equal(await writer.uniques(['/home'], [{ level: 'day', start: startOf('day', minute) }]), 0, 'visitors of the day')
			equal(await writer.uniques(['/home']), 1, 'visitors')
		},
	],
	[
		'a bucket is read up to its deadline and never after it, which no late hit moves',
		async (desk) => {
			// Where its time is over before it can be read, once more with more time.
			for (let leads = 1; ; leads *= 4) {
				const namespace = `${desk.namespace}-${leads}`
				const { minute, bucket, retention, deadline } = nearItsDeadline(desk, leads * 1_500)
				const writer = desk.open({ namespace, retention, uniquesPer: ['total', 'minute'] })
				await writer.hit({ key: '/home', hits: 2, minute, visitors: ['ada'] })
				const living = await writer.count('/home', bucket)
				await desk.waitUntil(deadline - leads * 600)
				// A new key, a new visitor and more hits: whatever sets a life-time would set it again.
				await writer.hit({ key: '/home', hits: 1, minute, visitors: ['bob'] }, { key: '/new', minute })
				const hits = await writer.counts('/home', [bucket, total])
				const visitors = await writer.uniques(['/home'], [bucket])
				if (desk.clock.now() >= deadline && leads < 16) continue
				equal(living, 2, 'hits of the minute, while it lives')
				equal(hits, [3, 3], 'hits, just before the deadline')
				equal(visitors, 2, 'visitors, just before the deadline')
				await pastItsDeadline(desk, writer, minute, bucket, deadline)
				return
			}
		},
	],
]

async function pastItsDeadline(desk: Desk, writer: Writer, minute: number, bucket: Bucket, deadline: number): Promise<void> {
	await desk.waitUntil(deadline)
	equal(await writer.counts('/home', bucketsOf(minute)), [3, 0, 3, 3], 'hits at every level, after the deadline')
	equal([await writer.all(bucket), await writer.all()], [0, 4], 'hits of all keys together, after the deadline')
	equal([await writer.top({ buckets: [bucket] }), await writer.uniques(['/home'], [bucket])], [[], 0], 'top and visitors, after it')
	equal([await writer.uniques('all', [bucket]), await writer.uniques(['/home'])], [0, 2], 'visitors of all keys, and all-time visitors')
	const batches = await writer.hit({ key: '/home', hits: 10, minute, visitors: ['cyd'] })
	equal(await writer.counts('/home', bucketsOf(minute)), [13, 0, 13, 13], 'hits at every level, after one that came too late')
	for (const { status } of await writer.send(batches)) equal(status, 'duplicate', 'the batch that came too late, again')
	equal([await writer.all(bucket), await writer.all()], [0, 14], 'hits of all keys together, after one that came too late')
	equal(await writer.uniques(['/home']), 3, 'all-time visitors')
}
