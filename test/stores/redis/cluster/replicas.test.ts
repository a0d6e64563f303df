/** What an acknowledgement is worth when the master and the writer are gone a moment later, and the replica that takes over lags behind. */
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RedisClusterStore } from '../../../../src/redis.ts'
import { Desk } from '../../../../src/testing/contract/desk.ts'
import { RedisCluster } from '../../../support/redis-cluster.ts'
import { sleep, until } from '../support.ts'

const key = '/page'
/** Before the replica gets nothing any more, and how long the writer goes on then. */
const together = 50
const alone = 500

let redis: RedisCluster
const ends: (() => unknown)[] = []

beforeAll(async () => {
	redis = await RedisCluster.start()
}, 30_000)

afterAll(async () => {
	for (const end of ends) await end()
	await redis?.stop()
})

function open(replicasToWaitFor: number) {
	const client = new Cluster(redis.addresses)
	client.on('error', () => {})
	ends.push(() => client.disconnect())
	return { client, store: new RedisClusterStore(client, { partitions: 1, writeTimeoutMs: 1_000, readTimeoutMs: 1_000, replicasToWaitFor }) }
}

/** How many hits a writer was told are stored, how many it had sent, and how many there are when all but a replica that lags behind is gone. */
async function lose(replicasToWaitFor: number): Promise<{ acknowledged: number; sent: number; found: number }> {
	const { client, store } = open(replicasToWaitFor)
	const desk = new Desk(store, 'hyperloglog', false)
	const writer = desk.open()
	let acknowledged = 0
	let sent = 0
	let isDead = false
	const count = async () => {
		while (!isDead) {
			const [batch] = writer.batches([{ key }])
			sent++
			while (!isDead) {
				const { status } = await Promise.resolve(writer.session.apply(batch!)).catch(() => ({ status: 'failed' }))
				if (status !== 'failed') break
				await sleep(20)
			}
			if (!isDead) acknowledged++
		}
	}
	const counting = count()
	const master = await redis.masterOfKey(`{${desk.namespace}:0}`)
	const [replica] = await redis.replicasOf(master)
	await until(async () => expect(acknowledged).toBeGreaterThan(together))
	const catchUp = await redis.holdBack(replica!, master)
	await sleep(alone)
	// As if its process had been killed: it will never say again what it had said.
	isDead = true
	client.disconnect()
	await redis.kill(master)
	await redis.until('the replica has taken over', () => redis.isMaster(replica!))
	const found = await until(async () => {
		const reader = new Desk(open(0).store, 'hyperloglog', false)
		return reader.open({ namespace: desk.namespace }).count(key)
	})
	await counting
	await catchUp()
	await redis.restart(master)
	await redis.whole()
	return { acknowledged, sent, found }
}

describe('a master and a writer that are gone after the acknowledgement', () => {
	it('take with them what no replica has, when none is waited for', async () => {
		const { acknowledged, found } = await lose(0)
		expect(found).toBeGreaterThan(0)
		expect(found).toBeLessThan(acknowledged)
	}, 40_000)

	it('take nothing with them that was acknowledged, when one replica is waited for', async () => {
		const { acknowledged, sent, found } = await lose(1)
		expect(acknowledged).toBeGreaterThan(together)
		expect(found).toBeGreaterThanOrEqual(acknowledged)
		expect(found).toBeLessThanOrEqual(sent)
	}, 40_000)
})
