import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { bucketsOf, day, hour } from '../../../src/testing/contract/desk.ts'
import { total } from '../../../src/time/granularity.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { answerInstead, type Bench, bench, hang, loseReply, loseRequest, lost, onKey, refuse, sleep, until } from './support.ts'

let server: RedisServer
let b: Bench

beforeAll(async () => {
	server = await startRedis()
})
afterAll(() => server.stop())
beforeEach(() => {
	b = bench(server.port)
})
afterEach(() => b.end())

it('counts once when the reply is lost and the batch is sent again', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 1 })
	for (const [spoil, hits] of [
		[loseReply, 2],
		[loseRequest, 30],
		[loseReply, 400],
	] as const) {
		const [batch] = writer.batches([{ key: '/home', hits, visitors: ['ada'] }])
		b.client.once(spoil)
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		expect((await writer.session.apply(batch!)).status).toBe('applied')
		expect((await writer.session.apply(batch!)).status).toBe('duplicate')
	}
	expect(await writer.counts('/home', bucketsOf(writer.batches([{ key: 'x' }])[0]!.groups[0]!.minute))).toEqual([433, 433, 433, 433])
	expect(await writer.all()).toBe(433)
	expect((await writer.trending())[0]!.score).toBeCloseTo(433, -1)
	expect(b.events).toEqual([])
})

it('gives up a client whose promise never settles, and counts once', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home' })
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	b.client.once(hang)
	const start = Date.now()
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('no answer within 1000 ms')
	expect(Date.now() - start).toBeLessThan(2_000)
	await writer.session.apply(batch!)
	expect(await writer.count('/home')).toBe(6)
})

it('sends only what was not answered when a pipeline is answered in part', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home' })
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	b.client.once(answerInstead('LOADING Redis is loading the dataset in memory', onKey(':hits:hour:')))
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('LOADING')
	const before = b.client.pipelines.length
	await writer.session.apply(batch!)
	const again = b.client.pipelines
		.slice(before)
		.flat()
		.filter(({ name }) => name === 'evalsha')
	expect(again.map(({ args }) => args[2])).toEqual([expect.stringContaining(':hits:hour:')])
	expect(await writer.counts('/home', bucketsOf(batch!.kind === 'hits' ? batch!.groups[0]!.minute : 0))).toEqual([6, 6, 6, 6])
})

it.each([
	'LOADING Redis is loading the dataset in memory',
	'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
	'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
	"OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:1.",
	'ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed when used memory > maxmemory.',
	"READONLY You can't write against a read only replica. script: 1, on @user_script:8.",
	'CLUSTERDOWN The cluster is down',
	'ERR Script attempted to access a non local key in a cluster node script: 1, on @user_script:3.',
	'NOREPLICAS Not enough good replicas to write.',
	'MASTERDOWN Link with MASTER is down',
	'Connection is closed.',
	"Stream isn't writeable and enableOfflineQueue options is false",
	'Command timed out',
])('keeps the batch and counts it later after: %s', async (message) => {
	const writer = b.open()
	await writer.hit({ key: '/home' })
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	b.client.once(refuse(message))
	await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	expect((await writer.session.apply(batch!)).status).toBe('applied')
	expect(await writer.count('/home')).toBe(6)
	expect(b.events).toEqual([])
})

it('loads the scripts and goes on when the server has forgotten them', async () => {
	const writer = b.open()
	for (let i = 1; i <= 3; i++) {
		await b.redis.script('FLUSH')
		await writer.hit({ key: '/home', hits: i })
	}
	expect(await writer.count('/home')).toBe(6)
	expect(b.events).toEqual([])
})

