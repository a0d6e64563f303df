/** What the middleware promises, on each framework and over real connections. */

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { anonymousVisitor, cookieVisitor, type HitTarget, keyOfPath } from '../../src/express.ts'
import { Counter } from '../../src/index.ts'
import { type Framework, frameworks, headerOf, type Options, type Page, type Site, statusOf, targetOf } from './support/frameworks.ts'
import { type Answer, firefox, notebook, soon, warnings } from './support/served.ts'

const secret = 'a secret of more than 16 bytes'
const gptBot = 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; +https://openai.com/gptbot'
const googlebot = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'
const hello: Site = () => ({ body: 'hello' })
const bang = () => {
	throw new Error('on purpose')
}

describe.each(frameworks)('$name', (framework: Framework) => {
	const heads = framework.head === false ? [] : ['HEAD']

	/** Serves the site, counted in a notebook. */
	async function counted(options: Partial<Options> = {}, site: Site = hello, trust = false) {
		const counter = notebook()
		const { ask, abandon } = await framework.serve([{ counter, ...options }], site, trust)
		/** Asks for one more page, which is counted after those before it. */
		const settled = async () => {
			await ask('/last')
			await soon(() => expect(counter.keys.at(-1)).toBe('/last'))
			return counter.hits.slice(0, -1)
		}
		return { counter, ask, abandon, settled }
	}

	describe('what counts', () => {
		it('a page under its path, normalised, as soon as it was sent', async () => {
			const { ask, settled } = await counted()
			expect(await ask('//caf%c3%a9/?utm_source=x')).toMatchObject({ status: 200, body: 'hello' })
			await ask('/caf%C3%A9')
			expect(await settled()).toMatchObject([{ key: '/café' }, { key: '/café' }])
		})

		it('GET with a final 2xx or 304, no other method and no other status', async () => {
			const { ask, settled } = await counted({}, (path) => ({ status: Number(/\d{3}/.exec(path)?.[0] ?? 200) }))
			const statuses = [200, 201, 203, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 410, 429, 500, 503]
			for (const status of statuses) expect((await ask(`/${status}`)).status).toBe(status)
			for (const method of [...heads, 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']) await ask('/200', { method })
			expect((await settled()).map((hit) => hit.key)).toEqual(['/200', '/201', '/203', '/204', '/206', '/304'])
		})

		it('a stream when it was sent to its end; not one that broke, nor one whose client left', async () => {
			// Some tell the console of the broken one.
			const console = vi.spyOn(globalThis.console, 'error').mockImplementation(() => {})
			onTestFinished(() => console.mockRestore())
			let abandoned = () => {}
			const left = new Promise<void>((resolve) => {
				abandoned = resolve
			})
			async function* slow() {
				try {
					yield 'half '
					for (;;) {
						await new Promise((resolve) => setImmediate(resolve))
						yield '.'
					}
				} finally {
					abandoned()
				}
			}
			async function* broken() {
				yield 'half '
				throw new Error('on purpose')
			}
			async function* whole() {
				yield 'a '
				yield 'page'
			}
			const streams: Record<string, Page> = { '/slow': { pieces: slow }, '/broken': { pieces: broken }, '/whole': { pieces: whole } }
			const { ask, abandon, settled } = await counted({}, (path) => streams[path] ?? {})
			expect((await ask('/whole')).body).toBe('a page')
			// Over HTTP/2 some do not tell the client.
			await ask('/broken').catch(() => {})
			await abandon('/slow')
			await left
			expect((await settled()).map((hit) => hit.key)).toEqual(['/whole'])
		})

		it('no page that was handed over whole and whose client left in the middle of it', async () => {
			const body = 'x'.repeat(30_000_000)
			const { ask, abandon, settled } = await counted({}, (path) => (path === '/long' ? { body } : {}))
			expect((await ask('/long')).body).toHaveLength(body.length)
			await abandon('/long')
			expect((await settled()).map((hit) => hit.key)).toEqual(['/long'])
		})

		it('no health checks, unless `skip` says so; and what `skip` says', async () => {
			const plain = await counted()
			for (const path of ['/health', '/healthz/', '/ready?x=1', '/livez', '/healthy']) await plain.ask(path)
			expect((await plain.settled()).map((hit) => hit.key)).toEqual(['/healthy'])

			const own = await counted(
				{ skip: (request, response) => targetOf(request).startsWith('/api') || statusOf(response) === 203 },
				(path) => ({ status: path === '/odd' ? 203 : 200 }),
			)
			for (const path of ['/api/x', '/odd', '/healthz']) await own.ask(path)
			expect((await own.settled()).map((hit) => hit.key)).toEqual(['/healthz'])
		})

		it('hostile paths under clean keys', async () => {
			const { counter, ask, settled } = await counted()
			const paths = ['/__proto__', '/%', '/%zz', '/%00', '/%c0%af', '/{a}b:*', `/${'x'.repeat(12_000)}`]
			const answers: Answer[] = []
			for (const path of paths) answers.push(await ask(path))
			// Some frameworks answer broken escapes by themselves.
			const shown = paths.filter((_, index) => answers[index]!.status === 200)
			expect(shown.length).toBeGreaterThan(3)
			expect((await settled()).map((hit) => hit.key)).toEqual(shown.map((path) => keyOfPath(path)))
			for (const key of counter.keys) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(512)
			expect(counter.errors).toEqual([])
		})

		it('under the key that a function gives; undefined does not count', async () => {
			const { ask, settled } = await counted({
				key: (request) => (targetOf(request).startsWith('/last') ? '/last' : headerOf(request, 'x-key')),
			})
			await ask('/a', { headers: { 'x-key': 'one' } })
			await ask('/b')
			expect((await settled()).map((hit) => hit.key)).toEqual(['one'])
		})

		it("under the route's pattern where that is asked for, and there is one", async () => {
			const { ask, settled } = await counted({ key: 'route' })
			for (const path of ['/users/1', '/users/2?x', '/blog/posts/hello']) await ask(path)
			const keys = (await settled()).map((hit) => hit.key)
			if (framework.routes) expect(keys).toEqual(['/users/:id', '/users/:id', '/blog/posts/:slug'])
			else expect(keys).toEqual(['/users/1', '/users/2', '/blog/posts/hello'])
		})
	})

	describe('mounted twice', () => {
		it('counts once and warns once', async () => {
			const counter = notebook()
			const seen = warnings()
			const { ask } = await framework.serve([{ counter }, { counter }], hello)
			for (const path of ['/a', '/b', '/c']) await ask(path)
			await soon(() => expect(counter.keys).toEqual(['/a', '/b', '/c']))
			const ours = () => seen.filter(({ code }) => code === 'TALLYMARK_MOUNTED_TWICE')
			await soon(() => expect(ours()).toHaveLength(1))
		})

		it('counts once and warns once where it is one middleware that is mounted twice', async () => {
			const counter = notebook()
			const seen = warnings()
			const options: Options = { counter }
			const { ask } = await framework.serve([options, options], hello)
			for (const path of ['/a', '/b', '/c']) await ask(path)
			await soon(() => expect(counter.keys).toEqual(['/a', '/b', '/c']))
			const ours = () => seen.filter(({ code }) => code === 'TALLYMARK_MOUNTED_TWICE')
			await soon(() => expect(ours()).toHaveLength(1))
		})

		it('counts for two counters without a warning', async () => {
			const [pages, site] = [notebook(), notebook()]
			const seen = warnings()
			const { ask } = await framework.serve([{ counter: pages }, { counter: site, key: () => 'site' }], hello)
			await ask('/page')
			await soon(() => expect([pages.keys, site.keys]).toEqual([['/page'], ['site']]))
			expect(seen.filter(({ code }) => code === 'TALLYMARK_MOUNTED_TWICE')).toEqual([])
		})
	})

	describe('nothing here reaches the response', () => {
		it('it never waits for the counter', async () => {
			const counter = notebook()
			const never: HitTarget = { hit: (key) => counter.hit(key).then(() => new Promise(() => {})) }
			const { ask } = await framework.serve([{ counter: never }], hello)
			for (let i = 0; i < 20; i++) expect((await ask('/page')).body).toBe('hello')
			await soon(() => expect(counter.hits).toHaveLength(20))
		})

		it.each([
			['key', { key: bang }],
			['skip', { skip: bang }],
			['classify', { classify: bang }],
			['bots', { bots: bang }],
		])('an option that throws (%s) goes to the counter as an error', async (name, option) => {
			const { counter, ask } = await counted(option)
			expect(await ask('/page')).toMatchObject({ status: 200, body: 'hello' })
			await soon(() => expect(counter.errors).toHaveLength(1))
			expect(counter.errors[0]).toMatchObject({
				code: 'ERR_TALLYMARK_OPTION',
				message: `The option \`${name}\` threw: on purpose`,
				cause: expect.objectContaining({ message: 'on purpose' }),
			})
			expect(counter.hits).toEqual([])
		})

		it.each([
			['throws', bang],
			['rejects', () => Promise.reject(new Error('on purpose'))],
		])('a visitor that %s goes to the counter as an error, and the page counts without', async (_what, visitor) => {
			const { counter, ask, settled } = await counted({ visitor })
			expect(await ask('/page')).toMatchObject({ status: 200, body: 'hello' })
			expect(await settled()).toEqual([{ key: '/page', ...(visitor !== bang && { at: expect.any(Number) }) }])
			expect(counter.errors[0]).toMatchObject({ code: 'ERR_TALLYMARK_OPTION', message: 'The option `visitor` threw: on purpose' })
		})

		it.each([
			['an empty string', ''],
			['a number', 7],
			['an object', {}],
			['4,097 characters', 'x'.repeat(4_097)],
		])('what is no visitor (%s) is reported, and the page counts without', async (_what, wrong) => {
			for (const answer of [wrong, Promise.resolve(wrong)]) {
				const { counter, ask, settled } = await counted({ visitor: (() => answer) as never })
				await ask('/page')
				expect((await settled()).map(({ key, visitor }) => [key, visitor])).toEqual([['/page', undefined]])
				expect(counter.errors[0]).toMatchObject({
					code: 'ERR_TALLYMARK_ARGUMENT',
					message: expect.stringContaining('Expected `visitor` to be a string of 1 to 4096 characters'),
				})
			}
		})

		it('null is nobody known, and no error', async () => {
			for (const answer of [null, Promise.resolve(null)]) {
				const { counter, ask, settled } = await counted({ visitor: (() => answer) as never })
				await ask('/page')
				expect((await settled()).map(({ key, visitor }) => [key, visitor])).toEqual([['/page', undefined]])
				expect(counter.errors).toEqual([])
			}
		})
	})

	describe('visitors', () => {
		const visitor = anonymousVisitor({ secret, clock: { now: () => Date.UTC(2026, 0, 15) } })

		async function visitorsOf(trust: boolean, forwarded: readonly (string | undefined)[]) {
			const { ask, settled } = await counted({ visitor }, hello, trust)
			for (const header of forwarded) await ask('/', { headers: header === undefined ? {} : { 'x-forwarded-for': header } })
			return (await settled()).map((hit) => hit.visitor)
		}

		it('X-Forwarded-For and its like do not choose who one is', async () => {
			const seen = await visitorsOf(false, [undefined, '192.0.2.1', '192.0.2.2, 192.0.2.3', 'unknown', '::1'])
			expect(new Set(seen)).toEqual(new Set([visitor({ ip: '127.0.0.1', userAgent: firefox })]))
			const { ask, settled } = await counted({ visitor })
			for (const name of ['forwarded', 'x-real-ip', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip', 'via'])
				await ask('/', { headers: { [name]: name === 'forwarded' ? 'for=192.0.2.1' : '192.0.2.1' } })
			expect(new Set((await settled()).map((hit) => hit.visitor))).toEqual(new Set(seen))
		})

		it('of a trusted proxy it is the address that the proxy saw, whatever the client wrote before it', async () => {
			const seen = await visitorsOf(true, ['192.0.2.1', '203.0.113.9, 192.0.2.1', 'x, ::2, 192.0.2.1', '192.0.2.2'])
			const [one, two] = ['192.0.2.1', '192.0.2.2'].map((ip) => visitor({ ip, userAgent: firefox }))
			expect(seen).toEqual([one, one, one, two])
		})

		it('are known by their address to the functions in the options too, where a request has one', async () => {
			const { ask, settled } = await counted({ visitor: (request) => (request as { ip?: string }).ip })
			await ask('/')
			expect((await settled())[0]?.visitor).toBe(/fetch|Hono/.test(framework.name) ? undefined : '127.0.0.1')
		})

		it("are anonymous unless said otherwise, none where it is false, and the application's own", async () => {
			const [plain, none, own, later] = [notebook(), notebook(), notebook(), notebook()]
			const user = (request: object) => headerOf(request, 'x-user')
			const { ask } = await framework.serve(
				[
					{ counter: plain },
					{ counter: none, visitor: false },
					{ counter: own, visitor: user },
					{ counter: later, visitor: async (request) => user(request) },
				],
				hello,
			)
			await ask('/', { headers: { 'x-user': 'ada' } })
			await soon(() => expect(own.hits).toEqual([{ key: '/', visitor: 'ada' }]))
			await soon(() => expect(later.hits).toEqual([{ key: '/', visitor: 'ada', at: expect.closeTo(Date.now(), -5) }]))
			expect(plain.hits).toEqual([{ key: '/', visitor: expect.stringMatching(/^[\w-]{22}$/) }])
			expect(none.hits).toEqual([{ key: '/' }])
		})

		it('are counted once by a counter, whatever they look at', async () => {
			const counter = new Counter()
			onTestFinished(async () => void (await counter.close()))
			const { ask } = await framework.serve([{ counter }], hello)
			for (const path of ['/a', '/b', '/a']) await ask(path)
			await ask('/a', { headers: { 'user-agent': `${firefox} (another)` } })
			await soon(async () => expect(await counter.all.count()).toBe(4))
			expect([(await counter.uniques('/a')).value, (await counter.all.uniques()).value]).toEqual([2, 2])
		})
	})

	describe('the cookie visitor', () => {
		const visitor = cookieVisitor({ secret, secure: false })
		const cookiesOf = (answer: Answer) => [answer.headers['set-cookie'] ?? []].flat()
		const pairOf = (answer: Answer) => /^(tm_visitor=[^;]*)/.exec(cookiesOf(answer).at(-1) ?? '')?.[1] ?? ''

		it('is sent with the first page that counts, and known by the cookie afterwards', async () => {
			const { ask, settled } = await counted({ visitor })
			const first = await ask('/a')
			expect(first.body).toBe('hello')
			expect(cookiesOf(first)).toEqual([
				expect.stringMatching(/^tm_visitor=[\w-]{22}\.[\w-]{22}; Path=\/; Max-Age=31536000; HttpOnly; SameSite=Lax$/),
			])
			const again = await ask('/b', { headers: { cookie: `theme=dark; ${pairOf(first)}` } })
			expect(cookiesOf(again)).toEqual([])
			const other = await ask('/c')
			expect(pairOf(other)).not.toBe(pairOf(first))
			const visitors = (await settled()).map((hit) => hit.visitor)
			const [one, two] = [first, other].map((answer) => visitor({ headers: { cookie: pairOf(answer) } }))
			expect(visitors).toEqual([one, one, two])
			expect(one).toMatch(/^[\w-]{22}$/)
		})

		it('does not let anybody choose who they are: what was not signed here is replaced', async () => {
			const { ask, settled } = await counted({ visitor })
			const mine = pairOf(await ask('/a'))
			const [, id, signature] = /=(.*)\.(.*)/.exec(mine)!
			const other = /=(.*)\./.exec(pairOf(await ask('/b')))![1]
			const forged = [`${other}.${signature}`, `${id}.${id}`, `${id}`, '', 'x', `${id}.${signature}x`, `${'x'.repeat(9_000)}`, '%00', '"']
			const answers: Answer[] = []
			for (const value of forged) answers.push(await ask('/c', { headers: { cookie: `tm_visitor=${value}` } }))
			for (const answer of answers) expect(cookiesOf(answer)).toHaveLength(1)
			const seen = (await settled()).map((hit) => hit.visitor)
			expect(new Set(seen).size).toBe(2 + forged.length)
			expect(seen.slice(2)).not.toContain(id)
		})

		it('is not sent with what does not count, nor to those who ask not to be followed', async () => {
			const { ask } = await counted({ visitor }, (path) => ({ status: path === '/gone' ? 404 : 200 }))
			expect(cookiesOf(await ask('/gone'))).toEqual([])
			expect(cookiesOf(await ask('/a', { method: 'POST' }))).toEqual([])
			for (const method of heads) expect(cookiesOf(await ask('/a', { method }))).toEqual([])
			expect(cookiesOf(await ask('/a', { headers: { 'sec-gpc': '1' } }))).toEqual([])
			expect(cookiesOf(await ask('/a', { headers: { dnt: '1' } }))).toEqual([])
			expect(cookiesOf(await ask('/a'))).toHaveLength(1)
		})

		it('is set only with a page that counts for a human: not with health checks, what is left out, or for bots', async () => {
			const { ask, settled } = await counted(
				{
					visitor,
					skip: (request, response) => targetOf(request) === '/skipped' || statusOf(response) === 203,
					key: (request) => (targetOf(request) === '/nameless' ? undefined : targetOf(request)),
					own: { header: 'x-staff' },
					classify: (request, lane) => (headerOf(request, 'x-lane') === 'own' ? 'own' : lane),
				},
				(path) => ({ status: path === '/odd' ? 203 : 200 }),
			)
			for (const path of ['/skipped', '/odd', '/nameless']) expect([path, cookiesOf(await ask(path))]).toEqual([path, []])
			const others: Record<string, string>[] = [
				{ 'user-agent': googlebot },
				{ 'user-agent': gptBot },
				{ 'sec-purpose': 'prefetch' },
				{ 'x-staff': '1' },
				{ 'x-lane': 'own' },
			]
			for (const headers of others) expect([headers, cookiesOf(await ask('/page', { headers }))]).toEqual([headers, []])
			const first = await ask('/page')
			expect(cookiesOf(first)).toHaveLength(1)
			// Who has one is known by it in any lane.
			await ask('/page', { headers: { 'x-staff': '1', cookie: pairOf(first) } })
			const hits = await settled()
			expect(hits.map(({ lane, visitor }) => [lane, visitor !== undefined])).toEqual([
				['bot', false],
				['ai', false],
				['prefetch', false],
				['own', false],
				['own', false],
				[undefined, true],
				['own', true],
			])

			const plain = await counted({ visitor })
			expect(cookiesOf(await plain.ask('/healthz'))).toEqual([])
		})

		it('is set once where two middlewares count a page, and is the visitor of both', async () => {
			const [pages, site] = [notebook(), notebook()]
			const { ask } = await framework.serve(
				[
					{ counter: pages, visitor },
					{ counter: site, visitor },
				],
				hello,
			)
			const answer = await ask('/a')
			expect(cookiesOf(answer)).toHaveLength(1)
			const one = visitor({ headers: { cookie: pairOf(answer) } })
			await soon(() => expect([pages.hits, site.hits]).toMatchObject([[{ visitor: one }], [{ visitor: one }]]))
		})

		it("leaves the application's own cookies alone", async () => {
			const { ask } = await counted({ visitor }, () => ({ headers: { 'Set-Cookie': 'theme=dark' } }))
			const cookies = cookiesOf(await ask('/a'))
			expect(cookies).toHaveLength(2)
			expect(cookies[0]).toBe('theme=dark')
			expect(cookies[1]).toMatch(/^tm_visitor=/)
		})
	})

	describe('lanes', () => {
		async function laneOf(headers: Record<string, string>, options: Partial<Options> = {}) {
			const { ask, settled } = await counted(options)
			await ask('/page', { headers })
			const hits = await settled()
			return hits.length === 0 ? 'none' : (hits[0]!.lane ?? 'human')
		}

		it('browsers are human, bots and AI crawlers are not, and whoever says nothing is a bot', async () => {
			expect(await laneOf({})).toBe('human')
			expect(await laneOf({ 'user-agent': googlebot })).toBe('bot')
			expect(await laneOf({ 'user-agent': 'curl/8.5.0' })).toBe('bot')
			expect(await laneOf({ 'user-agent': '' })).toBe('bot')
			expect(await laneOf({ 'user-agent': gptBot })).toBe('ai')
		})

		it.each([
			['sec-purpose', 'prefetch'],
			['sec-purpose', 'prefetch;prerender'],
			['sec-purpose', 'prefetch;anonymous-client-ip'],
			['purpose', 'prefetch'],
			['purpose', 'preview'],
			['x-moz', 'prefetch'],
			['next-router-prefetch', '1'],
		])('a page fetched in advance (%s: %s) is a prefetch, unless a bot did it', async (name, value) => {
			expect(await laneOf({ [name]: value })).toBe('prefetch')
			expect(await laneOf({ [name]: value, 'user-agent': googlebot })).toBe('bot')
		})

		it('who asks not to be followed counts without an identity, apart; or not at all, or like all others', async () => {
			for (const header of ['sec-gpc', 'dnt']) {
				const { ask, settled } = await counted()
				await ask('/page', { headers: { [header]: '1' } })
				await ask('/page', { headers: { [header]: '1', 'user-agent': googlebot } })
				await ask('/page', { headers: { [header]: '0' } })
				expect(await settled()).toEqual([
					{ key: '/page', lane: 'optout' },
					{ key: '/page', lane: 'bot' },
					{ key: '/page', visitor: expect.any(String) },
				])
				expect(await laneOf({ [header]: '1' }, { privacySignals: 'drop' })).toBe('none')
				expect(await laneOf({ [header]: '1' }, { privacySignals: 'ignore' })).toBe('human')
			}
		})

		it("the site's own people go to 'own': by address, cookie or header", async () => {
			expect(await laneOf({}, { own: { addresses: ['10.0.0.0/8', '127.0.0.0/8'] } })).toBe('own')
			expect(await laneOf({}, { own: { addresses: ['10.0.0.0/8', '::1'] } })).toBe('human')
			expect(await laneOf({ cookie: 'a=b; staff=' }, { own: { cookie: 'staff' } })).toBe('own')
			expect(await laneOf({ cookie: 'a=staff; staffx=1' }, { own: { cookie: 'staff' } })).toBe('human')
			expect(await laneOf({ 'x-staff': '' }, { own: { header: 'X-Staff' } })).toBe('own')
			expect(await laneOf({ 'x-staff': '1', 'user-agent': googlebot }, { own: { header: 'X-Staff' } })).toBe('own')
		})

		it('`classify` decides, knowing what it would be; one lane for all; `bots` in place of isbot', async () => {
			const classify: Options['classify'] = (request, lane) => (lane === 'optout' && headerOf(request, 'x-known') === '1' ? 'human' : lane)
			expect(await laneOf({ dnt: '1', 'x-known': '1' }, { classify })).toBe('human')
			expect(await laneOf({ dnt: '1' }, { classify })).toBe('optout')
			expect(await laneOf({ 'user-agent': googlebot }, { classify: 'human' })).toBe('human')
			expect(await laneOf({}, { bots: (agent) => agent.includes('Firefox') })).toBe('bot')
		})

		it('has the same reads for each lane of a counter, and the public number is human', async () => {
			const counter = new Counter()
			onTestFinished(async () => void (await counter.close()))
			const { ask } = await framework.serve([{ counter }], hello)
			for (const agent of [firefox, googlebot, googlebot, gptBot]) await ask('/page', { headers: { 'user-agent': agent } })
			await soon(async () => expect(await counter.lane('ai').all.count()).toBe(1))
			expect([await counter.count('/page'), await counter.lane('bot').count('/page')]).toEqual([1, 2])
			expect(await counter.lane('ai').top()).toEqual([{ key: '/page', hits: 1 }])
		})
	})
})
