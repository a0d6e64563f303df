import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { TallymarkError } from '../../src/errors.ts'
import { anonymousVisitor, cookieVisitor, hitCounter } from '../../src/express.ts'
import { hitCounting } from '../../src/http/hit-counter.ts'
import { Counter } from '../../src/index.ts'
import { RedisStore } from '../../src/redis.ts'
import { made } from '../counter/support/made.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { firefox, notebook, served, soon } from './support/served.ts'

const dayMs = 86_400_000
const noon = Date.UTC(2026, 0, 15, 12)
const ada = { ip: '192.0.2.1', userAgent: firefox }

/** A place for salts that is down while told so, with what it was asked. */
function keeper() {
	const { counter, store, errors, clock } = made({ start: noon })
	return { counter, store, errors, clock, asked: () => store.calls('share') }
}

describe("the day's salt", () => {
	it('is the same for all who share a store, and another each day', async () => {
		const { counter, store, clock } = keeper()
		let now = noon
		const visitors = [counter, new Counter({ store, clock })].map((each) => anonymousVisitor({ counter: each, clock: { now: () => now } }))
		const seen = async () => Promise.all(visitors.map((visitor) => visitor(ada)))
		const [one, other] = await seen()
		expect(one).toMatch(/^[\w-]{22}$/)
		expect(other).toBe(one)
		now += dayMs
		const [next, alsoNext] = await seen()
		expect(alsoNext).toBe(next)
		expect(next).not.toBe(one)
	})

	it('differs between namespaces: the same person is not known from one to the other', async () => {
		const { store } = keeper()
		const ids = ['a', 'b'].map((namespace) => anonymousVisitor({ counter: new Counter({ store, namespace }) })(ada))
		expect(new Set(await Promise.all(ids)).size).toBe(2)
	})

	it('is asked for once, however many come at the same time, and answered at once from then on', async () => {
		const { counter, asked } = keeper()
		const visitor = anonymousVisitor({ counter, clock: { now: () => noon } })
		const ids = await Promise.all(Array.from({ length: 100 }, () => visitor(ada)))
		expect(new Set(ids).size).toBe(1)
		expect(asked()).toBe(1)
		expect(visitor(ada)).toBe(ids[0])
		expect(visitor({ ...ada, ip: '192.0.2.2' })).toEqual(expect.any(String))
	})

	it('of tomorrow is known an hour before, so that midnight waits for nothing, even while the store is down', async () => {
		const { counter, store, asked } = keeper()
		let now = Date.UTC(2026, 0, 15, 22, 59, 59)
		const visitor = anonymousVisitor({ counter, clock: { now: () => now } })
		await visitor(ada)
		expect(asked()).toBe(1)
		now = Date.UTC(2026, 0, 15, 23)
		await visitor({ ...ada, ip: '192.0.2.2' })
		await soon(() => expect(asked()).toBe(2))
		await new Promise((resolve) => setImmediate(resolve))
		store.down = true
		now = Date.UTC(2026, 0, 16)
		expect(visitor(ada)).toEqual(expect.any(String))
		expect(asked()).toBe(2)
	})

	it('while the store is down there is none, which is told once; it is asked for again after a second', async () => {
		const { counter, store, errors, asked } = keeper()
		let now = noon
		const visitor = anonymousVisitor({ counter, clock: { now: () => now } })
		store.down = true
		expect(await visitor(ada)).toBeUndefined()
		expect(visitor(ada)).toBeUndefined()
		now += 1_000
		expect(await visitor(ada)).toBeUndefined()
		expect(asked()).toBe(2)
		expect(errors.map(({ code, message }) => [code, /count without their visitors/.test(message)])).toEqual([
			['ERR_TALLYMARK_STORE_UNAVAILABLE', true],
		])
		store.heal()
		now += 1_000
		expect(await visitor(ada)).toEqual(expect.any(String))
	})

	it('is forgotten by the process when the day is over', async () => {
		const { counter, asked } = keeper()
		let now = noon
		const visitor = anonymousVisitor({ counter, clock: { now: () => now } })
		await visitor(ada)
		now += dayMs
		await visitor(ada)
		now -= dayMs
		// What is not known any more has to be asked for.
		await visitor(ada)
		expect(asked()).toBe(3)
	})
})

