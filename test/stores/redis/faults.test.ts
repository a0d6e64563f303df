import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { RedisStore } from '../../../src/redis.ts'
import { bucketsOf, Desk } from '../../../src/testing/contract/desk.ts'
import { freePort, type RedisServer, type RedisServerOptions, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, loseReply, lost, sleep, until } from './support.ts'

const unavailable = { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' }

let servers: RedisServer[] = []
let benches: Bench[] = []
let dirs: string[] = []

afterEach(async () => {
	await Promise.all(benches.map((each) => each.end()))
	await Promise.all(servers.map((server) => server.stop()))
	for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
	servers = []
	benches = []
	dirs = []
})

async function start(options?: RedisServerOptions): Promise<RedisServer> {
	const server = await startRedis(options)
	servers.push(server)
	return server
}

function at(...args: Parameters<typeof bench>): Bench {
	const made = bench(...args)
	benches.push(made)
	return made
}

function temporaryDir(): string {
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-faults-'))
	dirs.push(dir)
	return dir
}

it('keeps what a full server refuses, with nothing of it half there, and counts it when there is room', async () => {
	const server = await start()
	const b = at(server.port)
	const writer = b.open()
	await writer.hit({ key: '/home' })
	await b.redis.config('SET', 'maxmemory', '1')
	const batches = writer.batches([{ key: '/home', hits: 5, visitors: ['ada'] }])
	await expect(async () => writer.session.apply(batches[0]!)).rejects.toMatchObject({
		...unavailable,
		message: expect.stringContaining('OOM'),
	})
	expect(await writer.count('/home')).toBe(1)
	await b.redis.config('SET', 'maxmemory', '0')
	expect((await writer.session.apply(batches[0]!)).status).toBe('applied')
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([6, 1])
	expect(b.events).toEqual([])
})

it('waits out a server that is busy with a script', async () => {
	const server = await start()
	const b = at(server.port)
	const writer = b.open()
	await writer.hit({ key: '/home' })
	await b.redis.config('SET', 'busy-reply-threshold', '20')
	const other = new Redis(server.port)
	const loop = other.eval('while true do end', 0).catch(() => {})
	await sleep(200)
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('BUSY')
	await b.redis.script('KILL')
	await loop
	other.disconnect()
	await writer.session.apply(batch!)
	expect(await writer.count('/home')).toBe(6)
})

it('waits for a server that is loading what it had saved', async () => {
	const dir = temporaryDir()
	const saved = await start({ dir })
	const b = at(saved.port, {}, { enableReadyCheck: false })
	const writer = b.open()
	await writer.hit({ key: '/home' })
	// While it loads it sleeps (10 ms) after each key, and listens to its clients after each 1,024 bytes: every key is longer than that.
	const args = ['--key-load-delay', '10000', '--loading-process-events-interval-bytes', '1024']
	const fillers = Array.from({ length: 1_000 }, (_, i) => [`filler:${i}`, randomBytes(1_100)]).flat()
	await b.redis.mset(fillers)
	await b.redis.save()
	await saved.stop()
	const loaded = start({ dir, port: saved.port, args })
	const [batch] = writer.batches([{ key: '/home', hits: 5, visitors: ['ada'] }])
	await until(async () => {
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({
			...unavailable,
			message: expect.stringContaining('LOADING'),
		})
	})
	await expect(async () => writer.count('/home')).rejects.toThrow('LOADING')
	const admin = new Redis(saved.port, { enableReadyCheck: false })
	await admin.config('SET', 'key-load-delay', '0')
	await loaded
	await until(async () => writer.session.apply(batch!))
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([6, 1])
	expect(b.events).toEqual([])
	admin.disconnect()
})

it('keeps what is refused by a server that could not save (MISCONF), and counts it when it can', async () => {
	const dir = temporaryDir()
	const server = await start({ dir, args: ['--save', '3600 1000000'] })
	const b = at(server.port)
	const writer = b.open()
	await writer.hit({ key: '/home' })
	const save = async (status: 'ok' | 'err') => {
		await b.redis.bgsave()
		await until(async () =>
			expect(await b.redis.info('persistence')).toMatch(new RegExp(`bgsave_in_progress:0[^]*last_bgsave_status:${status}`)),
		)
	}
	// Even root cannot put a file in the place of a directory.
	mkdirSync(join(dir, 'dump.rdb'))
	await save('err')
	const [batch] = writer.batches([{ key: '/home', hits: 5, visitors: ['ada'] }])
	for (let i = 0; i < 2; i++)
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({
			...unavailable,
			message: expect.stringContaining('MISCONF'),
		})
	expect(await writer.count('/home')).toBe(1)
	rmdirSync(join(dir, 'dump.rdb'))
	await save('ok')
	await writer.session.apply(batch!)
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([6, 1])
	expect(b.events).toEqual([])
})

it('waits for a server whose cluster is down', async () => {
	const server = await start({ args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '500'] })
	const b = at(server.port)
	const writer = b.open()
	const slots = async (change: 'ADDSLOTSRANGE' | 'DELSLOTSRANGE', state: 'ok' | 'fail') => {
		await b.redis.call('cluster', change, 0, 16_383)
		await until(async () => expect(await b.redis.call('cluster', 'info')).toContain(`cluster_state:${state}`))
	}
	await slots('ADDSLOTSRANGE', 'ok')
	await writer.hit({ key: '/home' })
	await slots('DELSLOTSRANGE', 'fail')
	const [batch] = writer.batches([{ key: '/home', hits: 5, visitors: ['ada'] }])
	await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({
		...unavailable,
		message: expect.stringContaining('CLUSTERDOWN'),
	})
	await slots('ADDSLOTSRANGE', 'ok')
	await until(async () => writer.session.apply(batch!))
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([6, 1])
	expect(b.events).toEqual([])
})

