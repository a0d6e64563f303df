import { Cluster } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { RedisClusterStore, type RedisClusterStoreOptions } from '../../../../src/redis.ts'
import { slotOf } from '../../../../src/stores/redis/cluster/slot.ts'
import type { StoreEvent } from '../../../../src/stores/store.ts'
import { bucketsOf, Desk, type Writer } from '../../../../src/testing/contract/desk.ts'
import type { Bucket } from '../../../../src/time/granularity.ts'
import { RedisCluster } from '../../../support/redis-cluster.ts'
import { until } from '../support.ts'

let redis: RedisCluster
let benches: { desk: Desk; client: Cluster }[] = []

beforeAll(async () => {
	// Where a master is dead, the others go on.
	redis = await RedisCluster.start({ args: ['--cluster-require-full-coverage', 'no'] })
}, 30_000)

afterEach(async () => {
	// What a test that failed has left.
	for (const { server } of redis.members) server.resume()
	await redis.whole()
	for (const { desk, client } of benches) {
		await desk.close()
		client.disconnect()
	}
	benches = []
})

afterAll(async () => {
	await redis?.stop()
})

interface Bench {
	readonly client: Cluster
	readonly desk: Desk
	readonly events: StoreEvent[]
	readonly writer: Writer
	/** A key of this partition. */
	key(partition: number): string
	slot(partition: number): number
}

function bench(options: RedisClusterStoreOptions = {}, clientOptions: object = {}): Bench {
	const client = new Cluster(redis.addresses, clientOptions)
	client.on('error', () => {})
	const store = new RedisClusterStore(client, { partitions: 8, writeTimeoutMs: 1_000, readTimeoutMs: 1_000, ...options })
	const desk = new Desk(store, 'hyperloglog', false)
	benches.push({ desk, client })
	const events: StoreEvent[] = []
	const writer = desk.open({ report: (event) => void events.push(event) })
	const key = (partition: number) => {
		for (let i = 0; ; i++) if (writer.partition(`/page/${i}`) === partition) return `/page/${i}`
	}
	return { client, desk, events, writer, key, slot: (partition) => slotOf(`{${desk.namespace}:${partition}}`) }
}

/** Sends a hit until it is stored. */
async function hit({ writer }: Bench, ...hits: Parameters<Writer['batches']>[0]): Promise<void> {
	await Promise.all(writer.batches(hits).map((batch) => until(async () => writer.session.apply(batch), 15_000)))
}

async function otherMaster(slot: number) {
	const owner = await redis.masterOf(slot)
	return (await redis.masters()).find((member) => member !== owner)!
}

it.each([
	['its defaults', {}],
	['a prefix', { redisOptions: { keyPrefix: 'app:' } }],
	['a prefix with a tag', { redisOptions: { keyPrefix: '{app}:' } }],
	['automatic pipelines', { enableAutoPipelining: true }],
	['reads from replicas', { scaleReads: 'slave' }],
	['a late connection', { lazyConnect: true }],
	['nothing repeated', { enableOfflineQueue: false, redisOptions: { maxRetriesPerRequest: 0, enableOfflineQueue: false } }],
	['nodes that reconnect', { clusterNodeRetryStrategy: () => 50 }],
	['RESP2', { redisOptions: { protocol: 2 } }],
] as const)('follows a slot that moves, with a client of %s', async (_, clientOptions) => {
	const b = bench({}, clientOptions)
	const prefix = b.client.options.keyPrefix ?? ''
	const key = b.key(3)
	const name = `${prefix}{${b.desk.namespace}:3}:hits`
	const slot = slotOf(name)
	await hit(b, { key, hits: 5, visitors: ['ada'] })
	for (let i = 0; i < 3; i++) {
		const target = await otherMaster(slot)
		let steps = 0
		await redis.moveSlot(slot, target, async () => {
			if (steps++ !== 1) return
			// Some of its keys are there by now, the others are not.
			expect(await b.writer.counts(key, bucketsOf(b.desk.minute()))).toEqual([5 + 2 * i, 5 + 2 * i, 5 + 2 * i, 5 + 2 * i])
			await hit(b, { key, visitors: ['eve'] })
		})
		expect(await b.writer.count(key)).toBe(6 + 2 * i)
		await hit(b, { key, visitors: ['bob'] }, { key: b.key(4) })
		expect(await target.admin.zscore(name, `=${key}`)).toBe(String(-(7 + 2 * i)))
	}
	expect([await b.writer.uniques([key]), await b.writer.count(b.key(4))]).toEqual([3, 3])
	expect(b.events).toEqual([])
})

