/** Deletions on a server whose append-only file is torn between what a deletion marks and what it takes away. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { numbersOf, opened } from '../../../src/copy/opened.ts'
import { RedisStore } from '../../../src/redis.ts'
import { total } from '../../../src/time/granularity.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench, until } from './support.ts'

const args = ['--appendonly', 'yes', '--appendfsync', 'always', '--aof-use-rdb-preamble', 'no']
let dir: string
let server: RedisServer
let b: Bench
/** How long the file was before each pipeline that sweeps. */
let sweepsAt: number[]

beforeEach(async () => {
	dir = mkdtempSync(join(tmpdir(), 'tallymark-torn-'))
	server = await startRedis({ dir, args })
	b = bench(server.port)
	sweepsAt = []
	b.client.tamper = async (commands, send) => {
		if (commands.some(({ name, args }) => name === 'zremrangebyscore' && args[1] === '0.5')) sweepsAt.push(length())
		return send()
	}
})
afterEach(async () => {
	await b.end()
	await server.stop()
	rmSync(dir, { recursive: true, force: true })
})

function file(): string {
	const folder = join(dir, 'appendonlydir')
	return join(folder, readdirSync(folder).find((name) => name.includes('.incr.'))!)
}

function length(): number {
	return statSync(file()).size
}

/** Kills the server and starts it again with what its file was when it had this length. */
async function goBackTo(bytes: number): Promise<void> {
	await server.stop()
	expect(length()).toBeGreaterThan(bytes)
	truncateSync(file(), bytes)
	server = await startRedis({ dir, args, port: server.port })
}

it('sweeps every lane of a deletion again, whatever was deleted later', async () => {
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada'] }, { key: '/b', lane: 'ai', visitors: ['bot 1'] })
	await writer.delete('/b')
	await writer.hit({ key: '/b', visitors: ['bob'] })
	// Of one lane, the other has nothing of it.
	await writer.delete('/b')
	await goBackTo(sweepsAt[0]!)
	const [batch] = writer.batches([{ key: '/b', lane: 'ai', visitors: ['bot 2'] }])
	await until(async () => writer.session.apply(batch!))
	expect(await writer.uniques(['/b'])).toBe(0)
	expect(await writer.uniques(['/b'], [total], 'ai')).toBe(1)
	expect(b.events).toEqual([])
})

it('sweeps again what was swept after later hits, which have taken the place of the mark', async () => {
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada'] })
	const before = length()
	await writer.delete('/b')
	await writer.hit({ key: '/b', visitors: ['bob'] })
	await goBackTo(before)
	const [first] = writer.batches([{ key: '/c' }])
	await until(async () => writer.session.apply(first!))
	expect(sweepsAt.length).toBeGreaterThan(1)
	await goBackTo(sweepsAt[1]!)
	const [batch] = writer.batches([{ key: '/c' }])
	await until(async () => writer.session.apply(batch!))
	expect([await writer.count('/b'), await writer.uniques(['/b'])]).toEqual([1, 1])
	expect(b.events).toEqual([])
})

/** Redis 7.0 leaves the beginning of a torn transaction in the file, and with the second restart takes for a part of it whatever was written since the first. */
it('costs nothing of what is counted after the restart, wherever in the deletion the file was torn', async () => {
	// From where the mark of the partition is named, which goes with the visitors.
	for (const torn of [-60, -20, 3, 12, 40, 150, 300]) {
		const { namespace } = b.desk
		/** Takes the server down, with nobody left who could send anything again. */
		const restart = async (bytes?: number) => {
			await b.end()
			await server.stop()
			if (bytes === undefined) server = await startRedis({ dir, args, port: server.port })
			else await goBackTo(bytes)
			b = bench(server.port)
			return b.open({ namespace })
		}
		const writer = b.open()
		for (let i = 0; i < 3; i++) await writer.hit({ key: '/a', visitors: ['ada', 'bob'] })
		await writer.delete('/a')
		const text = readFileSync(file(), 'latin1')
		const next = await restart(text.indexOf(':deletions', text.search(/unlink(?!.*unlink)/is)) + torn)
		await next.hit({ key: '/b', hits: 10, visitors: ['cem'] })
		const last = await restart()
		expect([torn, await last.count('/b'), await last.uniques(['/b'])]).toEqual([torn, 10, 1])
	}
})

it('nothing that a store does is a transaction', async () => {
	const { namespace } = b.desk
	const writer = b.open()
	const crowd = Array.from({ length: 700 }, (_, i) => `visitor ${i}`)
	for (const visitors of [['ada'], crowd, crowd.slice(0, 100)])
		await writer.hit({ key: '/a', visitors }, { key: '/b', lane: 'bot', visitors })
	await writer.delete('/a')
	await writer.hit({ key: '/a', visitors: ['ada'] })
	const store = new RedisStore(`redis://127.0.0.1:${server.port}`, { partitions: 1 })
	await opened(store, namespace, numbersOf(namespace, { uniques: 'hyperloglog' }), async ({ transfer }) => transfer.clear())
	expect(await b.redis.keys(`{${namespace}:0}*uniq*`)).toEqual([])
	expect(readFileSync(file(), 'latin1')).not.toMatch(/^MULTI\r?$/m)
})

/** Makes the server what it was before the first pipeline that sweeps, once that was sent; the connection holds. */
function rememberForGoingBack(): () => Promise<void> {
	let then: [string, Buffer][] | undefined
	b.client.tamper = async (commands, send) => {
		if (then === undefined && commands.some(({ name, args }) => name === 'zremrangebyscore' && args[1] === '0.5')) {
			const keys = await b.redis.keys(`{${b.desk.namespace}:0}*`)
			then = await Promise.all(keys.map(async (key): Promise<[string, Buffer]> => [key, await b.redis.dumpBuffer(key)]))
		}
		return send()
	}
	return async () => {
		await b.redis.flushall()
		for (const [key, value] of then!) await b.redis.restore(key, 0, value)
	}
}

it('sweeps again on a server that went back behind a connection that held', async () => {
	const goBack = rememberForGoingBack()
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada'] }, { key: '/b', lane: 'ai', visitors: ['bot 1'] })
	await writer.delete('/b')
	await writer.hit({ key: '/b', visitors: ['bob'] })
	await goBack()
	await writer.hit({ key: '/c' })
	expect([await writer.uniques(['/b']), await writer.uniques(['/b'], [total], 'ai')]).toEqual([1, 0])
})

it('finds by itself that only a sweep was lost', async () => {
	await b.end()
	b = bench(server.port, { retentionMs: 900 })
	const goBack = rememberForGoingBack()
	const writer = b.open()
	await writer.hit({ key: '/b', visitors: ['ada'] })
	await writer.delete('/b')
	await goBack()
	expect(await writer.uniques(['/b'])).toBe(1)
	await until(async () => expect(await writer.uniques(['/b'])).toBe(0))
})