it('waits while the server is a replica, and counts once when it is the master', async () => {
	const [master, server] = [await start(), await start()]
	const b = at(server.port)
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 10 })
	const copy = new Redis(master.port)
	await copy.replicaof('127.0.0.1', server.port)
	await until(async () => expect(await copy.info('replication')).toContain('master_link_status:up'))
	await copy.replicaof('NO', 'ONE')
	await b.redis.replicaof('127.0.0.1', master.port)
	await until(async () => expect(await b.redis.info('replication')).toContain('master_link_status:up'))
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('READONLY')
	expect(await writer.count('/home')).toBe(10)
	await b.redis.replicaof('NO', 'ONE')
	await writer.session.apply(batch!)
	expect(await writer.count('/home')).toBe(15)
	copy.disconnect()
})

it('acknowledges nothing that fewer replicas have than are asked for, and counts it once when they have it', async () => {
	const [master, replica] = [await start(), await start()]
	const b = at(master.port, { replicasToWaitFor: 1 })
	const writer = b.open()
	const [batch] = writer.batches([{ key: '/home', hits: 5, visitors: ['ada'] }])
	for (let i = 0; i < 2; i++) {
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({
			...unavailable,
			message: expect.stringContaining('NOREPLICAS 0 of 1 replicas have it'),
		})
	}
	const copy = new Redis(replica.port)
	await copy.replicaof('127.0.0.1', master.port)
	await until(async () => expect((await writer.session.apply(batch!)).status).toBe('applied'))
	expect(await copy.zscore(`{${b.desk.namespace}:0}:hits`, '=/home')).toBe('-5')
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([5, 1])
	expect(b.events).toEqual([])
	copy.disconnect()
})

it('brings back what a stale replica lacks that took over', async () => {
	const [master, replica] = [await start(), await start()]
	const b = at(master.port)
	const writer = b.open()
	await writer.hit({ key: '/home', hits: 10 })
	const other = new Redis(replica.port)
	await other.replicaof('127.0.0.1', master.port)
	await until(async () => expect(await other.info('replication')).toContain('master_link_status:up'))
	await other.replicaof('NO', 'ONE')
	for (let i = 0; i < 3; i++) await writer.hit({ key: '/home', hits: 100 })
	// The client is led to the other server, as by a name that now points elsewhere.
	b.redis.options.port = replica.port
	await master.stop()
	await until(async () => expect(await writer.count('/home')).toBe(310))
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	await until(async () => writer.session.apply(batch!))
	expect(await other.zscore(`{${b.desk.namespace}:0}:hits`, '=/home')).toBe('-315')
	expect(b.events).toEqual([])
	other.disconnect()
})