it('counts and reads in a slot that is half here and half there, for as long as that lasts', async () => {
	const b = bench()
	const slot = b.slot(2)
	const keys = Array.from({ length: 400 }, (_, i) => `/page/${i}`).filter((key) => b.writer.partition(key) === 2)
	const many = Array.from({ length: 2_000 }, (_, i) => `visitor ${i}`)
	const minute = b.desk.minute()
	// A chart of so many is asked for at once, and of some nobody has anything.
	const chart = Array.from({ length: 20 }, (_, i): Bucket => ({ level: 'minute', start: minute - (1 + i) * 60_000 }))
	const charted = chart.map((_, i) => (i % 5 === 4 ? 0 : 1 + i))
	await hit(b, ...chart.map(({ start }, i) => ({ key: keys[4]!, minute: start, hits: charted[i]! })).filter(({ hits }) => hits > 0))
	await hit(b, ...keys.map((key) => ({ key, minute, visitors: ['ada'] })), { key: keys[0]!, minute, hits: 4 })
	const [source, target] = [await redis.masterOf(slot), await otherMaster(slot)]
	await target.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id)
	await source.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id)
	const names = (await source.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 1_000)) as string[]
	await source.admin.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5_000, 'KEYS', ...names.filter((_, i) => i % 2 === 0))
	// New names, and such as are on either side.
	for (let i = 0; i < 3; i++) await hit(b, ...keys.map((key) => ({ key, minute, visitors: ['ada', `bob ${i}`] })))
	expect(await b.writer.counts(keys[1]!, bucketsOf(minute))).toEqual([4, 4, 4, 4])
	expect(await b.writer.counts(keys[4]!, chart)).toEqual(charted)
	expect(await b.writer.uniques([keys[1]!])).toBe(4)
	const charting = charted.reduce((sum, hits) => sum + hits)
	expect(await b.writer.all()).toBe(4 * keys.length + 4 + charting)
	expect((await b.writer.top({ limit: 1 }))[0]).toEqual([keys[4]!, 4 + charting])
	// Who closes asks about all that he sent, here and there.
	const leaver = b.desk.open({ report: (event) => void b.events.push(event) })
	await hit({ ...b, writer: leaver }, ...chart.map(({ start }) => ({ key: keys[5]!, minute: start })))
	await leaver.session.close()
	expect(b.events).toEqual([])
	// A whole sketch is merged with another one, which must be where it is: that waits for the end of the move.
	const crowded = hit(b, { key: keys[3]!, minute, visitors: many })
	await redis.moveSlot(slot, target)
	await crowded
	expect(await b.writer.count(keys[3]!)).toBe(5)
	expect(await b.writer.counts(keys[4]!, chart)).toEqual(charted)
	expect(await b.writer.uniques([keys[3]!])).toBeGreaterThan(1_900)
	expect((await b.writer.delete(keys[2]!)).existed).toBe(true)
	expect(await b.writer.count(keys[2]!)).toBe(0)
	expect(await source.admin.call('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(0)
	expect(b.events).toEqual([])
})

