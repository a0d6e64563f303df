import { describe, expect, it, onTestFinished } from 'vitest'
import { MemoryStore, type Store, type StoreSession } from '../../src/index.ts'
import { servedApp, told } from './support/app.ts'

/** A store that answers all who wait together: whoever looks whether a counter exists has looked before the first of them writes. */
function storeThatWaits(): Store {
	const waiting: (() => void)[] = []
	const answer = setInterval(() => {
		for (const resolve of waiting.splice(0)) resolve()
	}, 20)
	onTestFinished(() => clearInterval(answer))
	const memory = new MemoryStore()
	return {
		name: 'slow',
		partitions: memory.partitions,
		open(settings) {
			const session: StoreSession = memory.open(settings)
			const hits = session.hits.bind(session)
			session.hits = async (query) => {
				const reading = await hits(query)
				await new Promise<void>((resolve) => waiting.push(resolve))
				return reading
			}
			return session
		},
	}
}

describe('named counters', () => {
	it('are made at 0, read, incremented, listed and deleted', async () => {
		const { send, get, ask } = await servedApp()
		expect(await get('/counters')).toEqual([])
		expect(await send('/counters/downloads')).toEqual({ status: 201, json: { name: 'downloads', counter: 0 } })
		expect(await get('/counters/downloads')).toEqual({ name: 'downloads', counter: 0 })
		expect(await send('/counters/downloads', undefined, 'PUT')).toEqual({ status: 200, json: { name: 'downloads', counter: 1 } })
		expect(await send('/counters/downloads', { by: 41 }, 'PUT')).toEqual({ status: 200, json: { name: 'downloads', counter: 42 } })
		await send('/counters/another')
		expect(await get('/counters')).toEqual([
			{ name: 'another', counter: 0 },
			{ name: 'downloads', counter: 42 },
		])
		const gone = await ask('/counters/downloads', { method: 'DELETE' })
		expect([gone.status, gone.body]).toEqual([204, ''])
		expect(told(await ask('/counters/downloads'))).toEqual([404, 'ERR_NOT_FOUND'])
		expect(await get('/counters')).toEqual([{ name: 'another', counter: 0 }])
	})

	it('are 409 to who makes one again, which leaves the number alone', async () => {
		const { send, get, ask } = await servedApp()
		await send('/counters/a')
		await send('/counters/a', { by: 5 }, 'PUT')
		expect(told(await ask('/counters/a', { method: 'POST' }))).toEqual([409, 'ERR_EXISTS'])
		expect(await get('/counters/a')).toEqual({ name: 'a', counter: 5 })
	})

	it('are made by one of many who make the same at the same time', async () => {
		const { send } = await servedApp({ counts: { store: storeThatWaits() } })
		const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await send('/counters/race')).status))
		expect(statuses.sort()).toEqual([201, ...Array<number>(19).fill(409)])
	})

	it('begin at 0 when they are made again after they were deleted', async () => {
		const { send, get } = await servedApp()
		await send('/counters/a')
		await send('/counters/a', { by: 7 }, 'PUT')
		await send('/counters/a', undefined, 'DELETE')
		expect(await send('/counters/a')).toMatchObject({ status: 201 })
		expect(await get('/counters/a')).toEqual({ name: 'a', counter: 0 })
	})

	it('begin at 0 also when they were incremented while they were deleted', async () => {
		const { send, get } = await servedApp({ counts: { store: storeThatWaits() } })
		for (let round = 0; round < 5; round++) {
			expect(await send('/counters/a')).toMatchObject({ status: 201 })
			const puts = Array.from({ length: 3 }, () => send('/counters/a', undefined, 'PUT'))
			const [gone, ...answers] = await Promise.all([send('/counters/a', undefined, 'DELETE'), ...puts])
			expect(gone.status).toBe(204)
			for (const { status } of answers) expect([200, 404]).toContain(status)
			expect(await send('/counters/a')).toMatchObject({ status: 201 })
			expect(await get('/counters/a')).toEqual({ name: 'a', counter: 0 })
			await send('/counters/a', undefined, 'DELETE')
		}
	})

	it('begin at 0 whatever another process has left under their name', async () => {
		const { send, get, counting } = await servedApp()
		await counting.named.hit('a', { by: 7 })
		expect(await send('/counters/a')).toMatchObject({ status: 201 })
		expect(await get('/counters/a')).toEqual({ name: 'a', counter: 0 })
		expect(await send('/counters/a', undefined, 'PUT')).toMatchObject({ json: { counter: 1 } })
	})

	it('that find no room are 507, and made when there is', async () => {
		const { send, ask, counting } = await servedApp()
		for (let at = 0; at < 10_000; at++) void counting.named.hit(`n${at}`, { lane: 'own' })
		await counting.named.flush()
		for (let again = 0; again < 2; again++) expect(told(await ask('/counters/a', { method: 'POST' }))).toEqual([507, 'ERR_TOO_MANY'])
		expect(told(await ask('/counters/a'))).toEqual([404, 'ERR_NOT_FOUND'])
		await send('/counters/n0', undefined, 'DELETE')
		expect(await send('/counters/a')).toMatchObject({ status: 201 })
	})

	it('do not come into being by reading, incrementing or deleting them', async () => {
		const { ask, get } = await servedApp()
		expect(told(await ask('/counters/none'))).toEqual([404, 'ERR_NOT_FOUND'])
		expect(told(await ask('/counters/none', { method: 'PUT' }))).toEqual([404, 'ERR_NOT_FOUND'])
		expect((await ask('/counters/none', { method: 'DELETE' })).status).toBe(204)
		expect(await get('/counters')).toEqual([])
	})

	it('lose no increment of many at the same time', async () => {
		const { send, get } = await servedApp()
		await send('/counters/busy')
		await Promise.all(Array.from({ length: 200 }, () => send('/counters/busy', { by: 3 }, 'PUT')))
		expect(await get('/counters/busy')).toEqual({ name: 'busy', counter: 600 })
	})

	it('increment once for one Idempotency-Key', async () => {
		const { send, get } = await servedApp()
		await send('/counters/a')
		await send('/counters/b')
		const key = { 'idempotency-key': 'request-1' }
		for (let i = 0; i < 3; i++)
			expect(await send('/counters/a', undefined, 'PUT', key)).toMatchObject({ status: 200, json: { counter: 1 } })
		expect(await send('/counters/b', undefined, 'PUT', key)).toMatchObject({ json: { counter: 1 } })
		expect(await send('/counters/a', undefined, 'PUT', { 'idempotency-key': 'request-2' })).toMatchObject({ json: { counter: 2 } })
		expect(await get('/counters/a')).toEqual({ name: 'a', counter: 2 })
	})

	it('are told apart by their Idempotency-Keys, however names and keys are cut', async () => {
		const { send } = await servedApp()
		for (const [name, key] of [
			['a b', 'c'],
			['a', 'b c'],
			['a b c', 'd'],
			['1', '1a'],
			['11', 'a'],
		] as const) {
			await send(`/counters/${encodeURIComponent(name)}`)
			const put = () => send(`/counters/${encodeURIComponent(name)}`, undefined, 'PUT', { 'idempotency-key': key })
			expect([name, key, await put()]).toMatchObject([name, key, { status: 200, json: { counter: 1 } }])
			expect([name, key, await put()]).toMatchObject([name, key, { status: 200, json: { counter: 1 } }])
		}
	})

	it('that are made again know no Idempotency-Key of the ones before', async () => {
		const { send } = await servedApp()
		for (let round = 0; round < 3; round++) {
			await send('/counters/a')
			for (let i = 0; i < 2; i++) {
				const put = await send('/counters/a', undefined, 'PUT', { 'idempotency-key': 'request-1' })
				expect(put).toMatchObject({ status: 200, json: { counter: 1 } })
			}
			await send('/counters/a', undefined, 'DELETE')
		}
	})

	it('have any name, and say where they are', async () => {
		const { ask, send, get } = await servedApp()
		for (const name of ['a/b', 'café ☕', '..', '__proto__', 'a\r\nSet-Cookie: x=1', '%41', '{x}:*']) {
			const path = `/counters/${encodeURIComponent(name).replaceAll('.', '%2E')}`
			const made = await ask(path, { method: 'POST' })
			expect([name, made.status, JSON.parse(made.body).name]).toEqual([name, 201, name])
			expect(decodeURIComponent(String(made.headers['location']))).toBe(`/counters/${name}`)
			expect(made.headers).not.toHaveProperty('set-cookie')
			expect(await send(path, undefined, 'PUT')).toMatchObject({ json: { name, counter: 1 } })
		}
		expect(await get('/counters')).toHaveLength(7)
	})

	it('are apart from the pages', async () => {
		const { send, get } = await servedApp()
		await send('/counters/home')
		await send('/counters/home', { by: 9 }, 'PUT')
		await send('/visit/home')
		expect(await get('/visits/home')).toMatchObject({ count: 1 })
		expect(await get('/stats')).toMatchObject({ views: 1 })
		expect(await get('/counters/home')).toEqual({ name: 'home', counter: 9 })
	})

	it('are listed page by page', async () => {
		const { send, ask } = await servedApp()
		const names = Array.from({ length: 25 }, (_, at) => `n${String(at).padStart(2, '0')}`)
		for (const name of names) await send(`/counters/${name}`)
		const seen: string[] = []
		let path: string | undefined = '/counters?limit=10'
		let pages = 0
		while (path !== undefined) {
			const { body, headers } = await ask(path)
			seen.push(...JSON.parse(body).map((each: { name: string }) => each.name))
			path = /<([^>]*)>; rel="next"/.exec(String(headers['link'] ?? ''))?.[1]
			pages++
		}
		expect([pages, seen]).toEqual([3, names])
	})

	it.each([[{ by: 0 }], [{ by: 1.5 }], [{ by: -1 }], [{ by: '1' }], [[1]], ['x']])('are not incremented by %j', async (body) => {
		const { send, get } = await servedApp()
		await send('/counters/a')
		expect(await send('/counters/a', body, 'PUT')).toMatchObject({ status: 400, json: { error: { message: expect.stringMatching(/\w/) } } })
		expect(await get('/counters/a')).toEqual({ name: 'a', counter: 0 })
	})
})
