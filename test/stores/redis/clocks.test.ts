/**
 * A server gives way to one with another clock: a replica takes over, or it is started again after its clock was set. Whether a bucket is over is for the
 * clock of the server to say that is asked, and nothing may be lost or doubled by that but the bucket itself.
 */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { bucketsOf, day, type Hit, type Writer } from '../../../src/testing/contract/desk.ts'
import { total } from '../../../src/time/granularity.ts'
import { type OtherClock, otherClocks } from '../../support/other-clock.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, loseReply, until } from './support.ts'

/** How far the clocks are apart. */
const SECONDS = 30

const makeClock = otherClocks()

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

async function start(clock: OtherClock | undefined, dir?: string, port?: number): Promise<RedisServer> {
	const home = dir ?? mkdtempSync(join(tmpdir(), 'tallymark-clocks-'))
	if (dir === undefined) dirs.push(home)
	const args = ['--appendonly', 'yes', '--appendfsync', 'always', '--aof-use-rdb-preamble', 'no', '--repl-diskless-sync-delay', '0']
	const server = await startRedis({ dir: home, args, env: clock?.env ?? {}, ...(port === undefined ? {} : { port }) })
	servers.push(server)
	return server
}

/** One server after the other, and a writer that is led to the one there is. */
interface Place {
	readonly b: Bench
	/** Of the server there is. */
	readonly clock: OtherClock
	/** The server that is to come has all that there is now, and gets nothing more. */
	part(ahead: number): Promise<void>
	/** It is there instead. */
	change(): Promise<void>
}

const kinds: Readonly<Record<string, (ahead: number) => Promise<Place>>> = {
	async 'a replica takes over'(ahead) {
		let clock = makeClock!(ahead)
		let master = await start(clock)
		const b = bench(master.port)
		benches.push(b)
		let next: { clock: OtherClock; server: RedisServer }
		return {
			b,
			get clock() {
				return clock
			},
			async part(ahead) {
				const clock = makeClock!(ahead)
				next = { clock, server: await start(clock) }
				const replica = new Redis(next.server.port)
				await replica.replicaof('127.0.0.1', master.port)
				await until(async () => expect(await replica.info('replication')).toContain('master_link_status:up'))
				expect(await b.redis.wait(1, 5_000)).toBe(1)
				await replica.replicaof('NO', 'ONE')
				replica.disconnect()
			},
			async change() {
				b.redis.options.port = next.server.port
				await master.stop()
				;({ clock, server: master } = next)
			},
		}
	},
	async 'it is started again'(ahead) {
		let clock = makeClock!(ahead)
		let server = await start(clock)
		const b = bench(server.port)
		benches.push(b)
		let next: { ahead: number; bytes: number }
		return {
			b,
			get clock() {
				return clock
			},
			async part(ahead) {
				next = { ahead, bytes: statSync(appendOnlyFile(server.dir)).size }
			},
			async change() {
				await server.stop()
				truncateSync(appendOnlyFile(server.dir), next.bytes)
				clock = makeClock!(next.ahead)
				server = await start(clock, server.dir, server.port)
			},
		}
	},
}

function appendOnlyFile(dir: string): string {
	const files = readdirSync(join(dir, 'appendonlydir')).filter((name) => name.includes('.incr.'))
	return join(dir, 'appendonlydir', files.sort().at(-1)!)
}

/** A minute of the past whose time is over in so many seconds, by our clock. */
function endingMinute(seconds: number) {
	const minute = Math.floor(Date.now() / 60_000 - 10) * 60_000
	const deadline = Math.ceil(Date.now() / 1_000 + seconds)
	const retention = { minute: 1_000 * deadline - minute - 60_000, hour: 31 * day, day: 731 * day }
	return { minute, deadline, settings: { retention, uniquesPer: ['total', 'minute', 'day'] as const } }
}

/** As if our clock were that far ahead. */
function ahead(seconds: number, { desk }: Bench) {
	return { now: () => Date.now() + 1_000 * seconds, setTimer: desk.clock.setTimer }
}

/** Hits that the next server has, some that it lacks, and a batch of which nobody knows whether it is there: 10, 100 and 1,000. */
async function countInto({ b, part }: Place, writer: Writer, minute: number, next: number) {
	const hit = (hits: number, visitor: string) => ({ key: '/home', hits, minute, visitors: [visitor] })
	await writer.hit(hit(10, 'ada'))
	await part(next)
	await writer.hit(hit(100, 'bob'))
	const [batch] = writer.batches([hit(1_000, 'cy')])
	b.client.once(loseReply)
	await expect(async () => writer.session.apply(batch!)).rejects.toThrow('closed')
	return batch!
}

/** Sends one batch until it is taken. */
async function again(writer: Writer, hit: Hit): Promise<void> {
	const [batch] = writer.batches([hit])
	await until(async () => writer.session.apply(batch!))
}

/** A key of a bucket that would stay for ever. */
async function immortals({ redis, desk }: Bench): Promise<string[]> {
	const keys = (await redis.keys(`{${desk.namespace}:0}:*`)).filter((key) => /:(minute|hour|day):\d/.test(key))
	const ttls = await Promise.all(keys.map((key) => redis.pttl(key)))
	return keys.filter((_, i) => ttls[i] === -1)
}