it('brings back what a replica lacks that took over, also where nothing more is counted', async () => {
	// So that nobody looks by the clock.
	const b = bench({ retentionMs: 600_000 })
	const minute = b.desk.minute()
	const partitions = [0, 1, 2, 3, 4, 5, 6, 7]
	await hit(b, ...partitions.map((partition) => ({ key: b.key(partition), minute, hits: 10 })))
	const master = await redis.masterOf(b.slot(1))
	const [replica] = await redis.replicasOf(master)
	const catchUp = await redis.holdBack(replica!, master)
	await hit(b, ...partitions.map((partition) => ({ key: b.key(partition), minute, hits: 100, visitors: ['ada'] })))
	await redis.failOver(replica!, 'TAKEOVER')
	await catchUp()
	// Whatever is sent finds that a slot has moved, and then all of that server's sets are asked about.
	await hit(b, { key: b.key(1), minute })
	for (const partition of partitions) {
		const sum = partition === 1 ? 111 : 110
		const key = `{${b.desk.namespace}:${partition}}:hits`
		await redis.until(`partition ${partition} has what it lost`, async () => {
			const { admin } = await redis.masterOf(b.slot(partition))
			return (await admin.zscore(key, `=${b.key(partition)}`)) === String(-sum)
		})
		expect(await b.writer.counts(b.key(partition), bucketsOf(minute))).toEqual([sum, sum, sum, sum])
		expect(await b.writer.uniques([b.key(partition)])).toBe(1)
	}
	expect(b.events).toEqual([])
})

it('goes on with the other masters while one is dead, says which, and counts once when a replica has taken over', async () => {
	const b = bench({ readTimeoutMs: 500 })
	await hit(b, ...[0, 1, 2, 3, 4, 5, 6, 7].map((partition) => ({ key: b.key(partition) })))
	await until(async () =>
		expect((await b.writer.session.health()).map(({ role, status }) => `${role} ${status}`).sort()).toEqual([
			...Array(3).fill('master up'),
			...Array(3).fill('replica up'),
		]),
	)
	const dead = await redis.masterOf(b.slot(0))
	const [replica] = await redis.replicasOf(dead)
	const owners = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((partition) => redis.masterOf(b.slot(partition))))
	const alive = owners.findIndex((owner) => owner !== dead)
	// So that nobody takes over yet.
	replica!.server.pause()
	await redis.kill(dead)
	const [lost] = b.writer.batches([{ key: b.key(0), hits: 5 }])
	await expect(async () => b.writer.session.apply(lost!)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' })
	// The scripts are forgotten too: they are loaded where somebody is there.
	for (const owner of new Set(owners)) if (owner !== dead) await owner.admin.script('FLUSH')
	await hit(b, { key: b.key(alive), hits: 5 })
	expect(await b.writer.count(b.key(alive))).toBe(6)
	const down = (await b.writer.session.health()).filter(({ status }) => status === 'down')
	expect(down).toContainEqual(expect.objectContaining({ name: `redis:127.0.0.1:${dead.port}`, role: 'master', reason: expect.any(String) }))
	replica!.server.resume()
	await until(async () => b.writer.session.apply(lost!), 15_000)
	expect(await b.writer.count(b.key(0))).toBe(6)
	await redis.restart(dead)
	expect(b.events).toEqual([])
}, 40_000)

it('gives back to a master what it forgot when it was started again, before anybody took over', async () => {
	// So that nobody looks by the clock.
	const b = bench({ retentionMs: 600_000 })
	const partitions = [0, 1, 2, 3, 4, 5, 6, 7]
	await hit(b, ...partitions.map((partition) => ({ key: b.key(partition), hits: 10, visitors: ['ada'] })))
	const master = await redis.masterOf(b.slot(0))
	await redis.kill(master)
	await redis.restart(master)
	await hit(b, { key: b.key(0) })
	for (const partition of partitions) {
		const key = `{${b.desk.namespace}:${partition}}:hits`
		await redis.until(`partition ${partition} has what it forgot`, async () => {
			const { admin } = await redis.masterOf(b.slot(partition))
			return (await admin.zscore(key, `=${b.key(partition)}`)) === (partition === 0 ? '-11' : '-10')
		})
		expect(await b.writer.uniques([b.key(partition)])).toBe(1)
	}
	expect(b.events).toEqual([])
}, 40_000)

