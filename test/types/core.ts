/**
 * The types stop mistakes. Nothing here runs: `npm run types` compiles it, and fails where a line marked as an error is none (any more). The package
 * tests compile it once more against the declarations that are published.
 */

import { Counter, type CounterOptions, type Estimate, isTallymarkError, MemoryStore, type SeriesPoint } from '../../src/index.ts'

type Page = '/home' | '/about'

export async function mistakes(): Promise<void> {
	const counter = new Counter()
	const pages = new Counter<Page>({ store: new MemoryStore(), cooldownMs: 1_000 })

	// @ts-expect-error: a key that the counter's type does not list
	await pages.hit('/hmoe')
	// @ts-expect-error: nor when reading
	await pages.count('/abuot')
	// @ts-expect-error: one of several keys is wrong
	await pages.uniques(['/home', '/contact'])
	// @ts-expect-error: a period and a stretch of time at once
	void counter.count('/home', { period: 'day', from: 0 })
	// @ts-expect-error: a number is no key
	await counter.hit(42)

	// @ts-expect-error: a misspelt option
	await counter.hit('/home', { visiter: 'ada' })
	// @ts-expect-error: a visitor is a string: turn a numeric id into one
	await counter.hit('/home', { visitor: 7 })
	// @ts-expect-error: a time is a Date or milliseconds, not a text
	await counter.hit('/home', { at: '2026-01-01' })
	// @ts-expect-error: no such lane
	await counter.hit('/home', { lane: 'robot' })
	// @ts-expect-error: nor when reading
	counter.lane('robot')

	// @ts-expect-error: a misspelt option of the counter
	new Counter({ coolDownMs: 1_000 })
	// @ts-expect-error: batching is on by default or off, not "true"
	new Counter({ batch: true })
	// @ts-expect-error: durations are numbers of milliseconds
	new Counter({ cooldownMs: '1s' })
	// @ts-expect-error: no such way of counting visitors
	new Counter({ uniques: 'hll' })
	// @ts-expect-error: no such granularity
	new Counter({ retention: { week: 1 } })
	// @ts-expect-error: a store is an object with open()
	new Counter({ store: 'redis://localhost' })

	// @ts-expect-error: a range has a start
	await counter.count('/home', { to: Date.now() })
	// @ts-expect-error: no such period
	await counter.count('/home', { period: 'week' })
	// @ts-expect-error: a series has a granularity
	await counter.series('/home', { last: 24 })
	// @ts-expect-error: no such metric
	await counter.series('/home', { granularity: 'day', last: 7, metric: 'visits' })
	// @ts-expect-error: no such order
	await counter.top({ by: 'views' })

	const receipt = await counter.hit('/home', { visitor: 'ada', by: 2, at: new Date(), lane: 'bot', id: 'a' })
	// @ts-expect-error: only a refused hit has a reason
	receipt.reason
	if (!receipt.counted) receipt.reason satisfies 'cooldown' | 'duplicate' | 'overflow'

	// @ts-expect-error: an estimate is not a number: its value is
	const visitors: number = await counter.uniques('/home')
	// @ts-expect-error: no such event
	counter.on('hit', () => {})
	void visitors
}

export async function uses(): Promise<void> {
	await using counter = new Counter<Page>({ retention: { minute: 0 }, uniquesPer: ['total'] })
	counter.on('error', (error) => error.code.startsWith('ERR_TALLYMARK_')).on('flush', () => {})
	;(await counter.count('/home', { period: 'day' })) satisfies number
	;(await counter.uniques(['/home', '/about'], { from: new Date(0), to: Date.now() })) satisfies Estimate
	;(await counter.series('/about', { granularity: 'hour', last: 24 })) satisfies SeriesPoint[]
	;(await counter.all.count()) satisfies number
	;(await counter.lane('ai').all.count({ period: 'day' })) satisfies number
	const [best] = await counter.top({ limit: 1 })
	best?.key satisfies string | undefined
	const options: CounterOptions = { batch: false, cache: { ttlMs: 0 }, uniques: 'set' }
	try {
		new Counter(options)
	} catch (error) {
		if (isTallymarkError(error)) error.code satisfies string
	}
}