describe.skipIf(makeClock === undefined)('a clock that differs between servers (skipped where there is no C compiler to make one)', () => {
	it('is the one that the scripts see', async () => {
		const { b } = await kinds['it is started again']!(SECONDS)
		const time = (await b.redis.eval("return redis.call('TIME')", 0)) as string[]
		expect(Math.abs(Number(time[0]) - Date.now() / 1_000 - SECONDS)).toBeLessThan(5)
	})

	it('is set on a running server: forwards, a bucket is over, and backwards, it begins anew; all else goes on', async () => {
		const { b, clock } = await kinds['it is started again']!(0)
		const { minute, settings } = endingMinute(SECONDS / 2)
		const writer = b.open(settings)
		await writer.hit({ key: '/home', hits: 10, minute })
		clock.set(SECONDS)
		await writer.hit({ key: '/home', hits: 100, minute })
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([110, 0, 110, 110])
		clock.set(-SECONDS)
		await writer.hit({ key: '/home', hits: 1_000, minute })
		await writer.hit({ key: '/home', hits: 10_000, minute })
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([11_110, 11_000, 11_110, 11_110])
		expect(await immortals(b)).toEqual([])
		expect(b.events).toEqual([])
	})

	it.each(Object.keys(kinds))('when %s and is ahead: a bucket is over, all else is made whole, and nothing comes back', async (kind) => {
		const place = await kinds[kind]!(0)
		const { b } = place
		const { minute, settings } = endingMinute(SECONDS / 2)
		const writer = b.open(settings)
		const batch = await countInto(place, writer, minute, SECONDS)
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([1_110, 1_110, 1_110, 1_110])
		await place.change()
		const begin = Date.now()
		await until(async () => writer.session.apply(batch))
		expect(Date.now() - begin).toBeLessThan(5_000)
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([1_110, 0, 1_110, 1_110])
		expect(await writer.uniques(['/home'])).toBe(3)
		// Nor by hits that come later, though the writer takes the bucket for a living one.
		const late = b.open({ ...settings, clock: ahead(-SECONDS, b) })
		await late.hit({ key: '/home', hits: 7, minute, visitors: ['dan'] })
		await writer.hit({ key: '/home', hits: 5, minute })
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([1_122, 0, 1_122, 1_122])
		expect(await b.redis.exists(`{${b.desk.namespace}:0}:hits:minute:${minute / 1_000}`)).toBe(0)
		expect(await immortals(b)).toEqual([])

		// Back to a clock by which it is not over: it counts again, and only what comes now.
		await place.part(0)
		await place.change()
		await again(writer, { key: '/home', hits: 20_000, minute })
		await again(late, { key: '/home', hits: 50_000, minute })
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([71_122, 70_000, 71_122, 71_122])
		expect(await writer.all()).toBe(71_122)
		expect(await immortals(b)).toEqual([])
		expect(b.events).toEqual([])
	})

	it.each(Object.keys(kinds))(
		'when %s and is behind: a bucket lives on, is made whole and counts, whatever the writer takes it for',
		async (kind) => {
			const place = await kinds[kind]!(SECONDS)
			const { b } = place
			const { minute, deadline, settings } = endingMinute(1.5 * SECONDS)
			const writer = b.open(settings)
			const batch = await countInto(place, writer, minute, 0)
			place.clock.set(2 * SECONDS)
			await place.change()
			await until(async () => writer.session.apply(batch))
			expect(await writer.counts('/home', bucketsOf(minute))).toEqual([1_110, 1_110, 1_110, 1_110])
			const hasty = b.open({ ...settings, clock: ahead(2 * SECONDS, b) })
			await hasty.hit({ key: '/home', hits: 7, minute })
			await writer.hit({ key: '/home', hits: 5, minute })
			expect(await writer.counts('/home', bucketsOf(minute))).toEqual([1_122, 1_122, 1_122, 1_122])
			expect(await hasty.counts('/home', bucketsOf(minute))).toEqual([1_122, 0, 1_122, 1_122])
			expect(await writer.all()).toBe(1_122)
			expect(await b.redis.call('EXPIRETIME', `{${b.desk.namespace}:0}:hits:minute:${minute / 1_000}`)).toBe(deadline)
			expect(await writer.uniques(['/home'], [{ level: 'minute', start: minute }])).toBe(3)
			expect(await immortals(b)).toEqual([])
			expect(b.events).toEqual([])
		},
	)

	it.each(Object.keys(kinds))('when %s and is behind: what the clock before it refused is not counted twice, nor held up', async (kind) => {
		const place = await kinds[kind]!(SECONDS)
		const { b } = place
		const { minute, settings } = endingMinute(1.5 * SECONDS)
		const writer = b.open(settings)
		const batch = await countInto(place, writer, minute, 0)
		place.clock.set(2 * SECONDS)
		await writer.session.apply(batch)
		await writer.hit({ key: '/home', hits: 10_000, minute })
		expect(await writer.counts('/home', bucketsOf(minute))).toEqual([11_110, 0, 11_110, 11_110])
		await place.change()
		await again(writer, { key: '/home', hits: 5, minute })
		expect(await writer.counts('/home', [total, ...bucketsOf(minute).slice(2)])).toEqual([11_115, 11_115, 11_115])
		// What it had before, and what came since; what lies between was given up when the bucket was over.
		expect(await writer.count('/home', { level: 'minute', start: minute })).toBe(15)
		expect(await immortals(b)).toEqual([])
		expect(b.events).toEqual([])
	})
})

it('visitors who come when a bucket is over by the clock of the server leave nothing behind that stays for ever', async () => {
	const b = bench((await start(undefined)).port)
	benches.push(b)
	const { minute, settings } = endingMinute(-SECONDS / 2)
	const writer = b.open({ ...settings, clock: ahead(-SECONDS, b) })
	for (const visitor of ['ada', 'bob', 'cy']) await writer.hit({ key: '/home', minute, visitors: [visitor] })
	expect(await writer.counts('/home', bucketsOf(minute))).toEqual([3, 0, 3, 3])
	expect(await immortals(b)).toEqual([])
})
