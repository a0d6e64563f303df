import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ask } from '../http/support/served.ts'
import { servedApp, told } from './support/app.ts'
import { exampleServer } from './support/example-server.ts'

const event = (more: object = {}) => ({
	event_id: randomUUID(),
	user_id: 'ada',
	timestamp: new Date().toISOString(),
	event_type: 'page_view',
	payload: { page_url: 'https://example.com/about?x=1#top' },
	...more,
})

describe('POST /track and GET /stats', () => {
	it('tell views and unique visitors, in all and per page', async () => {
		const { send, get } = await servedApp()
		for (const [page_id, user_id] of [
			['home', 'ada'],
			['home', 'bob'],
			['home', 'ada'],
			['about', 'ada'],
		]) {
			expect(await send('/track', { page_id, user_id })).toEqual({
				status: 200,
				json: { status: 'success', message: expect.stringContaining(page_id!) },
			})
		}
		expect(await get('/stats')).toEqual({
			views: 4,
			unique_visitors: 2,
			pages: [
				{ page: 'home', views: 3, unique_visitors: 2 },
				{ page: 'about', views: 1, unique_visitors: 1 },
			],
		})
		expect(await get('/stats?limit=1&uniques=0')).toMatchObject({ pages: [{ page: 'home', views: 3 }] })
		expect(await get('/stats?lane=bot')).toEqual({ views: 0, unique_visitors: 0, pages: [] })
	})

	it.each([
		[{ page_id: 'home' }],
		[{ user_id: 'ada' }],
		[{ page_id: '', user_id: 'ada' }],
		[{ page_id: 'home', user_id: 7 }],
		[[]],
		[null],
	])('refuse %j', async (body) => {
		const { send, get } = await servedApp()
		expect(await send('/track', body)).toMatchObject({ status: 400 })
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it.each(['/stats?limit=10001', '/stats?limit=2000', '/stats?limit=ten', '/stats?lane=robots', '/stats?uniques=maybe'])(
		'refuse %s',
		async (path) => {
			const { ask } = await servedApp()
			expect(told(await ask(path))).toEqual([400, 'ERR_BAD_REQUEST'])
		},
	)
})

describe('POST /events', () => {
	it('records a page view and answers its id', async () => {
		const { send, get } = await servedApp()
		const sent = event()
		expect(await send('/events', sent)).toEqual({
			status: 201,
			json: { success: true, message: expect.stringMatching(/\w/), event_id: sent.event_id },
		})
		expect(await get('/visits/%2Fabout')).toMatchObject({ count: 1 })
		expect(await get('/stats')).toMatchObject({ views: 1, unique_visitors: 1 })
	})

	it('counts the same event_id once, however often, in whatever case and with whatever else it comes', async () => {
		const { send, get } = await servedApp()
		const sent = event()
		for (const again of [
			sent,
			sent,
			{ ...sent, event_id: sent.event_id.toUpperCase() },
			{ ...sent, payload: { page_url: '/elsewhere' } },
		]) {
			expect(await send('/events', again)).toMatchObject({ status: 201, json: { success: true, event_id: again.event_id } })
		}
		await Promise.all(Array.from({ length: 10 }, () => send('/events', sent)))
		expect(await get('/stats')).toMatchObject({ views: 1 })
	})

	it('takes many at once, each once', async () => {
		const { send, get } = await servedApp()
		const many = Array.from({ length: 500 }, (_, at) => event({ user_id: `user ${at % 50}` }))
		const answer = await send('/events', [...many, many[0]])
		expect(answer).toMatchObject({ status: 201, json: { success: true } })
		expect(answer.json.events.map((each: { event_id: string }) => each.event_id)).toEqual([...many, many[0]!].map((each) => each.event_id))
		await send('/events', many)
		const { views, unique_visitors } = await get('/stats')
		expect(views).toBe(500)
		expect(Math.abs(unique_visitors - 50)).toBeLessThanOrEqual(2)
	})

	it('takes an array whole or not at all, and says which event is wrong', async () => {
		const { send, get } = await servedApp()
		const answer = await send('/events', [event(), event({ user_id: '' })])
		expect(answer).toMatchObject({
			status: 400,
			json: { error: { code: 'ERR_BAD_REQUEST', message: expect.stringContaining('1.user_id') } },
		})
		expect(await send('/events', [event(), event({ timestamp: '2999-01-01T00:00:00Z' })])).toMatchObject({ status: 400 })
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it.each([
		[{ user_id: '' }, 'user_id: '],
		[{ event_id: 'x' }, 'event_id: '],
		[{ timestamp: 'yesterday' }, 'timestamp: Invalid ISO '],
		[{ event_type: 'click' }, 'event_type: '],
		[{ payload: { page_url: '' } }, 'payload.page_url: '],
	])('says what is wrong with %j', async (wrong, start) => {
		const { send } = await servedApp()
		const messageOf = async (body: unknown) => (await send('/events', body)).json.error.message
		expect(await messageOf(event(wrong))).toMatch(new RegExp(`^${start}\\w`))
		expect(await messageOf([event(), event(wrong)])).toMatch(new RegExp(`^1.${start}\\w`))
	})

	it('takes events of the last 31 days, or of as many as it is told', async () => {
		const daysAgo = (days: number) => event({ timestamp: new Date(Date.now() - days * 86_400_000).toISOString() })
		for (const [days, options] of [
			[31, {}],
			[400, { eventMaxAgeDays: 400 }],
			[1, { eventMaxAgeDays: 1 }],
		] as const) {
			const { send, get } = await servedApp(options)
			expect(await send('/events', daysAgo(days - 0.01))).toMatchObject({ status: 201 })
			const { status, json } = await send('/events', [daysAgo(0), daysAgo(days + 0.01)])
			expect([status, json.error.code]).toEqual([400, 'ERR_BAD_REQUEST'])
			expect(json.error.message).toMatch(new RegExp(`^1.timestamp: Expected at most ${days} days back and a day ahead, got `))
			expect(await get('/stats')).toMatchObject({ views: 1 })
		}
	})

	it('counts each at its own time, read as ISO 8601 in UTC unless it says otherwise', async () => {
		const { send, get } = await servedApp()
		// An hour ago, whatever the hour: its minutes are kept.
		const hourAgo = Date.now() - 3_600_000
		const utc = new Date(hourAgo).toISOString().slice(0, 16)
		const inBerlin = new Date(hourAgo + 2 * 3_600_000).toISOString().slice(0, 16)
		const timestamps = [`${utc}:15.123Z`, `${inBerlin}:10+02:00`, `${utc}:59`, utc, `${utc}Z`, `${inBerlin}+02:00`]
		for (const timestamp of timestamps) expect(await send('/events', event({ timestamp }))).toMatchObject({ status: 201 })
		const key = `page_view_${utc.replace('T', '_')}`
		expect(await get(`/analytics/minute-buckets/${key}`)).toEqual({ bucket_key: key, count: 6, unique_users: 1 })
	})

	it('reads a time without an offset as UTC wherever the server stands', async () => {
		const { port } = await exampleServer({ TZ: 'America/New_York' })
		const day = new Date(Date.now() - 24 * 3_600_000).toISOString().slice(0, 10)
		const body = JSON.stringify(event({ timestamp: `${day}T10:30:00` }))
		expect((await ask(port, '/events', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status).toBe(201)
		expect(JSON.parse((await ask(port, `/analytics/hour-buckets/${day}_10`)).body)).toMatchObject({ count: 1 })
	})

	it('counts events without a page under a name of their own', async () => {
		const { send, get } = await servedApp()
		const { payload: _, ...bare } = event()
		expect(await send('/events', bare)).toMatchObject({ status: 201 })
		expect(await send('/events', event({ payload: {} }))).toMatchObject({ status: 201 })
		expect(await get('/stats?uniques=0')).toMatchObject({ pages: [{ page: '(no page)', views: 2 }] })
	})

	it.each([
		[{ event_id: 'not-a-uuid' }],
		[{ event_id: undefined }],
		[{ user_id: undefined }],
		[{ timestamp: 'yesterday' }],
		[{ timestamp: 1_700_000_000 }],
		[{ timestamp: '2026-02-30T00:00:00Z' }],
		[{ timestamp: '1969-12-31T00:00:00Z' }],
		[{ event_type: 'click' }],
		[{ payload: 'x' }],
		[{ payload: { page_url: '' } }],
	])('refuses %j', async (wrong) => {
		const { send, get } = await servedApp()
		expect(await send('/events', event(wrong))).toMatchObject({ status: 400, json: { error: { code: 'ERR_BAD_REQUEST' } } })
		expect(await get('/stats')).toMatchObject({ views: 0 })
	})

	it('refuses an empty list, and one of more than 1,000', async () => {
		const { send } = await servedApp()
		expect(await send('/events', [])).toMatchObject({ status: 400 })
		expect(
			await send(
				'/events',
				Array.from({ length: 1_001 }, () => event()),
			),
		).toMatchObject({ status: 400 })
	})
})