it('sends again what a wiped server lacks: hits of every level, visitors, the deadlines of buckets', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	for (let i = 0; i < 20; i++)
		await writer.hit({ key: '/home', hits: 1, minute, visitors: [`visitor ${i}`] }, { key: `/page/${i}`, minute })
	const uniques = await writer.uniques(['/home'], [{ level: 'day', start: Math.floor(minute / day) * day }])
	await b.redis.flushall()
	await writer.hit({ key: '/home', minute })
	expect(await writer.counts('/home', bucketsOf(minute))).toEqual([21, 21, 21, 21])
	expect(await writer.all()).toBe(41)
	expect(await writer.uniques(['/home'], [{ level: 'day', start: Math.floor(minute / day) * day }])).toBe(uniques)
	for (const key of await b.redis.keys(`{${b.desk.namespace}:0}:*:*:*`)) expect(await b.redis.ttl(key)).toBeGreaterThan(0)
	expect(b.events).toEqual([])
})

it('finds by itself that an idle writer was robbed, within a third of the retention', async () => {
	await b.end()
	b = bench(server.port, { retentionMs: 1_500 })
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/home', hits: 7, minute })
	await b.redis.flushall()
	await sleep(900)
	expect(await writer.counts('/home', bucketsOf(minute))).toEqual([7, 7, 7, 7])
	expect(b.events).toEqual([])
})

it('finds when the session is closed that the server lost something, and repairs it', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 7 })
	await b.redis.flushall()
	await writer.session.close()
	expect(await b.open().count('/home')).toBe(7)
})

it('reports exactly what nobody can send again, once', async () => {
	await b.end()
	b = bench(server.port, { retentionMs: 300 })
	const writer = b.open()
	const minute = b.desk.minute()
	let sent = 0
	for (let i = 1; i <= 9; i++) {
		await writer.hit({ key: '/home', hits: i, minute }, { key: '/other', hits: 100 * i, minute })
		sent += 101 * i
		await sleep(60)
		if (i === 6) {
			await sleep(500)
			await writer.hit({ key: '/home', hits: 1_000, minute })
			sent += 1_000
		}
	}
	await b.redis.flushall()
	await writer.hit({ key: '/home', hits: 5, minute })
	sent += 5
	const left = await writer.all()
	expect(left).toBeLessThan(sent)
	expect(left).toBeGreaterThan(5)
	for (const what of ['total', 'minute', 'hour', 'day']) expect(lost(b.events)[what]).toBe(sent - left)
	const [event] = b.events
	expect(event).toMatchObject({ type: 'rollback', partition: 0, fromSequence: 1, hits: sent - left })
	// A second loss is reported without what was lost before.
	await sleep(700)
	await writer.hit({ key: '/home', hits: 3, minute })
	const before = await writer.all()
	await sleep(700)
	await writer.hit({ key: '/home', hits: 4, minute })
	await b.redis.flushall()
	b.events.length = 0
	await writer.hit({ key: '/home', hits: 2, minute })
	const rest = await writer.all()
	expect(lost(b.events)['total']).toBe(before + 4 + 2 - rest)
})

it('tells of a wiped bucket that gets no more hits, when the connection is made again', async () => {
	await b.end()
	b = bench(server.port, { retentionMs: 300 })
	const writer = b.open()
	const [old, now] = [b.desk.minute(2 * hour), b.desk.minute()]
	await writer.hit({ key: '/home', hits: 70, minute: old })
	await sleep(500)
	await writer.hit({ key: '/home', hits: 5, minute: now })
	await b.redis.flushall()
	b.redis.disconnect(true)
	await until(async () => expect(lost(b.events)['minute']).toBe(70))
	expect(lost(b.events)['total']).toBe(70)
	expect(await writer.count('/home')).toBe(5)
})

it('lets the clock of the server decide whether a bucket is past its deadline', async () => {
	const hoursAgo = (hours: number) => ({ now: () => Date.now() - hours * hour, setTimer: b.desk.clock.setTimer })
	const retention = { minute: hour, hour: 3 * hour, day }
	const late = b.open({ clock: hoursAgo(2), retention })
	const minute = b.desk.minute(2 * hour)
	await late.hit({ key: '/home', hits: 5, minute })
	expect(await late.counts('/home', bucketsOf(minute))).toEqual([5, 0, 5, 5])
	// It does not come back, and what comes later is told the same.
	await late.hit({ key: '/home', hits: 6, minute })
	expect(await b.redis.exists(`{${b.desk.namespace}:0}:hits:minute:${minute / 1_000}`)).toBe(0)
	expect(await late.count('/home')).toBe(11)
	const early = b.open({ clock: hoursAgo(-2), retention })
	await early.hit({ key: '/home', hits: 3, minute: b.desk.minute() })
	expect(await b.open({ retention }).counts('/home', bucketsOf(b.desk.minute()))).toEqual([
		14,
		3,
		3 + ((await sameHour(minute)) ? 11 : 0),
		3 + (sameDay(minute) ? 11 : 0),
	])
	expect(b.events).toEqual([])
})

