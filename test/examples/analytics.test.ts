import { describe, expect, it } from 'vitest'
import { servedApp, told } from './support/app.ts'

const minuteMs = 60_000

describe('GET /analytics/page_views_per_minute', () => {
	it('has the last five minutes, zero-filled, oldest first, and no user', async () => {
		const { counting, ask } = await servedApp()
		const now = Math.floor(Date.now() / minuteMs) * minuteMs + 1_000
		await counting.pages.hit('/a', { visitor: 'user-ada', at: now })
		await counting.pages.hit('/b', { visitor: 'user-bob', at: now - 2 * minuteMs })
		await counting.pages.hit('/b', { visitor: 'user-bob', at: now - 2 * minuteMs })
		await counting.pages.hit('/b', { visitor: 'user-bob', at: now - 60 * minuteMs })
		const { body } = await ask('/analytics/page_views_per_minute')
		const { page_views_per_minute: minutes } = JSON.parse(body)
		expect(minutes).toHaveLength(5)
		const at = (ago: number) => new Date(now - 1_000 - ago * minuteMs).toISOString()
		// The minute may have gone on since.
		const from = minutes.findIndex((each: { minute_timestamp: string }) => each.minute_timestamp === at(2))
		expect(minutes.slice(from, from + 3)).toEqual([
			{ minute_timestamp: at(2), count: 2, unique_users: 1 },
			{ minute_timestamp: at(1), count: 0, unique_users: 0 },
			{ minute_timestamp: at(0), count: 1, unique_users: 1 },
		])
		expect(body).not.toMatch(/user-|ada|bob/)
	})

	it('has more of them when asked', async () => {
		const { get, ask } = await servedApp()
		expect((await get('/analytics/page_views_per_minute?minutes=60')).page_views_per_minute).toHaveLength(60)
		expect(told(await ask('/analytics/page_views_per_minute?minutes=0'))).toEqual([400, 'ERR_BAD_REQUEST'])
	})
})

describe('GET /analytics/...-buckets', () => {
	it('tell a minute, an hour and a day, by key with or without its prefix', async () => {
		const { counting, get } = await servedApp()
		const day = new Date(Date.now() - 24 * 3_600_000).toISOString().slice(0, 10)
		const at = Date.parse(`${day}T23:59:30Z`)
		await counting.pages.hit('/a', { visitor: 'ada', at })
		await counting.pages.hit('/b', { visitor: 'bob', at })
		await counting.pages.hit('/b', { visitor: 'bob', at: at - minuteMs })
		for (const [path, bucket_key, count] of [
			['minute-buckets', `${day}_23:59`, 2],
			['minute-buckets', `${day}_23:58`, 1],
			['minute-buckets', `${day}_23:57`, 0],
			['hour-buckets', `${day}_23`, 3],
			['day-buckets', day, 3],
		] as const) {
			const wanted = { bucket_key: `page_view_${bucket_key}`, count, unique_users: Math.min(count, 2) }
			expect(await get(`/analytics/${path}/page_view_${bucket_key}`)).toEqual(wanted)
			expect(await get(`/analytics/${path}/${encodeURIComponent(bucket_key)}`)).toEqual(wanted)
		}
	})

	it.each([
		'minute-buckets/2026-13-01_00:00',
		'minute-buckets/2026-02-30_00:00',
		'minute-buckets/2026-01-01_24:00',
		'minute-buckets/2026-01-01_00',
		'minute-buckets/2026-01-01T00:00',
		'minute-buckets/page_view_',
		'minute-buckets/page_view_page_view_2026-01-01_00:00',
		'hour-buckets/2026-01-01_00:00',
		'day-buckets/2026-1-1',
		'day-buckets/1969-12-31',
		'day-buckets/%00',
	])('do not take %s', async (path) => {
		const { ask } = await servedApp()
		expect(told(await ask(`/analytics/${path}`))).toEqual([400, 'ERR_BAD_REQUEST'])
	})

	it('say that a minute is no longer kept, rather than 0', async () => {
		const { ask } = await servedApp()
		expect(told(await ask('/analytics/minute-buckets/2020-01-01_00:00'))).toEqual([400, 'ERR_TALLYMARK_RANGE'])
	})
})

describe('GET /analytics/top, /trending and /series', () => {
	it('rank pages by views, by visitors, of a period, of a prefix, of a lane', async () => {
		const { counting, get } = await servedApp()
		for (const visitor of ['a', 'b', 'c']) await counting.pages.hit('/blog/one', { visitor })
		for (let i = 0; i < 5; i++) await counting.pages.hit('/shop', { visitor: 'a' })
		await counting.pages.hit('/old', { by: 9, at: Date.now() - 3 * 86_400_000 })
		await counting.pages.hit('/blog/one', { lane: 'bot' })
		expect(await get('/analytics/top')).toEqual({
			top: [
				{ page: '/old', views: 9 },
				{ page: '/shop', views: 5 },
				{ page: '/blog/one', views: 3 },
			],
		})
		expect(await get('/analytics/top?period=day&limit=1')).toEqual({ top: [{ page: '/shop', views: 5 }] })
		expect((await get('/analytics/top?by=uniques')).top[0]).toEqual({ page: '/blog/one', views: 3, unique_visitors: 3 })
		expect(await get('/analytics/top?prefix=/blog')).toEqual({ top: [{ page: '/blog/one', views: 3 }] })
		expect(await get('/analytics/top?lane=bot')).toEqual({ top: [{ page: '/blog/one', views: 1 }] })
		const { trending } = await get('/analytics/trending?limit=2')
		expect(trending.map((each: { page: string }) => each.page)).toEqual(['/shop', '/blog/one'])
	})

	it('chart the site or a page, in hours and days of any time zone', async () => {
		const { counting, get, ask } = await servedApp()
		await counting.pages.hit('/a', { visitor: 'ada', by: 2 })
		await counting.pages.hit('/b', { visitor: 'ada' })
		const last = async (query: string) => (await get(`/analytics/series?${query}`)).series.at(-1)
		expect((await get('/analytics/series')).series).toHaveLength(24)
		expect(await last('granularity=day&last=7')).toEqual({ start: expect.stringMatching(/T00:00:00.000Z$/), value: 3 })
		expect(await last('granularity=day&last=7&metric=uniques')).toMatchObject({ value: 1 })
		expect(await last('granularity=minute&last=5&page=%2Fa')).toMatchObject({ value: 2 })
		expect(await last('granularity=day&last=2&time_zone=Asia/Tokyo')).toEqual({
			start: expect.stringMatching(/T15:00:00.000Z$/),
			value: 3,
		})
		expect(told(await ask('/analytics/series?time_zone=Moon/Crater'))).toEqual([400, 'ERR_BAD_REQUEST'])
		expect(told(await ask('/analytics/series?granularity=week'))).toEqual([400, 'ERR_BAD_REQUEST'])
	})
})
