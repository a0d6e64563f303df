import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type InventoryItem, inventory, totalsOf } from '../../../src/stores/redis/inventory.ts'
import { Keys } from '../../../src/stores/redis/keys.ts'
import type { SessionSettings } from '../../../src/stores/store.ts'
import { type Level, lengthMs } from '../../../src/time/granularity.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type Bench, bench } from './support.ts'

const { minute, hour, day } = lengthMs
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

const keys = () => new Keys(b.desk.namespace)
const hostile = ['/page', '*', '=', '__proto__', '{a}b', ':hits', '#ff', '\n', 'é']

async function list(settings: Pick<SessionSettings, 'retention' | 'trendHalfLifeMs'> & { uniquesPer: readonly Level[] }, now = Date.now()) {
	const items: InventoryItem[] = []
	const ask = (commands: readonly { name: string; args: readonly unknown[] }[]) =>
		Promise.all(commands.map(({ name, args }) => b.redis.call(name, ...(args as string[]))))
	for await (const page of inventory(0, keys(), settings, now, ask)) items.push(...page)
	return items
}

it.each([[['total', 'day']], [['total', 'hour', 'minute']], [[]]] as [Level[]][])(
	'names every key that is there, with its deadline: uniques per %s',
	async (uniquesPer) => {
		const settings = { retention: { minute: 3 * hour, hour: 3 * day, day: 400 * day }, trendHalfLifeMs: hour, uniquesPer }
		const writer = b.open(uniquesPer.length === 0 ? { ...settings, tracker: undefined } : settings)
		const now = Math.floor(Date.now() / minute) * minute
		for (const age of [-minute, 0, 90 * minute, 2 * day, 300 * day]) {
			for (const lane of ['human', 'ai'] as const) {
				await writer.hit(
					...hostile.map((key, i) => ({ key, lane, minute: now - age, visitors: uniquesPer.length === 0 ? undefined! : [`${i}`] })),
				)
			}
		}
		await writer.delete('/page')
		await writer.session.claim(writer.claim('00000000000000aa'))
		const items = await list(settings)
		const there = (await b.redis.keys(`{${b.desk.namespace}:0}*`)).sort()
		const found: string[] = []
		for (const { key, deadline, kind } of items) {
			const exists = await b.redis.exists(key)
			if (exists === 1) {
				found.push(key)
				expect(await b.redis.expiretime(key), key).toBe(deadline === 0 ? -1 : deadline)
			} else expect(['visitors', 'deletions', 'claims']).toContain(kind)
		}
		expect(found.sort()).toEqual(there)
		expect(there.length).toBeGreaterThan(20)
	},
)

it('has visitors before the set that tells of them, and all totals at the end', async () => {
	const settings = { retention: { minute: hour, hour: day, day: 10 * day }, trendHalfLifeMs: hour, uniquesPer: ['total', 'day'] as const }
	const writer = b.open({ ...settings, uniquesPer: [...settings.uniquesPer] })
	for (const lane of ['human', 'bot'] as const) {
		await writer.hit(...Array.from({ length: 1_500 }, (_, i) => ({ key: `/${i}`, lane, visitors: ['ada'] })))
	}
	const items = await list({ ...settings, uniquesPer: [...settings.uniquesPer] })
	const at = new Map(items.map(({ key }, i) => [key, i]))
	for (const item of items) {
		if (item.kind !== 'visitors') continue
		expect(at.get(item.key)).toBeLessThan(at.get(keys().hits(0, item.lane, item.bucket))!)
	}
	const totals = totalsOf(0, keys())
	const last = Math.max(...items.map(({ key }, i) => (totals.includes(key) || key.includes(':uniq=') || key.endsWith(':uniq*') ? -1 : i)))
	for (const key of totals) expect(at.get(key) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(last)
	expect(items.filter(({ kind }) => kind === 'visitors').length).toBe(2 * 2 * 1_501)
})

it('of a partition that nobody has counted in there is next to nothing to ask', async () => {
	b.open()
	const items = await list({ retention: { minute: day, hour: 31 * day, day: 731 * day }, trendHalfLifeMs: hour, uniquesPer: ['total'] })
	expect(items.map(({ kind }) => kind)).toEqual(['claims', 'deletions'])
})
