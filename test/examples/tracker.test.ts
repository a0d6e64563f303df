import { describe, expect, it, onTestFinished } from 'vitest'
import { ask, soon } from '../http/support/served.ts'
import { startRedis } from '../support/redis-server.ts'
import { browser, exampleServer, outputOf, runProgram } from './support/example-server.ts'

const from = (port: number, address: string) => ask(port, '/site/', { headers: { ...browser, 'x-forwarded-for': address } })
const lines = (output: string) => output.split('\n').filter((line) => line.includes('unique hits'))

describe('--tracker', () => {
	it('simple: says after each request how many there were, and from how many visitors', async () => {
		const server = await exampleServer({}, ['--tracker', 'simple'])
		for (const [at, address] of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.1'].entries()) {
			await from(server.port, address)
			await soon(() => expect(lines(server.output())).toHaveLength(at + 1))
		}
		expect(lines(server.output())).toEqual([
			'1 unique hits from total 1 hits',
			'1 unique hits from total 2 hits',
			'2 unique hits from total 3 hits',
			'2 unique hits from total 4 hits',
		])
	})

	it('rate: with the hits of the last minute', async () => {
		const server = await exampleServer({}, ['--tracker', 'rate'])
		for (let at = 1; at <= 3; at++) {
			await from(server.port, '192.0.2.1')
			await soon(() => expect(lines(server.output())).toHaveLength(at))
		}
		expect(lines(server.output()).at(-1)).toBe('1 unique hits from total 3 hits, 3 hits per minute')
	})

	it('db: goes on where it was, for the store outlives the process', async () => {
		const redis = await startRedis()
		onTestFinished(() => redis.stop())
		const start = () => exampleServer({ REDIS_URL: redis.url }, ['--tracker=db'])
		const first = await start()
		await from(first.port, '192.0.2.1')
		await from(first.port, '192.0.2.2')
		await soon(() => expect(lines(first.output()).at(-1)).toBe('2 unique hits from total 2 hits'))
		first.process.kill('SIGTERM')
		expect(await first.ended).toMatchObject({ code: 0 })
		const second = await start()
		await from(second.port, '192.0.2.1')
		await soon(() => expect(lines(second.output())).toEqual(['2 unique hits from total 3 hits']))
	})

	it.each([
		[['--tracker', 'sqlite'], 'Expected --tracker to be simple, rate, db, got "sqlite"'],
		[['--tracker', 'db'], 'to be set for --tracker db'],
		[['--trace'], "Unknown option '--trace'"],
	])('%j does not start, and says why', async (args, message) => {
		const { code, stderr } = await outputOf(runProgram('examples/server/main.ts', args, { PORT: '0', REDIS_URL: '' }))
		expect([code, stderr]).toEqual([1, expect.stringContaining(message)])
	})
})
