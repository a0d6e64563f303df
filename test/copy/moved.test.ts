/** What is read, or cleared, while its server is started anew or its partition moves: every server has the members of a set in an order of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { numbersOf, opened } from '../../src/copy/opened.ts'
import { compare, copy } from '../../src/copy.ts'
import { Counter, MemoryStore } from '../../src/index.ts'
import { RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import { type Sent, TamperedClient } from '../stores/redis/support.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

const namespace = 'moved'
const uniques = 'set'
/** More than come in a page, in every kind of set. */
const KEYS = 1_300

let memory: MemoryStore
let server: RedisServer
let dir: string
let redis: Redis

beforeAll(async () => {
	memory = new MemoryStore()
	const counter = new Counter({ store: memory, namespace, uniques })
	for (let i = 0; i < KEYS; i++) {
		await counter.hit(`/page/${i}`, { by: 1 + (i % 7), visitor: 'ada' })
		await counter.hit('/many', { visitor: `v${i}` })
	}
	await counter.close()
	// Of our own: it stays when the server is stopped.
	dir = mkdtempSync(join(tmpdir(), 'tallymark-moved-'))
	server = await startRedis({ dir })
	redis = new Redis(server.port, { retryStrategy: () => 20 })
	redis.on('error', () => {})
})

afterAll(async () => {
	redis.disconnect()
	await server.stop()
	rmSync(dir, { recursive: true, force: true })
})

/** It has everything it had, and a new life. */
async function restart(): Promise<void> {
	await redis.save()
	const { port } = server
	const ready = new Promise((resolve) => redis.once('ready', resolve))
	await server.stop()
	server = await startRedis({ dir, port })
	await ready
}

/** A store whose server is started anew before the second page of the first set of each kind; answers which those were. */
function unsteady(): { readonly store: RedisStore; readonly restarts: Set<string> } {
	const restarts = new Set<string>()
	const client = new TamperedClient(redis)
	client.tamper = async (commands, send) => {
		const next = commands.find(({ name, args }) => name.endsWith('scan') && args[1] !== '0')
		const kind = next === undefined ? undefined : kindOf(next)
		if (kind !== undefined && !restarts.has(kind)) {
			restarts.add(kind)
			await restart()
		}
		return send()
	}
	const store = new RedisStore(client, { partitions: 1, name: 'moved', readTimeoutMs: 20_000, writeTimeoutMs: 20_000 })
	return { store, restarts }
}

function kindOf({ name, args }: Sent): string {
	return `${name} ${/:(hits|trend|uniq)/.exec(String(args[0]))?.[1]}`
}

describe('a server that is started anew', () => {
	it('is copied whole, though it was between two pages of a set', async () => {
		await copy({ from: memory, to: new RedisStore(redis, { partitions: 1 }), namespace, uniques })
		const { store, restarts } = unsteady()
		const to = new MemoryStore()
		await copy({ from: store, to, namespace, uniques })
		expect(restarts).toEqual(new Set(['hscan hits', 'zscan hits', 'zscan trend', 'sscan uniq']))
		expect(await compare({ from: memory, to, namespace, uniques })).toMatchObject({ different: 0, examples: [], keys: KEYS + 1 })
	})

	it('is cleared whole', async () => {
		const { store, restarts } = unsteady()
		await opened(store, namespace, numbersOf(namespace, { uniques, uniquesPer: ['total', 'day'] }), async ({ transfer }) => {
			await transfer.clear()
		})
		expect(restarts).toEqual(new Set(['zscan hits']))
		expect(await redis.keys(`{${namespace}:*`)).toEqual([])
	})
})

it('a ring is copied whole while its partitions move', async () => {
	const others = await Promise.all([startRedis(), startRedis()])
	const nodes = others.map(({ url }, i) => ({ name: 'ab'[i]!, url }))
	const ring = (...of: readonly number[]) => new ShardedRedisStore({ nodes: of.map((i) => nodes[i]!), partitions: 1 })
	await copy({ from: memory, to: ring(0), namespace, uniques })
	const to = new MemoryStore()
	const settings = numbersOf(namespace, { uniques })
	const moved: string[] = []
	await opened(ring(0, 1), namespace, settings, async ({ transfer: source }) =>
		opened(to, namespace, settings, async ({ transfer: target }) => {
			let has = 0
			for await (const record of source.snapshot(0, Date.now())) {
				await target.restore([record])
				// After the first page of each kind of set.
				if (record.kind !== 'hits' && record.kind !== 'trend') continue
				const kind = record.kind === 'hits' ? record.bucket.level : record.kind
				if (moved.includes(kind)) continue
				moved.push(kind)
				has = 1 - has
				const { failed } = await ring(has).rebalance({ namespace })
				expect(failed).toEqual([])
			}
		}),
	)
	expect(moved).toEqual(['minute', 'hour', 'day', 'total', 'trend'])
	expect(await compare({ from: memory, to, namespace, uniques })).toMatchObject({ different: 0, examples: [], keys: KEYS + 1 })
	await Promise.all(others.map((other) => other.stop()))
})