it.each(['requirepass', 'acl'])('says that it is not let in (%s), keeps the hits, and counts them when it is', async (kind) => {
	const server = await start(kind === 'acl' ? {} : { args: ['--requirepass', 'secret'] })
	const admin = new Redis(server.port, kind === 'acl' ? {} : { password: 'secret' })
	if (kind === 'acl') await admin.acl('SETUSER', 'counter', 'on', '>secret', '~*', '&*', '+@all', '-zadd')
	const b = at(server.port, {}, kind === 'acl' ? { username: 'counter', password: 'secret' } : { enableReadyCheck: false })
	const writer = b.open()
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	for (let i = 0; i < 2; i++) {
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject({
			...unavailable,
			message: expect.stringMatching(
				kind === 'acl' ? /does not let this client in.*(NOPERM|can't run this command|zadd)/i : /does not let this client in.*NOAUTH/,
			),
		})
	}
	if (kind === 'acl') await admin.acl('SETUSER', 'counter', '+zadd')
	else await admin.config('SET', 'requirepass', '')
	await until(async () => writer.session.apply(batch!))
	expect(await writer.count('/home')).toBe(5)
	expect(b.events).toEqual([])
	admin.disconnect()
})

it('keeps the hits of a user who may not touch the keys', async () => {
	const server = await start()
	const admin = new Redis(server.port)
	await admin.acl('SETUSER', 'counter', 'on', '>secret', '~*', '&*', '+@all')
	const b = at(server.port, {}, { username: 'counter', password: 'secret' })
	const writer = b.open()
	await writer.hit({ key: '/home' })
	await admin.acl('SETUSER', 'counter', 'resetkeys', '~other:*')
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('does not let this client in')
	await admin.acl('SETUSER', 'counter', '~*')
	await writer.session.apply(batch!)
	expect(await writer.count('/home')).toBe(6)
	expect(b.events).toEqual([])
	admin.disconnect()
})

describe('a server that dies', () => {
	it('is told again what it lost, after kill -9 and a restart from its append-only file', async () => {
		const dir = temporaryDir()
		const options = { dir, args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] }
		let server = await start(options)
		const b = at(server.port)
		const writer = b.open()
		const minute = b.desk.minute()
		for (let i = 0; i < 5; i++) await writer.hit({ key: '/home', hits: 10, minute })
		const [batch] = writer.batches([{ key: '/home', hits: 3, minute }])
		b.client.once(loseReply)
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject(unavailable)
		await server.stop()
		const started = Date.now()
		await expect(async () => writer.count('/home')).rejects.toMatchObject(unavailable)
		await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject(unavailable)
		expect(Date.now() - started).toBeLessThan(1_500)
		server = await start({ ...options, port: server.port })
		await until(async () => writer.session.apply(batch!))
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([53, 53, 53, 53])
		expect(b.events).toEqual([])
	})

	it('is told again what was torn off its append-only file, at any byte, over two restarts', async () => {
		for (const torn of [1, 40, 150, 400, 900]) {
			const dir = temporaryDir()
			const options = { dir, args: ['--appendonly', 'yes', '--appendfsync', 'always', '--aof-use-rdb-preamble', 'no'] }
			let server = await start(options)
			const b = at(server.port)
			const [writer, other] = [b.open(), b.open()]
			const minute = b.desk.minute()
			for (let i = 0; i < 4; i++) {
				await writer.hit({ key: '/home', hits: 1, minute, visitors: [`ada ${i}`] })
				await other.hit({ key: '/home', hits: 100, minute }, { key: '/other', minute })
			}
			const uniques = await writer.uniques(['/home'])
			for (let restart = 0; restart < 2; restart++) {
				await server.stop()
				tear(dir, torn)
				server = await start({ ...options, port: server.port })
				const batches = [writer.batches([{ key: '/home', hits: 1, minute }])[0]!, other.batches([{ key: '/home', hits: 100, minute }])[0]!]
				await until(async () => writer.session.apply(batches[0]!))
				await until(async () => other.session.apply(batches[1]!))
			}
			expect(await writer.counts('/home', bucketsOf(minute))).toEqual([606, 606, 606, 606])
			expect(await writer.counts('/other', bucketsOf(minute))).toEqual([4, 4, 4, 4])
			expect(await writer.uniques(['/home'])).toBe(uniques)
			expect(b.events).toEqual([])
			expect(appendOnlyText(dir)).not.toMatch(/^MULTI\r?$/m)
			await b.end()
			benches = benches.filter((each) => each !== b)
			await server.stop()
		}
	})

	it('has rolled back what it lost for good, and exactly that is reported', async () => {
		const dir = temporaryDir()
		const options = { dir, args: ['--appendonly', 'yes', '--appendfsync', 'always', '--aof-use-rdb-preamble', 'no'] }
		let server = await start(options)
		const b = at(server.port, { retentionMs: 200 })
		const writer = b.open()
		const minute = b.desk.minute()
		for (let i = 1; i <= 8; i++) await writer.hit({ key: `/page/${i}`, hits: i, minute })
		await sleep(500)
		await writer.hit({ key: '/last', hits: 50, minute })
		await server.stop()
		tear(dir, 6_000)
		server = await start({ ...options, port: server.port })
		const [batch] = writer.batches([{ key: '/home', hits: 1_000, minute }])
		await until(async () => writer.session.apply(batch!))
		for (const bucket of bucketsOf(minute)) {
			const left = await writer.all(bucket)
			expect(left).toBe(36 + 50 + 1_000 - (lost(b.events)[bucket.level] ?? 0))
		}
		expect(lost(b.events)['total']).toBeGreaterThan(0)
	})
})

