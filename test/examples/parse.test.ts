import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseLine, parseTime } from '../../examples/replay/parse.ts'
import { sampleLog } from '../../examples/replay/sample-log.ts'

const whole = '192.0.2.1 - ada [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023 "http://example.com/" "Mozilla/5.0 (X11)"'
const parsed = {
	address: '192.0.2.1',
	at: Date.UTC(2015, 4, 17, 10, 5, 3),
	method: 'GET',
	target: '/a?b=c',
	status: 200,
	agent: 'Mozilla/5.0 (X11)',
}

describe('parseLine', () => {
	it('reads the combined format', () => {
		expect(parseLine(whole)).toEqual(parsed)
		expect(parseLine(`${whole}\r`)).toEqual(parsed)
		expect(parseLine(`${whole} 0.003 "more"`)).toEqual(parsed)
	})

	it('reads the common format, an IPv6 address, no agent, no protocol', () => {
		expect(parseLine('2001:db8::1 - - [17/May/2015:10:05:03 +0000] "HEAD / HTTP/1.0" 304 -')).toMatchObject({
			address: '2001:db8::1',
			method: 'HEAD',
			status: 304,
			agent: '',
		})
		expect(parseLine('h - - [17/May/2015:10:05:03 +0000] "GET /old" 200 1 "-" "-"')).toMatchObject({ target: '/old', agent: '' })
	})

	it('takes a user with spaces, a target with spaces, escaped quotes and bytes', () => {
		expect(parseLine('h - Ada L [17/May/2015:10:05:03 +0000] "GET /a b HTTP/1.1" 200 1 "-" "x"')).toMatchObject({ target: '/a b' })
		expect(parseLine('h - - [17/May/2015:10:05:03 +0000] "GET /a\\"b\\\\\\xc3\\xa9 HTTP/1.1" 200 1 "\\"" "a \\"b\\""')).toMatchObject({
			target: '/a"b\\%c3%a9',
			agent: 'a "b"',
		})
	})

	it('cut off anywhere, it is read exactly while address, time and request are there', () => {
		const enough = whole.indexOf(' HTTP') + 1
		for (let length = 0; length <= whole.length; length++) {
			const cut = parseLine(whole.slice(0, length))
			if (length < enough) expect(cut).toBeUndefined()
			else expect(cut).toMatchObject({ address: parsed.address, at: parsed.at, method: 'GET', target: '/a?b=c' })
		}
	})

	it.each([
		'',
		'nonsense',
		'h - - [] "GET / HTTP/1.1" 200 1',
		'h - - [17/May/2015:10:05:03 +0000] "-" 408 -',
		'h - - [17/May/2015:10:05:03 +0000] "" 400 0',
		'h - - [17/May/2015:10:05:03 +0000] "\\x16\\x03\\x01" 400 0',
		'h - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1',
		'h - - "GET / HTTP/1.1" 200 1',
	])('leaves out %j', (line) => {
		expect(parseLine(line)).toBeUndefined()
	})

	it('takes any text without a pause', () => {
		fc.assert(
			fc.property(
				fc.array(fc.constantFrom('"', '\\', '[', ']', ' ', '-', 'GET ', '/', ' HTTP/1.1', '17/May/2015:10:05:03 +0000', '200'), {
					maxLength: 60,
				}),
				(pieces) => {
					parseLine(pieces.join(''))
				},
			),
		)
		for (const piece of ['"', '\\"', ' "', '[', ' - ', '" "'])
			parseLine(`h - - [17/May/2015:10:05:03 +0000] "GET / ${piece.repeat(60_000 / piece.length)}`)
	})
})

describe('parseTime', () => {
	it.each([
		['17/May/2015:10:05:03 +0000', '2015-05-17T10:05:03Z'],
		['17/May/2015:10:05:03 +0200', '2015-05-17T08:05:03Z'],
		['17/May/2015:23:05:03 -0130', '2015-05-18T00:35:03Z'],
		['29/Feb/2024:00:00:00 +0000', '2024-02-29T00:00:00Z'],
		['01/Jan/2026:00:30:00 +0100', '2025-12-31T23:30:00Z'],
	])('%s is %s', (text, iso) => {
		expect(parseTime(text)).toBe(Date.parse(iso))
	})

	it.each([
		'',
		'31/Apr/2015:10:05:03 +0000',
		'29/Feb/2023:00:00:00 +0000',
		'17/May/2015:24:05:03 +0000',
		'17/May/2015:10:60:03 +0000',
		'17/may/2015:10:05:03 +0000',
		'17/May/2015:10:05:03',
		'2015-05-17T10:05:03Z',
	])('%j is no time', (text) => {
		expect(parseTime(text)).toBeUndefined()
	})
})

describe('the sample log', () => {
	it('is the same each time and has what real logs have', () => {
		const lines = sampleLog()
		expect(sampleLog()).toEqual(lines)
		const read = lines.map(parseLine)
		expect(read).not.toContain(undefined)
		const methods = new Set(read.map((line) => line!.method))
		expect(methods).toEqual(new Set(['GET', 'HEAD', 'POST']))
		const statuses = new Set(read.map((line) => line!.status))
		expect(statuses).toEqual(new Set([200, 303, 304, 404]))
		expect(lines.filter((line) => !line.endsWith('"'))).toHaveLength(1)
		expect(read.at(-1)!.at - read[0]!.at).toBeGreaterThan(2.9 * 86_400_000)
		expect(new Set(read.map((line) => line!.address)).size).toBeGreaterThan(300)
	})
})
