import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RedisStore } from '../../../src/redis.ts'
import type { SnapshotRecord } from '../../../src/stores/store.ts'
import { Desk } from '../../../src/testing/contract/desk.ts'
import { total } from '../../../src/time/granularity.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
let redis: Redis
let desk: Desk

beforeAll(async () => {
	server = await startRedis()
	redis = new Redis(server.port)
	redis.setMaxListeners(0)
	desk = new Desk(new RedisStore(redis, { partitions: 1 }), 'hyperloglog', false)
})

afterAll(async () => {
	await desk.close()
	redis.disconnect()
	await server.stop()
})

it('takes nothing while the partition belongs to nobody, or moves', async () => {
	const writer = desk.open({ namespace: 'moving' })
	const sketch = desk.tracker().sketch()
	const delta = desk.tracker().delta()
	delta.add('ada')
	sketch.apply(delta)
	const records: SnapshotRecord[] = [
		{ kind: 'hits', lane: 'human', bucket: total, entries: [['a', 3]] },
		{ kind: 'hits', lane: 'human', bucket: { level: 'minute', start: desk.minute() }, entries: [['a', 3]] },
		{ kind: 'visitors', lane: 'human', bucket: total, entries: [['a', sketch.save()]] },
		{ kind: 'trend', lane: 'human', at: desk.clock.now(), entries: [['a', 3]] },
	]
	const transfer = writer.session.transfer!()
	for (const record of ['S:4:other', 'I:6', 'G:4:other']) {
		await redis.set('{moving:0}:own', record)
		for (const each of records) await expect(transfer.restore([each])).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		expect(await redis.keys('{moving:0}*')).toEqual(['{moving:0}:own'])
	}
	await redis.set('{moving:0}:own', 'A:4')
	await transfer.restore(records)
	expect([await writer.count('a'), await writer.uniques(['a'])]).toEqual([3, 1])
})

it('gives a key one score, though the copy was begun in an earlier epoch of the trend', async () => {
	const halfLife = 60_000
	const writer = desk.open({ namespace: 'epochs', trendHalfLifeMs: halfLife })
	const transfer = writer.session.transfer!()
	const now = desk.clock.now()
	const record = (at: number): SnapshotRecord => ({ kind: 'trend', lane: 'human', at, entries: [['a', 8 * 2 ** ((now - at) / halfLife)]] })
	await transfer.restore([{ kind: 'hits', lane: 'human', bucket: total, entries: [['a', 8]] }, record(now - 64 * halfLife)])
	await transfer.restore([record(now)])
	await transfer.restore([record(now)])
	const [entry, ...others] = await writer.trending(10, now)
	expect(others).toEqual([])
	expect(entry!.score).toBeCloseTo(8, 6)
	// And those that counting has left in several epochs come out as one.
	await writer.hit({ key: 'b', hits: 2, minute: desk.minute(64 * halfLife) }, { key: 'b', hits: 2 })
	const scores: [string, number][] = []
	for await (const page of transfer.snapshot(0, now)) if (page.kind === 'trend') scores.push(...(page.entries as [string, number][]))
	expect(scores.map(([key]) => key).sort()).toEqual(['a', 'b'])
	const fresh = (await writer.trending(10, now)).find(({ key }) => key === 'b')!
	expect(Object.fromEntries(scores)['b']).toBeCloseTo(fresh.score, 9)
})

it('does not lose count of all keys when a key comes twice in a page', async () => {
	const writer = desk.open({ namespace: 'twice' })
	const bucket = { level: 'hour', start: desk.minute() - (desk.minute() % 3_600_000) } as const
	const entries = [
		['a', 3],
		['b', 1],
		['a', 5],
	] as const
	await writer.session.transfer!().restore([total, bucket].map((each) => ({ kind: 'hits', lane: 'human', bucket: each, entries })))
	expect([await writer.all(), await writer.all(bucket), await writer.count('a'), await writer.count('a', bucket)]).toEqual([6, 6, 5, 5])
})
