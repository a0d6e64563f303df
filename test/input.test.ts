import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkAt, checkKey, checkLane, checkNames, checkText, checkWhole, utf8Length } from '../src/input.ts'

const code = (name: string) => expect.objectContaining({ code: `ERR_TALLYMARK_${name}` })
const now = Date.UTC(2026, 0, 1)

describe('utf8Length', () => {
	it('is what the encoder says, for every well-formed text', () => {
		fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => utf8Length(text) === new TextEncoder().encode(text).length))
		expect(utf8Length('aé日😀')).toBe(1 + 2 + 3 + 4)
	})
})

describe('checkKey', () => {
	it.each([
		'/',
		'__proto__',
		'constructor',
		'{a}b',
		'a:b*',
		'😀',
		'a\nb',
		'\0',
		'é'.repeat(256),
		'x'.repeat(512),
		'日'.repeat(170),
		'(other)',
		' ',
	])('takes %j', (key) => {
		expect(() => checkKey(key, 512)).not.toThrow()
	})

	it.each([
		['', '"" (string)'],
		['x'.repeat(513), 'at most 512 bytes'],
		['日'.repeat(171), 'at most 512 bytes'],
		['a\ud800b', 'lone surrogates'],
		['\udc00', 'lone surrogates'],
		[undefined, 'undefined'],
		[null, 'null'],
		[7, '7 (number)'],
		[{ toString: () => '/' }, 'Object (object)'],
		[Symbol('key'), 'Symbol(key) (symbol)'],
	])('refuses %s', (key, says) => {
		expect(() => checkKey(key, 512)).toThrow(code('KEY'))
		expect(() => checkKey(key, 512)).toThrow(says)
		expect(() => checkKey(key, 512)).toThrow(/^Expected `key` to be /)
	})

	it('says no more of a huge key than a person reads', () => {
		try {
			checkKey('x'.repeat(1_000_000), 512)
		} catch (error) {
			expect((error as Error).message.length).toBeLessThan(200)
		}
		expect.assertions(1)
	})
})

describe('the other arguments', () => {
	it('takes a moment from 1970 to a day ahead', () => {
		expect(checkAt(0, now)).toBe(0)
		expect(checkAt(new Date(now), now)).toBe(now)
		expect(checkAt(now + 86_400_000, now)).toBe(now + 86_400_000)
		for (const at of [-1, now + 86_400_001, Number.NaN, Number.POSITIVE_INFINITY, new Date('never'), '2026-01-01', null]) {
			expect(() => checkAt(at as never, now)).toThrow(code('ARGUMENT'))
			expect(() => checkAt(at as never, now)).toThrow('`at`')
		}
	})

	it('takes the lanes, and no names that objects have', () => {
		expect(() => checkLane('bot')).not.toThrow()
		for (const lane of ['robot', 'toString', '', undefined, 1]) expect(() => checkLane(lane)).toThrow(code('ARGUMENT'))
	})

	it('takes whole numbers in the bounds', () => {
		expect(() => checkWhole('by', Number.MAX_SAFE_INTEGER, 1)).not.toThrow()
		for (const by of [0, -1, 0.5, Number.NaN, 2 ** 53, '1', 1n, undefined]) expect(() => checkWhole('by', by, 1)).toThrow(code('ARGUMENT'))
		expect(() => checkWhole('limit', 11, 1, 10)).toThrow('a whole number from 1 to 10, got 11 (number)')
	})

	it('takes texts that say something', () => {
		expect(() => checkText('visitor', 'x'.repeat(4_096))).not.toThrow()
		for (const visitor of ['', 'x'.repeat(4_097), 7, null]) expect(() => checkText('visitor', visitor)).toThrow(code('ARGUMENT'))
	})

	it('refuses names that nobody knows, inherited ones too', () => {
		expect(() => checkNames('hit', { by: 1 }, ['by'])).not.toThrow()
		expect(() => checkNames('hit', { vistor: 'ada' }, ['visitor'])).toThrow('among visitor, got `vistor`')
		expect(() => checkNames('hit', Object.create({ vistor: 'ada' }), ['visitor'])).toThrow(code('ARGUMENT'))
		for (const options of [null, 'x', []]) expect(() => checkNames('hit', options as never, ['by'])).toThrow(code('ARGUMENT'))
	})
})
