import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { type RedisClient, RedisStore } from '../../../src/redis.ts'
import { bucketsOf, Desk, day, hour } from '../../../src/testing/contract/desk.ts'
import { total } from '../../../src/time/granularity.ts'
import { ExactTracker } from '../../../src/visitors/exact.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, hang, loseReply, onKey, sleep, until } from './support.ts'

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

describe('options', () => {
	it('takes a client of ioredis as it is', () => {
		expectTypeOf<Redis>().toExtend<RedisClient>()
		expect(new RedisStore(b.redis).name).toBe(`redis:${server.port}`)
		expect(new RedisStore('redis://localhost').name).toBe('redis:6379')
		expect(new RedisStore('rediss://user:secret@example.org:7000/2', { name: 'eu' }).name).toBe('redis:eu')
	})

	it.each([
		[() => new RedisStore(undefined as never), 'Expected `client` to be a Redis client, or a url'],
		[() => new RedisStore({} as never), 'Expected `client`'],
		[
			() => new RedisStore(Object.assign(b.redis.duplicate({ lazyConnect: true }), { isCluster: true })),
			'RedisClusterStore takes that of a cluster',
		],
		[() => new RedisStore('http://secret@localhost'), 'got "http://s…"'],
		[() => new RedisStore(b.redis, { partitions: 0 }), 'Expected `partitions` to be a whole number from 1 to 1024, got 0 (number)'],
		[() => new RedisStore(b.redis, { retentionMs: 1.5 }), 'Expected `retentionMs`'],
		[() => new RedisStore(b.redis, { name: '' }), 'Expected `name`'],
		[() => new RedisStore(b.redis, { partition: 3 } as never), 'got `partition`'],
	])('refuses what cannot be right (%#)', (make, message) => {
		expect(make).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringContaining(message) }))
	})

	it('refuses a tracker that Redis has no form for', () => {
		const tracker = Object.assign(new ExactTracker(), { kind: 'mine' as never })
		expect(() => b.open({ tracker })).toThrow(
			"of a kind that the Redis store can keep ('hyperloglog', 'set', 'bloom'), got \"mine\" (string)",
		)
	})

	it('says what to install when a url is given and ioredis is absent', async () => {
		vi.doMock('ioredis', () => {
			throw new Error("Cannot find package 'ioredis'")
		})
		const writer = new Desk(new RedisStore(server.url), 'set', false).open()
		await expect(async () => writer.count('/home')).rejects.toMatchObject({
			code: 'ERR_TALLYMARK_SETUP',
			message: expect.stringContaining('npm install ioredis'),
		})
		vi.doUnmock('ioredis')
	})

	it('closes the client that it made for a url, and no other', async () => {
		const connections = async () =>
			String(await b.redis.client('LIST'))
				.split('\n')
				.filter((line) => line.includes('name=tallymark')).length
		const store = new RedisStore(server.url)
		const desk = new Desk(store, 'set', false)
		const [first, second] = [desk.open(), desk.open()]
		await first.hit({ key: '/home' })
		expect(await second.count('/home')).toBe(1)
		expect(await connections()).toBe(1)
		await first.session.close()
		expect(await second.count('/home')).toBe(1)
		await second.session.close()
		await until(async () => expect(await connections()).toBe(0))
		expect(await desk.open().count('/home')).toBe(1)
		await desk.close()
		await b.open().hit({ key: '/home' })
		await b.desk.close()
		expect(b.redis.status).toBe('ready')
		expect(b.redis.listenerCount('ready')).toBe(0)
	})
})

describe('settings of a namespace', () => {
	it('are written down by the first counter, and a difference is told with both values', async () => {
		await b.open().count('/home')
		const again = new RedisStore(b.redis, { partitions: 4 })
		const others = [
			[() => new Desk(again, 'hyperloglog', false).open({ namespace: b.desk.namespace }), '`partitions` 1, and this counter has 4'],
			[() => b.open({ uniquesPer: ['total'] }), '`uniquesPer` total, day, and this counter has total'],
			[() => b.open({ tracker: new ExactTracker() }), '`uniques` hyperloglog, and this counter has set'],
			[() => b.open({ retention: { minute: 0, hour, day } }), `\`retention.minute\` ${day}, and this counter has 0`],
		] as const
		for (const [open, message] of others) {
			const writer = open()
			for (const call of [() => writer.count('/home'), () => writer.session.apply(writer.batches([{ key: '/home' }])[0]!)]) {
				await expect(async () => call()).rejects.toMatchObject({
					code: 'ERR_TALLYMARK_MISMATCH',
					message: expect.stringContaining(message),
				})
			}
		}
		expect(await b.open().count('/home')).toBe(0)
	})

	it('that are no settings are a mismatch too', async () => {
		await b.redis.hset(`${b.desk.namespace}:meta`, 'settings', 'nonsense')
		await expect(async () => b.open().count('/home')).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
	})

	it('are written again when the server was wiped', async () => {
		const writer = b.open()
		await writer.hit({ key: '/home' })
		await b.redis.flushall()
		b.redis.disconnect(true)
		await until(async () => expect(await b.redis.exists(`${b.desk.namespace}:meta`)).toBe(1))
	})
})