const sameHour = (minute: number) => Math.floor(minute / hour) === Math.floor(Date.now() / hour)
const sameDay = (minute: number) => Math.floor(minute / day) === Math.floor(Date.now() / day)

it('gives every bucket exactly the deadline at which its script refuses it', async () => {
	const retention = { minute: 90_000, hour: hour, day }
	const writer = b.open({ retention })
	const minute = b.desk.minute()
	await writer.hit({ key: '/home', minute, visitors: ['ada'] })
	const tag = `{${b.desk.namespace}:0}`
	const at = (key: string) => b.redis.call('EXPIRETIME', `${tag}:${key}`)
	expect(await at(`hits:minute:${minute / 1_000}`)).toBe((minute + 60_000 + 90_000) / 1_000)
	const dayStart = Math.floor(minute / day) * day
	expect(await at(`hits:day:${dayStart / 1_000}`)).toBe((dayStart + 2 * day) / 1_000)
	expect(await at(`uniq:day:${dayStart / 1_000}=/home`)).toBe((dayStart + 2 * day) / 1_000)
	expect(await at(`uniq:day:${dayStart / 1_000}*`)).toBe((dayStart + 2 * day) / 1_000)
	expect(await at('hits')).toBe(-1)
})

it('tells the deadline again when only that was lost', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/home', minute })
	const key = `{${b.desk.namespace}:0}:hits:minute:${minute / 1_000}`
	await b.redis.persist(key)
	b.redis.disconnect(true)
	await until(async () => expect(await b.redis.ttl(key)).toBeGreaterThan(0))
	await b.redis.persist(key)
	const [batch] = writer.batches([
		{ key: '/home', minute },
		{ key: '/home', minute: minute - 60_000 },
	])
	b.client.once(answerInstead('LOADING', ({ name }) => name === 'expireat'))
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('LOADING')
	await writer.session.apply(batch!)
	expect(await writer.counts('/home', bucketsOf(minute))).toEqual([3, 2, 3, 3])
})

it('leaves out what a set of the wrong type refuses, says so with the hits, and counts the rest', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	const dayKey = `{${b.desk.namespace}:0}:hits:day:${(Math.floor(minute / day) * day) / 1_000}`
	await writer.hit({ key: '/home', hits: 10, minute })
	await b.redis.set(dayKey, 'not a set')
	expect((await writer.session.apply(writer.batches([{ key: '/home', hits: 40, minute }])[0]!)).status).toBe('applied')
	expect(b.events).toMatchObject([
		{ type: 'error', error: { code: 'ERR_TALLYMARK_STORE_REFUSED', message: expect.stringContaining('40 hits') } },
		{ type: 'rollback', hits: 40, fromSequence: 2, toSequence: 2 },
	])
	await b.redis.del(dayKey)
	b.events.length = 0
	await writer.hit({ key: '/home', hits: 5, minute })
	// The first ten come back with the repaired set, the forty are lost to it for good.
	expect(await writer.counts('/home', bucketsOf(minute))).toEqual([55, 55, 55, 15])
	expect(b.events).toEqual([])
	expect((await writer.session.apply({ kind: 'set', partition: 0, sequence: 4, lane: 'human', key: '/home', hits: 1 })).status).toBe(
		'applied',
	)
})

