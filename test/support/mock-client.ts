/**
 * An ioredis-mock as the client of a RedisStore. It has no `call`, no SCRIPT LOAD and no EVALSHA: each command becomes the method of its name, and each
 * script an EVAL, in which what a script reads is made what it is in Redis (nil is false, a list is a table).
 */
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import type { RedisClient, RedisPipeline } from '../../src/redis.ts'

type Argument = string | number | Uint8Array
type Call = readonly [name: string, args: readonly Argument[], binary: boolean]
type Result = [error: Error | null, reply: unknown]

const asInRedis = `
local bare = redis.call
local function repaired(value)
	if type(value) ~= 'userdata' then return value end
	if tostring(value) == 'null' then return false end
	local list = {}
	for i = 1, #value do list[i] = repaired(value[i]) end
	return list
end
local redis = { call = function(...) return repaired(bare(...)) end }
`

const require = createRequire(import.meta.url)
// It is made for ioredis 5 and runs each reply through what ioredis has for that, which in ioredis 6 needs a connection.
const { default: IoredisCommand } = require('ioredis/built/Command.js') as { default: { _transformer: { reply: Record<string, unknown> } } }
for (const name of Object.keys(IoredisCommand._transformer.reply)) delete IoredisCommand._transformer.reply[name]
const Mock = require('ioredis-mock') as new () => object

/** All mocks of a process share their data. */
export function mockClient(): RedisClient {
	const mock = new Mock()
	const scripts = new Map<string, string>()
	const ask = async (name: string, args: readonly Argument[]): Promise<unknown> => {
		const method: unknown = Reflect.get(mock, name)
		if (typeof method !== 'function') throw new Error(`ERR unknown command '${name}'`)
		return Reflect.apply(method, mock, args)
	}
	const run = ([name, args, binary]: Call): Promise<unknown> => {
		if (name === 'script') {
			const source = String(args[1])
			const sha = createHash('sha1').update(source).digest('hex')
			scripts.set(sha, source)
			return Promise.resolve(sha)
		}
		if (name === 'eval') return ask('eval', [asInRedis + args[0], ...args.slice(1)])
		if (name !== 'evalsha') return ask(binary ? `${name}Buffer` : name, args)
		const source = scripts.get(String(args[0]))
		if (source === undefined) return Promise.reject(new Error('NOSCRIPT No matching script. Please use EVAL.'))
		return ask('eval', [asInRedis + source, ...args.slice(1)])
	}
	return {
		pipeline(): RedisPipeline {
			const calls: Call[] = []
			return {
				call: (name, args) => calls.push([name, args, false]),
				callBuffer: (name, args) => calls.push([name, args, true]),
				exec: async () => {
					const results: Result[] = []
					for (const call of calls) {
						results.push(
							await run(call).then(
								(value): Result => [null, value],
								(error: Error): Result => [error, undefined],
							),
						)
					}
					return results
				},
			}
		},
		on: () => {},
		off: () => {},
	}
}