describe('in Redis', () => {
	let redis: RedisServer
	beforeAll(async () => {
		redis = await startRedis()
	})
	afterAll(() => redis.stop())

	/** What another process would have: a store and a counter of its own. */
	function processOf(namespace: string) {
		const counter = new Counter({ store: new RedisStore(redis.url), namespace })
		onTestFinished(async () => void (await counter.close()))
		return counter
	}

	it('two processes, and one that starts later, agree on who is who; the salt ends two days after its day began', async () => {
		const [first, second] = [processOf('agree'), processOf('agree')]
		const ids = await Promise.all([first, second].map((counter) => anonymousVisitor({ counter })(ada)))
		await first.close()
		await second.close()
		const restarted = await anonymousVisitor({ counter: processOf('agree') })(ada)
		expect(new Set([...ids, restarted]).size).toBe(1)
		const client = new Redis(redis.url)
		const day = Math.floor(Date.now() / dayMs)
		const left = await client.pttl(`agree:shared:visitor-salt:${day}`)
		expect(Date.now() + left).toBeLessThanOrEqual((day + 2) * dayMs + 1_000)
		expect(Date.now() + left).toBeGreaterThan((day + 2) * dayMs - 60_000)
		client.disconnect()
	})

	it('a page that comes before the salt waits for it, and its response does not', async () => {
		const counter = processOf('first-page')
		const { ask } = await served((app) => {
			app.use(hitCounter({ counter }))
			app.use((_request, response) => void response.send('hello'))
		})
		await Promise.all(Array.from({ length: 10 }, () => ask('/page')))
		await soon(async () => expect(await counter.count('/page')).toBe(10))
		expect((await counter.uniques('/page')).value).toBe(1)
	})
})

describe('hits that wait for their visitor', () => {
	const read = { method: () => 'GET', target: () => '/page', header: () => firefox, address: () => undefined, route: () => undefined }

	it('are 10,000 at most; further ones count without, which is told; those that wait count with the time they came', async () => {
		const counter = notebook()
		let known: (visitor: string) => void = () => {}
		const who = new Promise<string>((resolve) => {
			known = resolve
		})
		const counting = hitCounting({ counter, visitor: () => who, privacySignals: 'ignore', classify: 'human' }, read)
		const before = Date.now()
		for (let i = 0; i < 10_000; i++) void counting.finished({}, {}, 200, {})
		expect([counter.hits.length, counter.errors.length]).toEqual([0, 0])
		void counting.finished({}, {}, 200, {})
		expect(counter.hits).toEqual([{ key: '/page' }])
		expect(counter.errors).toMatchObject([{ message: expect.stringMatching(/^10000 hits wait/) }])
		known('ada')
		await soon(() => expect(counter.hits).toHaveLength(10_001))
		expect(counter.hits.slice(1).every(({ visitor, at = 0 }) => visitor === 'ada' && at >= before && at <= Date.now())).toBe(true)
		void counting.finished({}, {}, 200, {})
		await soon(() => expect(counter.hits.at(-1)).toMatchObject({ visitor: 'ada' }))
		expect(counter.errors).toHaveLength(1)
	})
})

describe('cookieVisitor: options', () => {
	const secret = 'a secret of more than 16 bytes'
	it.each([
		[{ secret: 'short' }, /Expected `secret` to be at least 16 bytes long/],
		[{ secret: [] }, /Expected `secret` to be at least one secret/],
		[{}, /Expected `secret` to be a string or bytes/],
		[{ secret, name: 'a b' }, /Expected `name` to be/],
		[{ secret, maxAgeMs: 0 }, /Expected `maxAgeMs` to be a whole number from 1000/],
		[{ secret, maxAgeMs: 401 * dayMs }, /maxAgeMs/],
		[{ secret, secure: 1 }, /Expected `secure` to be true or false/],
		[{ secret, path: 'x; Domain=example.com' }, /Expected `path` to be a path/],
		[{ secret, path: '/;' }, /path/],
		[{ secret, domain: 'x' }, /known options/],
	])('refuses %o', (options, message) => {
		expect(() => cookieVisitor(options as never)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(message) }),
		)
		expect(() => cookieVisitor(options as never)).toThrow(TallymarkError)
	})

	it('takes cookies of a secret that was replaced, and signs with the new one', async () => {
		const given: string[] = []
		const visitors = [
			cookieVisitor({ secret }),
			cookieVisitor({ secret: ['another secret, as long', secret], name: 'tm_visitor', path: '/a' }),
		]
		for (const visitor of visitors) {
			const { ask } = await served((app) => {
				app.use(hitCounter({ counter: notebook(), visitor }))
				app.use((_request, response) => void response.end())
			})
			given.push(String((await ask('/')).headers['set-cookie']))
		}
		expect(given.map((cookie) => cookie.replace(/=[^;]*/, '=...'))).toEqual([
			'tm_visitor=...; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure',
			'tm_visitor=...; Path=/a; Max-Age=31536000; HttpOnly; SameSite=Lax; Secure',
		])
		const [before, after] = given.map((cookie) => ({ headers: { cookie: cookie.split(';')[0]! } }))
		expect([visitors[1]!(before!), visitors[1]!(after!)]).toEqual([expect.any(String), expect.any(String)])
		expect(visitors[0]!(after!)).toBeUndefined()
	})
})