it('leaves a master that hangs for the one that takes over', async () => {
	const b = bench({ readTimeoutMs: 500, writeTimeoutMs: 500 })
	await hit(b, { key: b.key(5), hits: 10 })
	const hanging = await redis.masterOf(b.slot(5))
	hanging.server.pause()
	await hit(b, { key: b.key(5), hits: 100 })
	hanging.server.resume()
	await redis.whole()
	await hit(b, { key: b.key(5), hits: 1_000 })
	await until(async () => expect(await b.writer.count(b.key(5))).toBe(1_110))
	expect(b.events).toEqual([])
}, 40_000)

it('acknowledges nothing that fewer replicas have than are asked for', async () => {
	const b = bench({ replicasToWaitFor: 1 })
	await hit(b, { key: b.key(6), hits: 10 })
	const master = await redis.masterOf(b.slot(6))
	const [replica] = await redis.replicasOf(master)
	const catchUp = await redis.holdBack(replica!, master)
	const [batch] = b.writer.batches([{ key: b.key(6), hits: 100 }])
	await expect(async () => b.writer.session.apply(batch!)).rejects.toThrow('NOREPLICAS 0 of 1 replicas have it')
	await catchUp()
	expect((await until(async () => b.writer.session.apply(batch!))).status).toBe('applied')
	expect(await b.writer.count(b.key(6))).toBe(110)
	// Through a redirection, too, whoever has it.
	const target = await otherMaster(b.slot(6))
	const [copy] = await redis.replicasOf(target)
	await redis.moveSlot(b.slot(6), target)
	const release = await redis.holdBack(copy!, target)
	const [moved] = b.writer.batches([{ key: b.key(6), hits: 1_000 }])
	await expect(async () => b.writer.session.apply(moved!)).rejects.toThrow('NOREPLICAS')
	await release()
	await until(async () => b.writer.session.apply(moved!))
	expect(await b.writer.count(b.key(6))).toBe(1_110)
	expect(b.events).toEqual([])
}, 40_000)

it('sends what belongs together to each node at once, however many partitions there are', async () => {
	const b = bench({ partitions: 64 })
	const pages = Array.from({ length: 500 }, (_, i) => ({ key: `/page/${i}` }))
	await hit(b, ...pages)
	let writes = 0
	for (const node of b.client.nodes('master')) {
		const { stream } = node as unknown as { stream: { write(...args: unknown[]): boolean } }
		const write = stream.write
		stream.write = (...args) => {
			if (String(args[0]).includes(':hits')) writes++
			return write.apply(stream, args)
		}
	}
	await b.writer.apply(b.writer.batches(pages))
	expect(writes).toBe(3)
	expect(await b.writer.all()).toBe(1_000)
	expect(writes).toBe(6)
})

it('says what it cannot take for a cluster', () => {
	const wrong = { code: 'ERR_TALLYMARK_OPTION' }
	const make = (target: unknown, options?: object) => () => new RedisClusterStore(target as Cluster, options)
	for (const target of [undefined, {}, [], [{}], ['http://localhost'], [{ host: 'a', port: 0 }], ['redis://'], 'redis://localhost'])
		expect(make(target), JSON.stringify(target)).toThrow(expect.objectContaining(wrong))
	const nodes = [{ host: 'localhost', port: 7_000 }, 'redis://:secret@localhost:7001']
	const client = { pipeline() {}, on() {}, nodes() {}, options: { keyPrefix: 'app:', redisOptions: {} } }
	expect(make(client)).toThrow('its keyPrefix in its redisOptions')
	for (const options of [{ replicasToWaitFor: -1 }, { replicasToWaitFor: 17 }, { name: '' }, { nodes: 3 }])
		expect(make(nodes, options), JSON.stringify(options)).toThrow(expect.objectContaining(wrong))
	expect(make(['nonsense://:secret@localhost'])).not.toThrow('secret')
	expect(new RedisClusterStore(['redis://localhost:7000'])).toMatchObject({ name: 'redis:cluster', partitions: 64 })
})