it('refuses a batch only when every part of it is refused', async () => {
	const writer = b.open()
	await b.redis.set(`{${b.desk.namespace}:0}:hits`, 'not a set')
	const outcome = await writer.session.apply({ kind: 'set', partition: 0, sequence: 1, lane: 'human', key: '/home', hits: 1 })
	expect(outcome).toMatchObject({ status: 'refused', error: { code: 'ERR_TALLYMARK_STORE_REFUSED' } })
	// Whoever gets the outcome tells of it.
	expect(b.events).toEqual([])
	expect(await writer.session.apply({ kind: 'set', partition: 0, sequence: 1, lane: 'human', key: '/home', hits: 1 })).toEqual(outcome)
	await b.redis.del(`{${b.desk.namespace}:0}:hits`)
	expect((await writer.session.apply({ kind: 'set', partition: 0, sequence: 2, lane: 'human', key: '/home', hits: 3 })).status).toBe(
		'applied',
	)
	expect(await writer.count('/home')).toBe(3)
})

it('cuts a batch of many keys, of which a part that arrived is not mistaken for the whole', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/page/0', minute })
	const keys = Array.from({ length: 1_201 }, (_, i) => `/page/${i}`)
	const [batch] = writer.batches(keys.map((key) => ({ key, hits: 2, minute })))
	let scripts = 0
	// Of the three scripts for the hour, the last two are lost.
	b.client.once(async (commands, send) => {
		const results = await send()
		return results.map((result, i) =>
			onKey(':hits:hour:')(commands[i]!) && ++scripts > 1 ? [new Error('Connection is closed.'), null] : result,
		)
	})
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('closed')
	expect(scripts).toBe(3)
	const hourBucket = bucketsOf(minute)[2]!
	await writer.session.apply(batch!)
	const reading = await writer.reading(keys, [total, hourBucket])
	expect([...reading.values]).toEqual(keys.flatMap((_, i) => (i === 0 ? [3, 3] : [2, 2])))
	expect(new Set(reading.applied)).toEqual(new Set([2]))
	expect(await writer.all(hourBucket)).toBe(2_403)
})

it('says of a batch that is there by half which keys have it', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/page/0', minute })
	const keys = Array.from({ length: 1_001 }, (_, i) => `/page/${i}`)
	const [batch] = writer.batches(keys.map((key) => ({ key, minute })))
	// Only the first script of all is executed, and the answer to the others is lost.
	b.client.once(async (commands) => {
		const first = commands.findIndex(onKey('}:hits'))
		const hits = commands.find((command) => String(command.args[2]).endsWith('}:hits'))!
		const reply = await b.redis.call('evalsha', hits.args as string[])
		return commands.map((command, i) => (command === hits ? [null, reply] : [new Error(`Connection is closed ${first} ${i}`), null]))
	})
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('closed')
	const reading = await writer.reading(['/page/0', '/page/1', '/page/499', '/page/500', '/page/1000'], [total])
	expect([...reading.values]).toEqual([2, 1, 1, 0, 0])
	expect([...reading.applied]).toEqual([2, 2, 2, 1, 1])
	const all = await writer.reading('all', [total])
	expect([all.values[0], all.applied[0]]).toEqual([1, 1])
	await writer.session.apply(batch!)
	expect(await writer.all()).toBe(1_002)
})

it('replays sets and deletions in their order', async () => {
	const writer = b.open()
	const minute = b.desk.minute()
	await writer.hit({ key: '/a', hits: 5, minute }, { key: '/b', hits: 7, minute, visitors: ['ada'] })
	await writer.set('/a', 100)
	await writer.hit({ key: '/a', hits: 1, minute })
	await writer.delete('/b')
	await writer.hit({ key: '/b', hits: 2, minute })
	await b.redis.flushall()
	await writer.hit({ key: '/c', hits: 1, minute })
	expect(await writer.counts('/a', bucketsOf(minute))).toEqual([101, 6, 6, 6])
	expect(await writer.counts('/b', bucketsOf(minute))).toEqual([2, 2, 2, 2])
	expect(await writer.all()).toBe(104)
	expect(await writer.list()).toEqual(['/a', '/b', '/c'])
	expect(b.events).toEqual([])
})