it('says that a server which evicts is the wrong one', async () => {
	const evicting = await startRedis({ args: ['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'] })
	const other = bench(evicting.port)
	await other.open().hit({ key: '/home' })
	await until(async () => expect(other.events).toMatchObject([{ type: 'error', error: { code: 'ERR_TALLYMARK_SETUP' } }]))
	await other.end()
	await evicting.stop()
})

describe('on the wire', () => {
	it('a flush of all partitions is one pipeline, and so is each reading', async () => {
		await b.end()
		b = bench(server.port, { partitions: 16 })
		const writer = b.open()
		const keys = Array.from({ length: 200 }, (_, i) => `/page/${i}`)
		const hit = () => writer.hit(...keys.map((key) => ({ key, visitors: ['ada'] })))
		await hit()
		// The session clears away writers that are gone, in the background.
		await sleep(200)
		const trips = async (act: () => unknown) => {
			const before = b.client.pipelines.length
			await act()
			return b.client.pipelines.length - before
		}
		expect(await trips(hit)).toBe(1)
		const start = b.desk.minute()
		const minutes = Array.from({ length: 1_440 }, (_, i) => ({ level: 'minute' as const, start: start - i * 60_000 }))
		expect(await trips(() => writer.counts('/page/1', minutes))).toBe(1)
		expect(await trips(() => writer.reading(keys, bucketsOf(start)))).toBe(1)
		expect(await trips(() => writer.all())).toBe(1)
		expect(await trips(() => writer.top({ limit: 10 }))).toBe(1)
		expect(await trips(() => writer.trending(10))).toBeLessThanOrEqual(2)
		expect(await trips(() => writer.uniques(keys))).toBe(1)
	})

	it('nothing of a visitor is sent but changed registers, nothing of Redis is asked without a bound, nothing is a transaction', async () => {
		const writer = b.open()
		const visitor = 'ada@example.org'
		await writer.hit({ key: '/home', visitors: [visitor] })
		await writer.top({ by: 'uniques' })
		await writer.top({ prefix: '/h' })
		await writer.list()
		await writer.uniques('all')
		await writer.trending()
		await writer.delete('/home')
		const sent = b.client.pipelines.flat()
		expect(sent.some(({ args }) => args.some((arg) => Buffer.from(String(arg)).includes('ada')))).toBe(false)
		const names = new Set(sent.map(({ name }) => name))
		for (const name of ['keys', 'multi', 'exec', 'smembers', 'hgetall', 'scan', 'eval']) expect(names).not.toContain(name)
		for (const { args } of sent.filter(({ name }) => name === 'pfadd'))
			for (const element of args.slice(1)) expect((element as Buffer).length).toBe(8)
		for (const { name, args } of sent) if (name === 'zrange') expect(Number(args[2]) - Number(args[1])).toBeLessThanOrEqual(2_000)
	})

	it('a big crowd is sent as a sketch, and merged', async () => {
		const writer = b.open()
		const crowd = Array.from({ length: 8_000 }, (_, i) => `visitor ${i}`)
		await writer.hit({ key: '/home', visitors: ['early', ...crowd.slice(0, 10)] })
		const [batch] = writer.batches([{ key: '/home', visitors: crowd }])
		b.client.once(loseReply)
		await expect(async () => writer.session.apply(batch!)).rejects.toThrow('closed')
		await writer.session.apply(batch!)
		expect(b.client.pipelines.flat().some(({ name }) => name === 'pfmerge')).toBe(true)
		expect(await writer.uniques(['/home'])).toBe(writer.estimate(['early', ...crowd]))
		expect(await b.redis.keys('*tmp*')).toEqual([])
	})

	it('visitors that a key refuses are reported, and the hits count', async () => {
		const writer = b.open()
		await b.redis.set(`{${b.desk.namespace}:0}:uniq=/home`, 'not a sketch')
		await writer.hit({ key: '/home', visitors: ['ada'] })
		expect(await writer.count('/home')).toBe(1)
		expect(b.events).toMatchObject([{ type: 'error', error: { code: 'ERR_TALLYMARK_STORE_REFUSED' } }])
		await expect(async () => writer.uniques(['/home'])).rejects.toThrow()
	})
})

