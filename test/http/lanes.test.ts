import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aiCrawlers } from '../../src/http/ai-crawlers.ts'
import { isHealthCheck } from '../../src/http/health-check.ts'
import { asksForPrivacy, type LaneOptions, laneOf } from '../../src/http/lane-of.ts'
import { cookieIn } from '../../src/http/request.ts'
import { firefox } from './support/served.ts'

type Headers = Record<string, string | undefined>
const read = {
	method: () => 'GET',
	target: () => '/',
	header: (headers: Headers, name: string) => headers[name],
	address: () => '192.0.2.1',
	route: () => undefined,
}
const lane = (userAgent: string | undefined, options: LaneOptions = {}) => laneOf(read, options)({ 'user-agent': userAgent }, false)

const browsers = [
	firefox,
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0',
	'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
	'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
	'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36',
	'Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36',
]
const bots = [
	'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
	'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36',
	'Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)',
	'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)',
	'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36',
	'UptimeRobot/2.0',
	'python-requests/2.32.3',
	'curl/8.5.0',
	'Go-http-client/2.0',
	'node',
]

describe('the lane of a user agent', () => {
	it.each(browsers)('human: %s', (agent) => expect(lane(agent)).toBe('human'))
	it.each([...bots, undefined, ''])('bot: %s', (agent) => expect(lane(agent)).toBe('bot'))
	it.each(aiCrawlers)('ai: %s', (name) => {
		expect(lane(`Mozilla/5.0 (compatible; ${name}/1.0; +https://example.com/about)`)).toBe('ai')
		expect(lane(name.toLowerCase())).toBe('ai')
		expect(lane(`${firefox} x${name}x`)).not.toBe('ai')
	})

	it('is the same when it is asked for again, and when there are more of them than are remembered', () => {
		const of = laneOf(read, {})
		for (let i = 0; i < 12_000; i++) of({ 'user-agent': `${firefox} ${i % 6_000}` }, false)
		for (let round = 0; round < 2; round++) {
			for (const agent of browsers) expect(of({ 'user-agent': agent }, false)).toBe('human')
			for (const agent of bots) expect(of({ 'user-agent': agent }, false)).toBe('bot')
		}
	})

	it('is looked for in 512 characters, however long the header is', () => {
		const seen: number[] = []
		const bots = (agent: string) => {
			seen.push(agent.length)
			return false
		}
		expect(lane(`${' '.repeat(600)}GPTBot`, { bots })).toBe('human')
		expect(lane(`GPTBot${' '.repeat(16_000)}`, { bots })).toBe('ai')
		expect(lane('x'.repeat(16_000), { bots })).toBe('human')
		expect(seen).toEqual([512, 512])
	})

	it('takes no time to speak of for what is made to take long', () => {
		// A pattern that backtracks takes seconds for the worst of these, and far more for some; linear ones take some 10 ms for all.
		const pieces = [
			'a',
			' ',
			'(',
			')',
			'.',
			'1',
			'a ',
			'1.',
			'a/1 ',
			'(a',
			';',
			'; ',
			'-',
			'bot',
			'http',
			'a.1 ',
			'\\t',
			'%',
			'+',
			'GPTBo',
			'Kangaroo ',
		]
		const start = process.cpuUsage()
		for (const piece of pieces) for (const end of ['', '~', '\u0000', ')']) lane(piece.repeat(16_384 / piece.length) + end)
		const { user, system } = process.cpuUsage(start)
		expect((user + system) / 1e6).toBeLessThan(2)
	})
})

describe('who asks not to be followed', () => {
	it.each([
		[{ 'sec-gpc': '1' }, true],
		[{ dnt: '1' }, true],
		[{ 'sec-gpc': '0', dnt: '1' }, true],
		[{ dnt: '0' }, false],
		[{ dnt: 'null' }, false],
		[{ 'sec-gpc': '' }, false],
		[{}, false],
	])('%o: %s', (headers: Headers, asks) => expect(asksForPrivacy(headers, read)).toBe(asks))
})

describe('isHealthCheck', () => {
	it.each([
		'/health',
		'/health/',
		'/healthz?x=1',
		'/ready',
		'/readyz',
		'/livez',
		'/-/ready',
		'/_health',
		'http://h/health#x',
		'/health/live',
	])('%s is one', (path) => expect(isHealthCheck(path)).toBe(true))
	it.each(['/', '', '/healthy', '/health/food', '/Health', '//health', '/blog/health', '/readings', 'http://health/', '/?/health'])(
		'%s is none',
		(path) => expect(isHealthCheck(path)).toBe(false),
	)
})

describe('cookieIn', () => {
	it('finds each cookie by its whole name', () => {
		const name = fc.stringMatching(/^[a-z_.-]{1,5}$/)
		const value = fc.stringMatching(/^[a-z0-9=_-]{0,5}$/)
		fc.assert(
			fc.property(
				fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key }),
				fc.constantFrom('; ', ';', ' ; '),
				(pairs, separator) => {
					const header = pairs.map(([key, text]) => `${key}=${text}`).join(separator)
					for (const [key, text] of pairs) expect(cookieIn(header, key)).toBe(text)
					expect(cookieIn(header, 'longer')).toBeUndefined()
				},
			),
		)
	})

	it.each([[undefined], [''], [';;'], ['a'], ['=b'], ['xa=b'], [`a=b;${'x'.repeat(8_192)}`]])('finds none in %s', (header) =>
		expect(cookieIn(header, 'a')).toBeUndefined(),
	)
})

describe('the options of lanes', () => {
	it.each([
		[{ bots: /bot/ }, /Expected `bots` to be a function/],
		[{ own: { ip: '::1' } }, /known options \(addresses, cookie, header\)/],
		[{ own: { addresses: '::1' } }, /Expected `own.addresses` to be an array/],
		[{ own: { addresses: ['x'] } }, /Expected `own.addresses` to be addresses such as/],
		[{ own: { cookie: '' } }, /Expected `own.cookie` to be a name/],
		[{ own: { header: 7 } }, /Expected `own.header` to be a name/],
	])('refuse %o', (options, message) => {
		expect(() => laneOf(read, options as never)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(message) }),
		)
	})
})