it('deletes once, whatever is lost on the way, and answers the same each time', async () => {
	const [writer, other] = [b.open(), b.open()]
	const minute = b.desk.minute()
	await other.hit({ key: '/b', hits: 7, minute, visitors: ['ada'] }, { key: '/a', minute })
	const batch = { kind: 'delete', partition: 0, sequence: 1, key: '/b' } as const
	b.client.once(loseReply, (commands) => commands.some(onKey(':hits')))
	await expect(async () => writer.session.apply(batch)).rejects.toThrow('closed')
	expect(await writer.session.apply(batch)).toEqual({ status: 'applied', existed: true })
	await other.hit({ key: '/b', hits: 3, minute })
	expect(await writer.session.apply(batch)).toEqual({ status: 'duplicate', existed: true })
	expect(await writer.counts('/b', bucketsOf(minute))).toEqual([3, 3, 3, 3])
	expect(await writer.all()).toBe(4)
	expect(await writer.uniques(['/b'])).toBe(0)
	// Nothing of the marks stays behind.
	await writer.session.apply({ kind: 'delete', partition: 0, sequence: 2, key: '/b' })
	const tag = `{${b.desk.namespace}:0}`
	expect(await b.redis.zscore(`${tag}:hits`, '=/b')).toBeNull()
	expect(await b.redis.hget(`${tag}:hits:minute:${minute / 1_000}`, '=/b')).toBeNull()
	expect(await b.redis.keys(`${tag}:uniq*=/b`)).toEqual([])
})

it('keeps no more for a repair than it may, the visitors going first, and tells what it could not send again', async () => {
	await b.end()
	b = bench(server.port, { retainedBytes: 2 ** 20 })
	const writer = b.open()
	const minute = b.desk.minute()
	const visitors = Array.from({ length: 3_000 }, (_, i) => `visitor ${i}`)
	let sent = 0
	for (let round = 0; round < 12; round++) {
		await writer.hit(
			...Array.from({ length: 20 }, (_, i) => ({ key: `/page/${i}`, hits: 3, minute, visitors: visitors.slice(0, 1_000 + 100 * i) })),
		)
		sent += 60
	}
	const known = await writer.uniques(['/page/19'])
	await b.redis.flushall()
	await writer.hit({ key: '/home', hits: 1, minute })
	sent += 1
	// Twelve batches are far below the bound without their visitors.
	expect(await writer.all()).toBe(sent)
	expect(b.events).toEqual([])
	expect(await writer.uniques(['/page/19'])).toBe(known)
	// Batches that are too much by themselves.
	for (let round = 0; round < 4; round++) {
		await writer.hit(...Array.from({ length: 2_000 }, (_, i) => ({ key: `/many/${round}/${i}`, minute })))
		sent += 2_000
	}
	await b.redis.flushall()
	await writer.hit({ key: '/home', hits: 1, minute })
	sent += 1
	const left = await writer.all()
	expect(left).toBeLessThan(sent)
	expect(lost(b.events)).toMatchObject({ total: sent - left, minute: sent - left, hour: sent - left, day: sent - left })
})

it('does not bring back the visitors of a deleted key with the repair of another set', async () => {
	const writer = b.open()
	const [minute, before] = [b.desk.minute(), b.desk.minute(5 * 60_000)]
	await writer.hit({ key: '/b', minute, visitors: ['ada', 'bob'] }, { key: '/c', minute: before, visitors: ['cy'] })
	await writer.delete('/b')
	await writer.hit({ key: '/b', minute, visitors: ['dan'] })
	await b.redis.del(`{${b.desk.namespace}:0}:hits:minute:${before / 1_000}`)
	await writer.hit({ key: '/c', minute: before })
	expect(await writer.counts('/c', bucketsOf(before).slice(0, 2))).toEqual([2, 2])
	expect([await writer.uniques(['/b']), await writer.uniques(['/c'])]).toEqual([1, 1])
	expect(b.events).toEqual([])
})