describe('lists', () => {
	it('ranks among thousands of equals and unequals as memory does, over one bucket and over many', async () => {
		await b.end()
		b = bench(server.port, { partitions: 3 })
		const writer = b.open({ retention: { minute: day, hour: day, day: 5 * day } })
		const minutes = [0, hour, 2 * hour, day, 2 * day].map((ago) => b.desk.minute(ago))
		const expected = new Map<string, number>()
		let state = 1
		const random = (below: number) => {
			state = (state * 48_271) % 0x7fffffff
			return state % below
		}
		for (const minute of minutes) {
			const hits = Array.from({ length: 1_500 }, (_, i) => ({ key: `/page/${i}`, hits: 1 + random(random(40) === 0 ? 1_000 : 6), minute }))
			for (const { key, hits: more } of hits) expected.set(key, (expected.get(key) ?? 0) + more)
			await writer.hit(...hits)
		}
		const best = (limit: number, prefix = '') =>
			[...expected]
				.filter(([key]) => key.startsWith(prefix))
				.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
				.slice(0, limit)
		const days = [0, day, 2 * day].map((ago) => ({ level: 'day' as const, start: Math.floor((Date.now() - ago) / day) * day }))
		const mixed = [
			days[1]!,
			days[2]!,
			...[...new Set(minutes.map((minute) => Math.floor(minute / hour) * hour))]
				.filter((start) => start >= days[0]!.start)
				.map((start) => ({ level: 'hour' as const, start })),
		]
		for (const limit of [1, 10, 777, 5_000]) {
			expect(await writer.top({ limit })).toEqual(best(limit))
			expect(await writer.top({ limit, buckets: days })).toEqual(best(limit))
			expect(await writer.top({ limit, buckets: mixed })).toEqual(best(limit))
			expect(await writer.top({ limit, prefix: '/page/14' })).toEqual(best(limit, '/page/14'))
			expect(await writer.top({ limit, prefix: '/page/14', buckets: mixed })).toEqual(best(limit, '/page/14'))
		}
		expect(await writer.list('', 700)).toEqual([...expected.keys()].sort())
	}, 60_000)

	it('takes a prefix as text, whatever patterns are made of', async () => {
		const writer = b.open()
		const keys = ['*', '*a', '[ab]', 'a', 'b', '\\', '\\*', '?', 'x-y', '^a', '[^a]']
		await writer.hit(...keys.map((key) => ({ key })))
		for (const key of keys) {
			const expected = keys.filter((other) => other.startsWith(key)).sort()
			expect(await writer.list(key)).toEqual(expected)
			const hours = [bucketsOf(b.desk.minute())[2]!]
			expect((await writer.top({ prefix: key, buckets: hours })).map(([name]) => name)).toEqual(expected)
		}
	})

	it('keeps what trends over the end of an epoch', async () => {
		const halfLife = 60_000
		const epoch = 64 * halfLife
		const now = Math.floor(Date.now() / epoch) * epoch
		const at = (time: number) => ({ now: () => time, setTimer: b.desk.clock.setTimer })
		const before = b.open({ trendHalfLifeMs: halfLife, clock: at(now - 60_000) })
		await before.hit({ key: '/home', hits: 8, minute: now - 60_000 }, { key: '/old', hits: 100, minute: now - 60_000 })
		const after = b.open({ trendHalfLifeMs: halfLife, clock: at(now + 60_000) })
		await after.hit({ key: '/home', hits: 16, minute: now + 60_000 }, { key: '/new', hits: 1, minute: now })
		const trend = await after.trending(10, now + 60_000)
		expect(trend).toEqual([
			{ key: '/old', score: 25 },
			{ key: '/home', score: 18 },
			{ key: '/new', score: 0.5 },
		])
		expect((await after.trending(1, now + 60_000)).length).toBe(1)
	})

	it('finds the most visitors among keys with more hits', async () => {
		const writer = b.open()
		await writer.hit(...Array.from({ length: 600 }, (_, i) => ({ key: `/loud/${i}`, hits: 1_000 + i, visitors: ['ada'] })))
		await writer.hit(...Array.from({ length: 30 }, (_, i) => ({ key: '/quiet', visitors: [`visitor ${i}`] })))
		expect((await writer.top({ by: 'uniques', limit: 2 })).map(([key]) => key)).toEqual(['/quiet', '/loud/0'])
	})
})

