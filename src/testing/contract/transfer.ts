/** What a store promises that can be copied: everything out of a namespace, and back into another. A store without transfer() promises nothing here. */
import { type Lane, lanes, type SnapshotRecord, type StoreTransfer } from '../../stores/store.ts'
import { type Bucket, lengthMs, startOf, total } from '../../time/granularity.ts'
import { equal, isTrue, near } from './assert.ts'
import { bucketsOf, type Desk, day, hour, type Proof, randomHex, type Writer } from './desk.ts'

/** A second namespace of the same store. */
function openOther(desk: Desk): Writer {
	return desk.open({ namespace: `${desk.namespace}-${randomHex()}` })
}

async function recordsOf(desk: Desk, transfer: StoreTransfer): Promise<SnapshotRecord[]> {
	const records: SnapshotRecord[] = []
	for (let partition = 0; partition < desk.store.partitions; partition++) {
		for await (const record of transfer.snapshot(partition, desk.clock.now())) records.push(record)
	}
	return records
}

/** With two writers that can be copied between; a store without transfer() has nothing to prove. */
function proof(
	name: string,
	prove: (desk: Desk, from: Writer, to: Writer, out: StoreTransfer, into: StoreTransfer) => Promise<void>,
): Proof {
	return [
		name,
		async (desk) => {
			const [from, to] = [desk.open(), openOther(desk)]
			const [out, into] = [from.session.transfer?.(), to.session.transfer?.()]
			if (out !== undefined && into !== undefined) await prove(desk, from, to, out, into)
		},
	]
}

const keys = ['/home', '__proto__', '{a}b:*', '😀', 'set to 0', 'deleted']

/** Counts a bit of everything. */
async function fill(writer: Writer, desk: Desk): Promise<number[]> {
	const minutes = [0, hour, 3 * day].map((agoMs) => desk.minute(agoMs))
	for (const [i, minute] of minutes.entries()) {
		const visitors = ['ada', `visitor ${i}`]
		await writer.hit(...keys.map((key, j) => ({ key, hits: i + j + 1, minute, visitors })))
		await writer.hit({ key: '/home', hits: 7, minute, visitors, lane: 'bot' })
	}
	await writer.set('set to 0', 0)
	await writer.set('only set', 12)
	await writer.delete('deleted')
	return minutes
}

async function readAll(writer: Writer, minutes: readonly number[], now: number, lane: Lane): Promise<unknown> {
	const all = [...keys, 'only set']
	const buckets = [
		...new Map(minutes.flatMap(bucketsOf).map((bucket): [string, Bucket] => [`${bucket.level} ${bucket.start}`, bucket])).values(),
	]
	const tracked = buckets.filter(({ level }) => level === 'total' || level === 'day')
	return [
		await writer.list('', 3, lane),
		await Promise.all(all.map((key) => writer.counts(key, buckets, lane))),
		await Promise.all(buckets.map((bucket) => writer.all(bucket, lane))),
		await Promise.all(
			tracked.flatMap((bucket) => [...all.map((key) => [key]), 'all' as const].map((of) => writer.uniques(of, [bucket], lane))),
		),
		await writer.top({ lane }),
		await writer.top({ lane, by: 'uniques' }),
		(await writer.trending(100, now, lane)).map(({ key }) => key),
	]
}

