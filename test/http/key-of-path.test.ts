import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutKey, keyOfPath } from '../../src/http/key-of-path.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text).length

describe('keyOfPath', () => {
	it.each([
		['/', '/'],
		['', '/'],
		['/a/b', '/a/b'],
		['/a/b?x=1', '/a/b'],
		['/a/b#top', '/a/b'],
		['/a?x#y/z', '/a'],
		['?x', '/'],
		['//a///b//', '/a/b'],
		['/a/', '/a'],
		['///', '/'],
		['/a/./b/../c', '/a/c'],
		['/../../a', '/a'],
		['/a/..', '/'],
		['/a/%2e%2E/b', '/b'],
		['/...', '/...'],
		['/.well-known/x', '/.well-known/x'],
		['http://example.com/a/b?c', '/a/b'],
		['http://example.com', '/'],
		['*', '/*'],
		['a/b', '/a/b'],
	])('%j counts as %j', (target, key) => {
		expect(keyOfPath(target)).toBe(key)
	})

	it.each([
		['/caf%c3%a9', '/café'],
		['/caf%C3%A9', '/café'],
		['/cafe%CC%81', '/café'],
		['/%F0%9F%8E%89', '/🎉'],
		['/a%20b', '/a b'],
		['/%61%2Db', '/a-b'],
		['/a%2fb', '/a%2Fb'],
		['/a%2Fb', '/a%2Fb'],
		['/a%3fb%23', '/a%3Fb%23'],
		['/100%25', '/100%25'],
		['/%2541', '/%2541'],
		['/%00%0a%7f', '/%00%0A%7F'],
		['/%c2%85', '/%C2%85'],
		['/a\u0000b\nc', '/a%00b%0Ac'],
		['/%e2%80%ae', '/%E2%80%AE'],
		['/100%', '/100%'],
		['/%zz%4', '/%zz%4'],
		['/%%41', '/%A'],
		['/%%34%31', '/%2541'],
		['/%ff%fe', '/%FF%FE'],
		['/%c3x', '/%C3x'],
		['/%c3%c3%a9', '/%C3é'],
		['/%ed%a0%80', '/%ED%A0%80'],
		['/%c0%af', '/%C0%AF'],
		['/\ud800', '/\ufffd'],
	])('percent-encoding has one form: %j counts as %j', (target, key) => {
		expect(keyOfPath(target)).toBe(key)
	})

	it('tells apart what is not the same page', () => {
		const keys = ['/a/b', '/a%2Fb', '/A/b', '/a%252Fb', '/a%3Fb', '/a', '/a b', '/a+b'].map((target) => keyOfPath(target))
		expect(new Set(keys).size).toBe(keys.length)
	})

	it('cuts an over-long path on a character and tells it apart by its hash', () => {
		const one = keyOfPath(`/${'é'.repeat(400)}1`)
		const other = keyOfPath(`/${'é'.repeat(400)}2`)
		expect(bytesOf(one)).toBeLessThanOrEqual(512)
		expect(one).toMatch(/^\/é{247}~[\da-f]{16}$/)
		expect(other).not.toBe(one)
		expect(bytesOf(keyOfPath(`/${'a'.repeat(600)}`))).toBe(512)
		expect(keyOfPath(`/${'a'.repeat(511)}`)).toBe(`/${'a'.repeat(511)}`)
		expect(bytesOf(keyOfPath(`/${'a'.repeat(511)}`, { maxBytes: 64 }))).toBe(64)
		expect(cutKey('short', 64)).toBe('short')
	})

	const piece = fc.oneof(
		fc.constantFrom(
			...'/ .. . % %2 %25 %2F %2e %00 %zz %c3 %a9 %34 %31 e %CC%81 ? # ~ %CD%BE %F0%9F%8E%89 \\ http://h : %cc%b8'.split(' '),
		),
		fc.constantFrom('\u0301', '\ud800', '\udc00', '\u212b', '\u037e', '\u{10000}', '\u{10fc00}', '🎉', ' ', '\n', '\u0338'),
		fc.string({ unit: 'binary', maxLength: 5 }),
		fc.string({ unit: 'grapheme', maxLength: 5 }),
	)
	const hostile = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))

	it('is a fixed point and of one shape, whatever comes', () => {
		fc.assert(
			fc.property(hostile, fc.constantFrom(32, 64, 512), (target, maxBytes) => {
				const key = keyOfPath(target, { maxBytes })
				expect(keyOfPath(key, { maxBytes })).toBe(key)
				expect(key).toMatch(/^\/[^?#\p{Cc}]*$/u)
				expect(key === '/' || !key.endsWith('/')).toBe(true)
				expect(key).not.toMatch(/\/\/|\/\.\.?(?:\/|$)|\p{Cs}/u)
				expect(key.normalize('NFC')).toBe(key)
				expect(bytesOf(key)).toBeLessThanOrEqual(maxBytes)
			}),
			{ numRuns: 3_000 },
		)
	})

	it('any path of a browser counts as its encoded form does', () => {
		fc.assert(
			fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 5 }), (segments) => {
				const path = `/${segments.map(encodeURIComponent).join('/')}`
				const shouted = path.replace(/%[\da-f]{2}/gi, (triplet) => triplet.toLowerCase())
				expect(keyOfPath(shouted)).toBe(keyOfPath(path))
				expect(keyOfPath(new URL(`http://h${path}`).pathname)).toBe(keyOfPath(path))
			}),
		)
	})

	it('takes 16 kB of hostile text without a pause', () => {
		for (const unit of ['/..', '%', '%%34%31', '/./', '%f0%9f', '//', '\ud800', '%c3', 'a/']) {
			expect(bytesOf(keyOfPath(`/${unit.repeat(16_384 / unit.length)}`))).toBeLessThanOrEqual(512)
		}
	})
})
