/** The contract on ioredis-mock, which the tests of many applications run on, as far as that keeps to Redis. */
import { describe, expect, it } from 'vitest'
import { RedisStore } from '../../../src/redis.ts'
import { storeContract } from '../../../src/testing.ts'
import { mockClient } from '../../support/mock-client.ts'

/** What cannot run on it, and why. */
const cannot: readonly (readonly [name: RegExp, reason: string])[] = [
	[/^a bucket is read up to its deadline and never after it, which no late hit moves$/, 'its TIME is rounded, to half a second ahead'],
	[/^any text is a key: hostile ones count, rank and list like others$/, 'its MATCH finds no member with a line break'],
	[/^hostile keys are set and deleted without a trace on others$/, 'its MATCH finds no member with a line break'],
	[/ \(hyperloglog\)$/, 'it has no PFADD'],
	[/ \(bloom\)$/, 'it has no BITFIELD'],
]
const cases = storeContract(() => new RedisStore(mockClient(), { partitions: 4 }), { trackers: ['set', 'hyperloglog', 'bloom'] })

describe.concurrent('the Redis store, over ioredis-mock', () => {
	for (const { name, run } of cases) {
		const reason = cannot.find(([which]) => which.test(name))?.[1]
		if (reason === undefined) it(name, run)
		else it.skip(`${name}: ${reason}`)
	}
})

it('nothing is left out of the contract on ioredis-mock that is not in the contract', () => {
	for (const [which] of cannot)
		expect(
			cases.some(({ name }) => which.test(name)),
			String(which),
		).toBe(true)
})
