import { describe, expect, it } from 'vitest'
import { badge, badgeAnswer, badgeEndpoint } from '../../src/badge.ts'

const svg = badge({ label: 'views', value: 1 })

describe('badgeAnswer', () => {
	it('answers the picture, to be asked for again each time, allowed to load nothing', () => {
		const { status, headers, body } = badgeAnswer(svg)
		expect([status, body]).toEqual([200, svg])
		expect(headers).toMatchObject({
			'Content-Type': 'image/svg+xml; charset=utf-8',
			'Cache-Control': 'no-cache',
			'Content-Security-Policy': "default-src 'none'",
			'X-Content-Type-Options': 'nosniff',
			ETag: expect.stringMatching(/^"[\da-f]{16}"$/),
		})
	})

	it('answers JSON for shields.io', () => {
		const { headers, body } = badgeAnswer(badgeEndpoint({ label: 'views', value: 1 }))
		expect(headers['Content-Type']).toBe('application/json; charset=utf-8')
		expect(JSON.parse(body)).toEqual({ schemaVersion: 1, label: 'views', message: '1', color: 'blue' })
	})

	it('has another ETag for another badge, and the same for the same', () => {
		const etag = badgeAnswer(svg).headers['ETag']
		expect(badgeAnswer(badge({ label: 'views', value: 1 })).headers['ETag']).toBe(etag)
		expect(badgeAnswer(badge({ label: 'views', value: 2 })).headers['ETag']).not.toBe(etag)
	})

	it('says 304 to who has it, with the headers that a 304 needs and no body', () => {
		const etag = badgeAnswer(svg).headers['ETag']!
		for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*', `"a",W/${etag},"b"`]) {
			const { status, headers, body } = badgeAnswer(svg, known)
			expect([known, status, body]).toEqual([known, 304, ''])
			expect(headers).toMatchObject({ ETag: etag, 'Cache-Control': 'no-cache' })
			expect(headers).not.toHaveProperty('Content-Type')
		}
		for (const unknown of [undefined, null, '', '"other"', etag.slice(1, -1), `${etag}x`])
			expect(badgeAnswer(svg, unknown).status).toBe(200)
	})
})

describe('badgeEndpoint', () => {
	it('is what shields.io reads', () => {
		expect(badgeEndpoint({ label: 'views', value: 12_345, color: 'brightgreen', cacheSeconds: 300 })).toEqual({
			schemaVersion: 1,
			label: 'views',
			message: '12,345',
			color: 'brightgreen',
			cacheSeconds: 300,
		})
		expect(badgeEndpoint({ label: '', value: 'x', color: '#ABC' }).color).toBe('aabbcc')
	})

	it.each([{ value: '' }, { value: '\u200b' }, { color: 'url(x)' }, { cacheSeconds: 299 }, { cacheSeconds: 300.5 }])(
		'refuses %j',
		(wrong) => {
			expect(() => badgeEndpoint({ label: 'a', value: 'b', ...wrong } as never)).toThrow(
				expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION' }),
			)
		},
	)
})