it('answers reads within their time while the server hangs, and counts once when it goes on', async () => {
	const server = await start()
	const b = at(server.port, { readTimeoutMs: 300, writeTimeoutMs: 500 })
	const writer = b.open()
	await writer.hit({ key: '/home' })
	server.pause()
	const start_ = Date.now()
	await expect(async () => writer.count('/home')).rejects.toMatchObject(unavailable)
	expect(Date.now() - start_).toBeLessThan(600)
	const [node] = await writer.session.health()
	expect(node).toMatchObject({ status: 'down', latencyMs: undefined, reason: expect.stringContaining('no answer within 300 ms') })
	const [batch] = writer.batches([{ key: '/home', hits: 5 }])
	for (let i = 0; i < 3; i++) await expect(async () => writer.session.apply(batch!)).rejects.toMatchObject(unavailable)
	server.resume()
	await until(async () => writer.session.apply(batch!))
	await sleep(200)
	expect(await writer.count('/home')).toBe(6)
	expect((await writer.session.health())[0]).toMatchObject({ status: 'up', name: `redis:${server.port}` })
})

it('reads, writes and its health fail fast where there is no server, and all comes right when there is one', async () => {
	const port = await freePort()
	const desk = new Desk(new RedisStore(`redis://127.0.0.1:${port}`, { partitions: 4 }), 'hyperloglog', false)
	const writer = desk.open()
	const begin = Date.now()
	const batches = writer.batches([{ key: '/home', hits: 5 }])
	await expect(async () => writer.session.apply(batches[0]!)).rejects.toMatchObject({
		...unavailable,
		message: expect.stringContaining('ECONNREFUSED'),
	})
	await expect(async () => writer.count('/home')).rejects.toMatchObject(unavailable)
	expect((await writer.session.health())[0]).toMatchObject({ status: 'down', reason: expect.stringContaining('ECONNREFUSED') })
	expect(Date.now() - begin).toBeLessThan(4_000)
	await start({ port })
	await until(async () => writer.session.apply(batches[0]!))
	expect(await writer.count('/home')).toBe(5)
	await desk.close()
})

it.each([
	['its own defaults', {}],
	['nothing repeated', { autoResendUnfulfilledCommands: false }],
	['no retries', { maxRetriesPerRequest: 0, enableOfflineQueue: false }],
	['endless retries', { maxRetriesPerRequest: null }],
	['an own time-out', { commandTimeout: 100 }],
	['a prefix', { keyPrefix: 'app:' }],
	['automatic pipelines', { enableAutoPipelining: true }],
	['RESP2', { protocol: 2 }],
	['RESP3 shapes', { replyMapping: 'resp3' }],
	['a late connection', { lazyConnect: true }],
	['numbers as texts', { stringNumbers: true }],
] as const)('counts once with a client of %s, whose connection breaks again and again', async (_, options) => {
	const server = await start()
	const b = at(server.port, {}, options as object)
	const admin = new Redis(server.port)
	const writer = b.open()
	let sent = 0
	const killing = (async () => {
		for (let i = 0; i < 12; i++) {
			await sleep(25)
			await admin.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
		}
	})()
	const minute = b.desk.minute()
	while (sent < 60) {
		const [batch] = writer.batches([
			{ key: '/home', minute, visitors: ['ada'] },
			{ key: `/page/${sent % 7}`, minute },
		])
		await until(async () => writer.session.apply(batch!))
		sent++
		await sleep(4)
	}
	await killing
	await until(async () => expect(await writer.counts('/home', bucketsOf(minute))).toEqual([sent, sent, sent, sent]))
	expect(await writer.all()).toBe(2 * sent)
	expect((await writer.top({ limit: 1 }))[0]).toEqual(['/home', sent])
	expect((await writer.list()).length).toBe(8)
	expect((await writer.trending(1))[0]!.score).toBeCloseTo(sent, 0)
	expect(await writer.uniques(['/home'])).toBe(1)
	await writer.delete('/home')
	expect([await writer.count('/home'), await writer.uniques(['/home'])]).toEqual([0, 0])
	expect(b.events).toEqual([])
	admin.disconnect()
})

/** Cuts bytes off the end of the newest part of the append-only file. */
function tear(dir: string, bytes: number): void {
	const file = appendOnlyFile(dir)
	truncateSync(file, Math.max(0, statSync(file).size - bytes))
}

function appendOnlyText(dir: string): string {
	return readFileSync(appendOnlyFile(dir), 'latin1')
}

function appendOnlyFile(dir: string): string {
	const files = readdirSync(join(dir, 'appendonlydir')).filter((name) => name.includes('.incr.'))
	return join(dir, 'appendonlydir', files.sort().at(-1)!)
}