export const transferOfVisitors: readonly Proof[] = [
	proof('what was taken out of a namespace and put into another reads the same there', async (desk, from, to, out, into) => {
		const minutes = await fill(from, desk)
		for (const record of await recordsOf(desk, out)) await into.restore([record])
		const now = desk.clock.now()
		for (const lane of lanes)
			equal(await readAll(to, minutes, now, lane), await readAll(from, minutes, now, lane), `everything of lane ${lane}`)
		const scores = await from.trending(100, now)
		for (const [i, { key, score }] of (await to.trending(100, now)).entries()) near(score, scores[i]!.score, `the score of ${key}`)
	}),
	proof('what is put back once more changes nothing, and what was counted since is set back', async (desk, from, to, out, into) => {
		const minutes = await fill(from, desk)
		const records = await recordsOf(desk, out)
		await into.restore(records)
		const now = desk.clock.now()
		const before = await readAll(to, minutes, now, 'human')
		await into.restore(records)
		equal(await readAll(to, minutes, now, 'human'), before, 'everything, after it was put back once more')
		await to.hit({ key: '/home', hits: 5, minute: minutes[0]! })
		await into.restore(records)
		equal(await readAll(to, minutes, now, 'human'), before, 'everything, after a hit that was not in it')
	}),
	proof('counting goes on with what was put back', async (desk, from, to, out, into) => {
		const minute = desk.minute()
		await from.hit({ key: 'a', hits: 3, minute, visitors: ['ada'] }, { key: 'b', hits: 4, minute, visitors: ['bob'] })
		await into.restore(await recordsOf(desk, out))
		await to.hit({ key: 'a', hits: 10, minute, visitors: ['ada', 'cyd'] })
		equal(await to.counts('a', bucketsOf(minute)), [13, 13, 13, 13], 'hits')
		equal(await to.all(), 17, 'hits of all keys together')
		equal([await to.uniques(['a']), await to.uniques('all')], [2, 3], 'visitors')
		await to.delete('b')
		equal([await to.all(), await to.uniques('all')], [13, 3], 'hits and visitors of all keys, after one was deleted')
	}),
	proof('visitors are united with those that are there', async (desk, from, to, out, into) => {
		await from.hit({ key: 'a', visitors: ['ada', 'bob'] })
		await to.hit({ key: 'a', visitors: ['bob', 'cyd'] })
		await into.restore(await recordsOf(desk, out))
		equal([await to.uniques(['a']), await to.uniques('all')], [3, 3], 'visitors')
		equal(await to.count('a'), 1, 'hits, which are set')
	}),
	proof('a snapshot can be taken out of a namespace that something was put into', async (desk, from, to, out, into) => {
		await fill(from, desk)
		await into.restore(await recordsOf(desk, out))
		const third = openOther(desk)
		await third.session.transfer!().restore(await recordsOf(desk, into))
		equal([await third.all(), await third.uniques('all')], [await to.all(), await to.uniques('all')], 'hits and visitors of all keys')
	}),
]

export const transferOfNumbers: readonly Proof[] = [
	proof('what is put into a bucket past its deadline is left out', async (desk, _from, to, _out, into) => {
		const level = 'minute'
		const [late, kept] = [startOf(level, desk.clock.now() - day - 2 * lengthMs.minute), desk.minute(hour)]
		const record = (start: number): SnapshotRecord => ({ kind: 'hits', lane: 'human', bucket: { level, start }, entries: [['a', 3]] })
		await into.restore([record(late), record(kept)])
		equal(
			await to.counts(
				'a',
				[late, kept].map((start) => ({ level, start })),
			),
			[0, 3],
			'hits',
		)
	}),
	proof('nothing is left of a namespace that was cleared, and nothing of another is lost', async (desk, from, to, out, into) => {
		await fill(from, desk)
		// By a session that is gone: one that counted and goes on would see to it that nothing of it is lost.
		const counted = desk.open({ namespace: to.namespace })
		await fill(counted, desk)
		await counted.close()
		await into.clear()
		equal(await recordsOf(desk, into), [], 'records')
		equal([await to.list(), await to.all(), await to.uniques('all'), await to.uniques(['/home'])], [[], 0, 0, 0], 'what can be read')
		isTrue((await recordsOf(desk, out)).length > 0, 'the other namespace still has its numbers')
	}),
	proof('a note is kept until it is removed, for this namespace alone', async (desk, _from, _to, out, into) => {
		equal(await into.note(), undefined, 'the note at first')
		equal(await into.note('half of it'), 'half of it', 'the note that is written')
		const again = desk.open().session.transfer!()
		equal([await into.note(), await out.note(), await again.note()], ['half of it', undefined, undefined], 'notes')
		await into.clear()
		equal(await into.note(), 'half of it', 'the note, after the numbers were cleared')
		equal([await into.note(''), await into.note()], [undefined, undefined], 'the note that is removed')
	}),
	proof('a snapshot has each key of a bucket with all its hits, and none that was deleted', async (desk, from, _to, out) => {
		await from.hit(...Array.from({ length: 1_200 }, (_, i) => ({ key: `/${i}`, hits: i + 1 })))
		for (let i = 0; i < 1_200; i += 100) await from.delete(`/${i}`)
		const found = new Map<string, number>()
		for (const record of await recordsOf(desk, out)) {
			if (record.kind !== 'hits' || record.bucket.level !== total.level) continue
			isTrue(record.entries.length <= 2_000, 'a page is no longer than some hundred numbers')
			for (const [key, hits] of record.entries) found.set(key, hits)
		}
		equal(found.size, 1_188, 'keys')
		for (const [key, hits] of found) equal(hits, Number(key.slice(1)) + 1, `hits of ${key}`)
	}),
]
