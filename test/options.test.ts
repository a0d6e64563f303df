import { describe, expect, it } from 'vitest'
import { type BadInputError, Counter, type CounterOptions, MemoryStore } from '../src/index.ts'
import { settingsOf } from '../src/options.ts'

/** What a wrong option is answered with. */
function refusalOf(options: unknown): BadInputError {
	try {
		settingsOf(options as CounterOptions)
	} catch (error) {
		return error as BadInputError
	}
	throw new Error(`${JSON.stringify(options)} was taken`)
}

describe('settingsOf', () => {
	it('has the defaults that the README states', () => {
		const settings = settingsOf({})
		expect(settings).toMatchObject({
			namespace: 'tm',
			batch: { maxWaitMs: 1_000, maxKeys: 10_000, maxPendingKeys: 1_000_000 },
			unbatched: false,
			cache: { ttlMs: 5_000, max: 10_000, staleMs: 60_000 },
			uniquesPer: ['total', 'day'],
			retention: { minute: 86_400_000, hour: 31 * 86_400_000, day: 731 * 86_400_000 },
			cooldownMs: 0,
			idMemoryMs: 86_400_000,
			trendHalfLifeMs: 21_600_000,
			maxKeyBytes: 512,
			maxKeys: undefined,
		})
		expect(settings.tracker?.kind).toBe('hyperloglog')
	})

	it('takes undefined for absent, everywhere', () => {
		const names = Object.keys(settingsOf({}))
		const options = Object.fromEntries(
			[...names, 'store', 'uniques'].filter((name) => name !== 'unbatched' && name !== 'tracker').map((name) => [name, undefined]),
		)
		const { tracker, ...rest } = settingsOf({
			...options,
			batch: { maxWaitMs: undefined },
			cache: { max: undefined },
			retention: { hour: undefined },
		})
		const { tracker: usual, ...expected } = settingsOf({})
		expect(rest).toEqual(expected)
		expect(tracker?.kind).toBe(usual?.kind)
	})

	it('leaves visitors out of granularities that are off, and everywhere when uniques are off', () => {
		expect(settingsOf({ uniquesPer: ['total', 'day', 'hour', 'day'], retention: { hour: 0 } }).uniquesPer).toEqual(['total', 'day'])
		expect(settingsOf({ uniques: false }).uniquesPer).toEqual([])
	})

	it.each<[unknown, string, string]>([
		[null, 'options', 'null'],
		[[], 'options', 'an array (object)'],
		[{ retenion: {} }, 'options', 'retenion'],
		[{ __proto__: null, constructor: 1 }, 'options', 'constructor'],
		[{ namespace: '' }, 'namespace', '"" (string)'],
		[{ namespace: 'a{b}' }, 'namespace', '"a{b}" (string)'],
		[{ namespace: 'x'.repeat(65) }, 'namespace', '…'],
		[{ namespace: 7 }, 'namespace', '7 (number)'],
		[{ batch: true }, 'batch', 'true (boolean)'],
		[{ batch: { maxWait: 1 } }, 'batch', 'maxWait'],
		[{ batch: { maxWaitMs: 0 } }, 'batch.maxWaitMs', '0 (number)'],
		[{ batch: { maxKeys: 1.5 } }, 'batch.maxKeys', '1.5 (number)'],
		[{ batch: { maxPendingKeys: '9' } }, 'batch.maxPendingKeys', '"9" (string)'],
		[{ cache: true }, 'cache', 'true (boolean)'],
		[{ cache: { ttl: 1 } }, 'cache', 'ttl'],
		[{ cache: { ttlMs: -1 } }, 'cache.ttlMs', '-1 (number)'],
		[{ cache: { max: 0 } }, 'cache.max', '0 (number)'],
		[{ cache: { staleMs: Number.NaN } }, 'cache.staleMs', 'NaN (number)'],
		[{ uniques: 'hll' }, 'uniques', '"hll" (string)'],
		[{ uniques: true }, 'uniques', 'true (boolean)'],
		[{ uniques: {} }, 'uniques', 'Object'],
		[{ uniques: 'toString' }, 'uniques', '"toString"'],
		[{ uniquesPer: 'day' }, 'uniquesPer', '"day" (string)'],
		[{ uniquesPer: ['week'] }, 'uniquesPer', '"week" (string)'],
		[{ retention: { minutes: 1 } }, 'retention', 'minutes'],
		[{ retention: { minute: -1 } }, 'retention.minute', '-1 (number)'],
		[{ retention: { day: Number.POSITIVE_INFINITY } }, 'retention.day', 'Infinity (number)'],
		[{ cooldownMs: -1 }, 'cooldownMs', '-1 (number)'],
		[{ idMemoryMs: 1 }, 'idMemoryMs', '1 (number)'],
		[{ trendHalfLifeMs: 1_000 }, 'trendHalfLifeMs', '1000 (number)'],
		[{ maxKeyBytes: 0 }, 'maxKeyBytes', '0 (number)'],
		[{ maxKeys: 0 }, 'maxKeys', '0 (number)'],
		[{ clock: {} }, 'clock', 'Object'],
		[{ clock: Date }, 'clock', 'a function'],
		[{ onError: 'log' }, 'onError', '"log" (string)'],
		[{ store: 'redis://localhost' }, 'store', '"redis://localhost" (string)'],
		[{ store: new Map() }, 'store', 'Map (object)'],
	])('refuses %j: names %s, the expectation and the value', (options, name, value) => {
		const error = refusalOf(options)
		expect(error.code).toBe('ERR_TALLYMARK_OPTION')
		expect(error.message).toMatch(/^Expected `.+` to .+, got .+/)
		expect(error.message).toContain(`\`${name}\``)
		expect(error.message).toContain(value)
	})

	it('is asked before anything is opened', () => {
		let opened = 0
		class Watched extends MemoryStore {
			override open(...settings: Parameters<MemoryStore['open']>) {
				opened += 1
				return super.open(...settings)
			}
		}
		expect(() => new Counter({ store: new Watched(), cooldownMs: -1 })).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION' }))
		expect(opened).toBe(0)
	})
})
