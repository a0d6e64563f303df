import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Keys } from '../../../../src/stores/redis/keys.ts'
import { Link } from '../../../../src/stores/redis/link.ts'
import { ensurePlacement, firstPlacement } from '../../../../src/stores/redis/ring/ensure-placement.ts'
import { type Node, type PlacedNode, publish, publishOwner, readPlacement } from '../../../../src/stores/redis/ring/placement.ts'
import { type RedisServer, startRedis } from '../../../support/redis-server.ts'

const PARTITIONS = 16
const keys = new Keys('tm')
let servers: RedisServer[]
let clients: Redis[]
let nodes: Node[]

beforeEach(async () => {
	servers = await Promise.all([startRedis(), startRedis(), startRedis()])
	clients = servers.map(({ port }) => new Redis({ port, retryStrategy: () => 20, maxRetriesPerRequest: 0 }))
	for (const client of clients) client.on('error', () => {})
	nodes = clients.map((client, i) => ({ name: 'abc'[i]!, link: new Link('abc'[i]!, () => client) }))
	await Promise.all(clients.map((client) => client.ping()))
})
afterEach(async () => {
	for (const client of clients) client.disconnect()
	await Promise.all(servers.map((server) => server.stop()))
})

const members = (...names: string[]): PlacedNode[] => names.map((name) => ({ name, weight: 1 }))
const abc = members('a', 'b', 'c')
const ensure = (list = abc, of = nodes) => ensurePlacement(of, keys, PARTITIONS, list, 1_000)
const read = async (of = nodes) => (await readPlacement(of, keys, 1_000)).placement
const own = (node: number, partition: number) => clients[node]!.get(keys.own(partition))

it('the first placement is the one of the ring, on every node, with an owner on record for every partition', async () => {
	const { placement, behind } = await ensure()
	expect(placement).toEqual(firstPlacement(PARTITIONS, abc))
	expect(behind).toEqual([])
	for (const node of nodes) expect(await read([node])).toEqual(placement)
	for (const [partition, { node }] of placement.owners.entries()) {
		expect(await Promise.all([0, 1, 2].map((i) => own(i, partition)))).toEqual(
			['a', 'b', 'c'].map((name) => (name === node ? `A:1:${placement.id}` : null)),
		)
	}
})

it('processes that make it at the same time, of the same nodes in another order, agree', async () => {
	const all = await Promise.all([ensure(), ensure(abc.toReversed()), ensure(), ensure(abc.toReversed(), nodes.toReversed())])
	for (const { placement } of all) expect(placement).toEqual(all[0]!.placement)
})

it('nodes of two rings are not mixed, and those that try own nothing', async () => {
	await ensurePlacement(nodes.slice(0, 2), keys, PARTITIONS, members('a', 'b'), 1_000)
	await ensurePlacement(nodes.slice(2), keys, PARTITIONS, members('c'), 1_000)
	await expect(ensure()).rejects.toMatchObject({
		code: 'ERR_TALLYMARK_MISMATCH',
		message: expect.stringMatching(/a is of the ring .* c of/),
	})
	const { owners } = firstPlacement(PARTITIONS, abc)
	expect(
		await own(
			2,
			owners.findIndex(({ node }) => node === 'a'),
		),
	).toBe(`A:1:${firstPlacement(PARTITIONS, members('c')).id}`)
})

it('two processes with other nodes that begin at the same time: at most one placement is used', async () => {
	const settled = await Promise.allSettled([ensure(members('a', 'b', 'c')), ensure(members('a', 'b'))])
	for (const { status, ...rest } of settled) {
		if (status === 'rejected') expect(rest).toMatchObject({ reason: { code: 'ERR_TALLYMARK_MISMATCH' } })
	}
	const owners = await Promise.all(
		Array.from({ length: PARTITIONS }, async (_, partition) =>
			(await Promise.all([0, 1, 2].map((i) => own(i, partition)))).filter(Boolean),
		),
	)
	for (const each of owners) expect(each.length).toBeLessThanOrEqual(1)
})

it('nothing is placed while a node does not answer that may have the placement', async () => {
	await servers[1]!.stop()
	await expect(ensure()).rejects.toMatchObject({ code: 'ERR_TALLYMARK_STORE_UNAVAILABLE', message: expect.stringContaining('b does not') })
	expect(await clients[0]!.exists(keys.placement)).toBe(0)
})

it('with one node down, what the others know is enough', async () => {
	const { placement } = await ensure()
	await servers[1]!.stop()
	const again = await ensure()
	expect(again.placement).toEqual(placement)
	expect(again.failed.map(({ node }) => node.name)).toEqual(['b'])
})

it('an owner is only ever raised, and the highest of all nodes is what holds', async () => {
	await ensure()
	await publishOwner(nodes.slice(0, 1), keys, 3, { node: 'c:{x}', epoch: 12 }, 1_000)
	await publishOwner(nodes.slice(1), keys, 3, { node: 'b', epoch: 4 }, 1_000)
	expect((await read())!.owners[3]).toEqual({ node: 'c:{x}', epoch: 12 })
	await publishOwner(nodes, keys, 3, { node: 'a', epoch: 10 }, 1_000)
	expect((await read([nodes[0]!]))!.owners[3]).toEqual({ node: 'c:{x}', epoch: 12 })
	expect((await readPlacement(nodes, keys, 1_000)).behind.map(({ name }) => name)).toEqual(['b', 'c'])
	await ensure()
	for (const node of nodes) expect((await read([node]))!.owners[3]).toEqual({ node: 'c:{x}', epoch: 12 })
})

it('the list of nodes goes up by its version', async () => {
	const { placement } = await ensure()
	const four = [...placement.nodes, { name: 'd', weight: 2, address: 'redis://d:1' }]
	await publish(nodes, keys, { ...placement, version: 2, nodes: four, owners: [] }, 1_000)
	await publish(nodes, keys, { ...placement, version: 1, owners: [] }, 1_000)
	expect((await ensure()).placement).toEqual({ ...placement, version: 2, nodes: four })
})

it('a node that lost everything owns again what is placed there, when all others can be asked', async () => {
	const { placement } = await ensure()
	const partition = placement.owners.findIndex(({ node }) => node === 'a')
	const taken = placement.owners.findLastIndex(({ node }) => node === 'a')
	// It has been moved, and nobody knows yet but the node that has it.
	await clients[1]!.set(keys.own(taken), `A:2:${placement.id}`)
	await clients[0]!.flushall()
	await servers[2]!.stop()
	await ensure()
	expect(await own(0, partition)).toBe(null)
	const back = new Promise((resolve) => clients[2]!.once('ready', resolve))
	servers[2] = await startRedis({ port: servers[2]!.port })
	await back
	await ensure()
	expect(await read([nodes[0]!])).toEqual(placement)
	expect(await own(0, partition)).toBe(`A:1:${placement.id}`)
	expect(await own(0, taken)).toBe(null)
})

it('a number of partitions that is not the ring’s is refused', async () => {
	await ensure()
	await expect(ensurePlacement(nodes, keys, 8, abc, 1_000)).rejects.toMatchObject({ code: 'ERR_TALLYMARK_MISMATCH' })
})