describe('claims', () => {
	it('know their own when the reply was lost', async () => {
		const [writer, other] = [b.open(), b.open()]
		await Promise.all([writer.count('/home'), other.count('/home')])
		const claim = writer.claim('00000000000000aa')
		for (const spoil of [loseReply, hang]) {
			b.client.once(spoil)
			await expect(async () => writer.session.claim(claim)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
		}
		expect(await other.session.claim(claim)).toBe(false)
		expect(await writer.session.claim(claim)).toBe(true)
		expect(await writer.session.claim(claim)).toBe(false)
		await b.redis.script('FLUSH')
		await other.session.release(claim)
		expect(await other.session.claim(claim)).toBe(false)
		await writer.session.release(claim)
		expect(await other.session.claim(claim)).toBe(true)
	})
})

describe('writers that are gone', () => {
	const week = 7 * 86_400
	const writersKey = () => `${b.desk.namespace}:writers`
	const members = async () => (await b.redis.zrange(`{${b.desk.namespace}:0}:hits`, '0', '-1')).filter((member) => member.startsWith('#'))

	it('are cleared away a week after they were last seen, and nobody else is', async () => {
		const [gone, here] = [b.open(), b.open()]
		await gone.hit({ key: '/home', hits: 5 })
		await here.hit({ key: '/home', hits: 7 })
		await b.redis.zincrby(writersKey(), -week - 10, gone.id)
		const next = b.open()
		await next.count('/home')
		await until(async () => expect(await members()).toEqual([`#${here.id}`]))
		await here.hit({ key: '/home', hits: 1 })
		expect(await next.count('/home')).toBe(13)
	})

	it('that come back count on under another name, and say what they cannot know', async () => {
		const away = bench(server.port, { retentionMs: 600_000 })
		const gone = away.open({ namespace: b.desk.namespace })
		await gone.hit({ key: '/home', hits: 5 })
		const [batch] = gone.batches([{ key: '/home', hits: 30 }])
		away.client.once(loseReply, (commands) => commands.some(onKey('}:hits')))
		await expect(async () => gone.session.apply(batch!)).rejects.toThrow()
		away.redis.disconnect()
		await b.redis.zincrby(writersKey(), -week - 10, gone.id)
		await b.open().count('/home')
		await until(async () => expect(await members()).toEqual([]))
		await away.redis.connect()
		await until(async () => expect((await gone.session.apply(batch!)).status).toBe('refused'))
		await gone.hit({ key: '/home', hits: 200 })
		await gone.hit({ key: '/home', hits: 200 })
		expect(await members()).toEqual([`#${gone.id}.1`])
		expect(await gone.count('/home')).toBe(435)
		expect((await gone.reading(['/home'], [total])).applied[0]).toBe(gone.sequence('/home'))
		await b.redis.flushall()
		await gone.hit({ key: '/home', hits: 1 })
		expect(await gone.count('/home')).toBe(401)
		await away.end()
	})

	it('are not mistaken for a server that was wiped', async () => {
		const writer = b.open()
		await writer.hit({ key: '/home', hits: 5 })
		await b.redis.flushall()
		b.redis.disconnect(true)
		await until(async () => expect(await writer.count('/home')).toBe(5))
		expect(await members()).toEqual([`#${writer.id}`])
		expect(b.events).toEqual([])
	})
})

it('lets keys of any text count where they should, and nowhere else', async () => {
	await b.end()
	b = bench(server.port, { partitions: 8 })
	const writer = b.open()
	const keys = [
		'}',
		'{',
		'}{x}',
		'{tm:0}:hits',
		'*',
		'#',
		`#${writer.id}`,
		'=',
		'',
		':',
		'\n',
		'\0',
		'__proto__',
		'hits',
		'0.5',
		'😀',
		' ',
		'%s',
	]
	await writer.hit(...keys.map((key, i) => ({ key, hits: i + 1, visitors: [`only ${key}`, `other ${key}`] })))
	for (const [i, key] of keys.entries()) expect([await writer.count(key), await writer.uniques([key])]).toEqual([i + 1, 2])
	for (const key of await b.redis.keys('*')) expect(key).toMatch(/^(\{[\w-]+:[0-7]\}|[\w-]+:(meta|writers)$)/)
	expect(await writer.top({ limit: 1 })).toEqual([['%s', keys.length]])
})

it('refuses calls after it was closed, and closes twice', async () => {
	const writer = b.open()
	await writer.hit({ key: '/home' })
	const [batch] = writer.batches([{ key: '/home' }])
	await writer.session.close()
	await writer.session.close()
	await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_CLOSED' })
})

it('closes in time while the server is away, and says what it could not ask', async () => {
	const away = await startRedis()
	const other = bench(away.port, { writeTimeoutMs: 300 })
	const writer = other.open()
	await writer.hit({ key: '/home' })
	away.pause()
	const start = Date.now()
	await writer.session.close()
	expect(Date.now() - start).toBeLessThan(7_000)
	expect(other.events).toMatchObject([{ type: 'error', error: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } }])
	await other.end()
	await away.stop()
})
