/** A server that does not let the client in: what is said, what becomes of the hits, and that all comes right when it is put right on the server. */
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Counter, type TallymarkError } from '../../../src/index.ts'
import { RedisStore } from '../../../src/redis.ts'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'

let server: RedisServer
/** Let in from the beginning, and so for ever. */
let admin: Redis
let counters: Counter[] = []
let clients: Redis[] = []

beforeEach(async () => {
	server = await startRedis()
	admin = new Redis(server.port)
	await admin.ping()
})
afterEach(async () => {
	await Promise.all(counters.map((counter) => counter.close({ timeoutMs: 100 })))
	for (const client of [admin, ...clients]) client.disconnect()
	counters = []
	clients = []
	await server.stop()
})

const password = 'the one that is right'
const wrong = 'anotherone'

interface Case {
	/** Of the client. */
	readonly user?: string
	readonly pass?: string
	readonly lockOut: () => Promise<unknown>
	readonly letIn: () => Promise<unknown>
	readonly says: RegExp
}

const user = (...rules: string[]) => admin.call('acl', 'SETUSER', 'counter', 'reset', '~*', '&*', '+@all', ...rules)

const cases: Readonly<Record<string, Case>> = {
	'the wrong password': {
		pass: wrong,
		lockOut: () => admin.config('SET', 'requirepass', password),
		letIn: () => admin.config('SET', 'requirepass', wrong),
		says: /WRONGPASS/,
	},
	'no password': {
		lockOut: () => admin.config('SET', 'requirepass', password),
		letIn: () => admin.config('SET', 'requirepass', ''),
		says: /NOAUTH/,
	},
	'the wrong password of a user': {
		user: 'counter',
		pass: wrong,
		lockOut: () => user('on', `>${password}`),
		letIn: () => user('on', `>${wrong}`),
		says: /WRONGPASS/,
	},
	'a user who is switched off': {
		user: 'counter',
		pass: wrong,
		lockOut: () => user('off', `>${wrong}`),
		letIn: () => user('on', `>${wrong}`),
		says: /WRONGPASS/,
	},
	'a user who is not there': {
		user: 'counter',
		pass: wrong,
		lockOut: () => admin.call('acl', 'DELUSER', 'counter'),
		letIn: () => user('on', `>${wrong}`),
		says: /WRONGPASS/,
	},
}

function storeOf({ user = '', pass }: Case, kind: string): RedisStore {
	if (kind === 'a url') {
		const secret = pass === undefined ? '' : `${user}:${encodeURIComponent(pass)}@`
		return new RedisStore(`redis://${secret}127.0.0.1:${server.port}`)
	}
	const client = new Redis(server.port, {
		retryStrategy: () => 50,
		...(user === '' ? {} : { username: user }),
		...(pass === undefined ? {} : { password: pass }),
	})
	client.on('error', () => {})
	clients.push(client)
	return new RedisStore(client)
}

function open(store: RedisStore): { counter: Counter; errors: TallymarkError[] } {
	const counter = new Counter({ store, cache: false, batch: { maxWaitMs: 20 } })
	const errors: TallymarkError[] = []
	counter.on('error', (error) => errors.push(error))
	counter.on('retry', ({ error }) => errors.push(error))
	counters.push(counter)
	return { counter, errors }
}

/** A connection that is down, and is not let in again, is told of by the next thing that is asked. */
async function expectLockedOut(counter: Counter, says: RegExp): Promise<void> {
	const begin = Date.now()
	await expect(async () => counter.count('/home')).rejects.toMatchObject({
		name: 'StoreUnavailableError',
		code: 'ERR_TALLYMARK_STORE_UNAVAILABLE',
		message: expect.stringMatching(new RegExp(`^redis:${server.port} does not let this client in: .*${says.source}`)),
	})
	expect(Date.now() - begin).toBeLessThan(2_500)
}

describe.each(['a url', 'a client of the caller'])('with %s', (kind) => {
	it.each(Object.keys(cases))(
		'%s at the first connection: it is said, the hits wait, and all are stored when it is put right',
		async (name) => {
			const each = cases[name]!
			await each.lockOut()
			const { counter, errors } = open(storeOf(each, kind))
			for (let i = 0; i < 5; i++) void counter.hit('/home', { visitor: `visitor ${i}` })
			await expectLockedOut(counter, each.says)
			await expect.poll(() => errors.length).toBeGreaterThan(2)
			for (const { code, message } of errors) {
				expect(code).toBe('ERR_TALLYMARK_STORE_UNAVAILABLE')
				expect(message).toMatch(each.says)
				for (const secret of [password, wrong]) expect(message).not.toContain(secret)
			}
			const health = await counter.health()
			expect(health).toMatchObject({ status: 'down', pendingHits: 5, dropped: 0, lastError: { code: 'ERR_TALLYMARK_STORE_UNAVAILABLE' } })
			expect(health.nodes).toMatchObject([{ status: 'down', reason: expect.stringMatching(each.says) }])
			expect(await admin.dbsize()).toBe(0)

			await each.letIn()
			await counter.flush({ timeoutMs: 10_000 })
			expect(await counter.count('/home')).toBe(5)
			expect((await counter.uniques('/home')).value).toBe(5)
			expect(await counter.health()).toMatchObject({ status: 'up', pendingHits: 0, dropped: 0, rolledBack: 0 })
		},
	)

	it.each(['the wrong password', 'the wrong password of a user'])(
		'%s after a while: nothing is lost or doubled meanwhile',
		async (name) => {
			const each = cases[name]!
			await each.letIn()
			const { counter } = open(storeOf(each, kind))
			void counter.hit('/home', { by: 10 })
			await counter.flush()
			for (let round = 1; round <= 2; round++) {
				await each.lockOut()
				// Who is in stays in, until the connection breaks.
				void counter.hit('/home', { by: 100 })
				await counter.flush()
				await admin.call('client', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
				await expect.poll(() => counter.count('/home').catch(({ message }: Error) => message), { timeout: 10_000 }).toMatch(each.says)
				void counter.hit('/home', { by: 1_000 })
				await new Promise((resolve) => setTimeout(resolve, 200))
				expect((await counter.health()).pendingHits).toBe(1_000)
				await each.letIn()
				await counter.flush({ timeoutMs: 10_000 })
				expect(await counter.count('/home')).toBe(10 + 1_100 * round)
			}
			expect((await counter.health()).rolledBack).toBe(0)
		},
	)
})

it('a counter that was never let in closes in time, and says what it could not store', async () => {
	await cases['the wrong password']!.lockOut()
	const { counter } = open(storeOf(cases['the wrong password']!, 'a url'))
	void counter.hit('/home', { by: 3 })
	const begin = Date.now()
	expect(await counter.close({ timeoutMs: 500 })).toEqual({ stored: 0, unstored: 3 })
	expect(Date.now() - begin).toBeLessThan(10_000)
})
