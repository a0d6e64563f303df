import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashed, hashText } from '../../src/hash/murmur64.ts'
import { addressesIn, addressOf } from '../../src/http/address.ts'
import { anonymousVisitor, keyedVisitor } from '../../src/http/visitor.ts'
import { createTracker } from '../../src/visitors/trackers.ts'

const secret = 'a secret of more than 16 bytes'
const noon = Date.UTC(2026, 0, 15, 12)
const clock = { now: () => noon }
const agent = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'

describe('anonymousVisitor', () => {
	it('gives the same person the same id all day, and another the next day', () => {
		let now = Date.UTC(2026, 0, 15)
		const visitor = anonymousVisitor({ secret, clock: { now: () => now } })
		const morning = visitor({ ip: '192.0.2.1', userAgent: agent })
		now = Date.UTC(2026, 0, 15, 23, 59, 59, 999)
		expect(visitor({ ip: '192.0.2.1', userAgent: agent })).toBe(morning)
		now++
		expect(visitor({ ip: '192.0.2.1', userAgent: agent })).not.toBe(morning)
	})

	it('is 128 bits and holds nothing of the address or the browser', () => {
		const id = anonymousVisitor({ secret, clock })({ ip: '192.0.2.1', userAgent: agent })
		expect(id).toMatch(/^[\w-]{22}$/)
		expect(id).toBe(
			anonymousVisitor({ secret: Buffer.from(secret), clock, site: '', ipv6Prefix: 64 })({ ip: '192.0.2.1', userAgent: agent }),
		)
		// Pinned: another value would count everybody twice on the day of an upgrade.
		expect(id).toMatchInlineSnapshot(`"Vs5k8tPDvZV7SVS07ZF0OA"`)
	})

	it('tells apart address, browser, site and secret', () => {
		const ids = [
			anonymousVisitor({ secret, clock })({ ip: '192.0.2.1', userAgent: agent }),
			anonymousVisitor({ secret, clock })({ ip: '192.0.2.2', userAgent: agent }),
			anonymousVisitor({ secret, clock })({ ip: '192.0.2.1', userAgent: 'curl/8' }),
			anonymousVisitor({ secret, clock })({ ip: '192.0.2.1' }),
			anonymousVisitor({ secret, clock, site: 'b' })({ ip: '192.0.2.1', userAgent: agent }),
			anonymousVisitor({ secret: `${secret}!`, clock })({ ip: '192.0.2.1', userAgent: agent }),
		]
		expect(new Set(ids).size).toBe(ids.length)
	})

	it('no text of one part can pass for another part', () => {
		const visitor = (site: string, userAgent: string) => anonymousVisitor({ secret, clock, site })({ ip: '192.0.2.1', userAgent })
		expect(visitor('a","192.0.2.1","b', 'c')).not.toBe(visitor('a', 'b","192.0.2.1","c'))
	})

	it('reads the browser from the headers of a request', () => {
		const visitor = anonymousVisitor({ secret, clock })
		expect(visitor({ ip: '192.0.2.1', headers: { 'user-agent': agent } })).toBe(visitor({ ip: '192.0.2.1', userAgent: agent }))
		expect(visitor({ ip: '192.0.2.1', headers: { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.1' } })).toBe(
			visitor({ ip: '192.0.2.1' }),
		)
	})

	it('looks at the first 512 characters of the browser only', () => {
		const visitor = anonymousVisitor({ secret, clock })
		const long = 'x'.repeat(512)
		expect(visitor({ ip: '192.0.2.1', userAgent: `${long}a` })).toBe(visitor({ ip: '192.0.2.1', userAgent: `${long}b` }))
		expect(visitor({ ip: '192.0.2.1', userAgent: long.slice(1) })).not.toBe(visitor({ ip: '192.0.2.1', userAgent: long }))
	})

	it('knows nobody without an address', () => {
		const visitor = anonymousVisitor({ secret, clock })
		for (const ip of [undefined, '', 'unknown', '_hidden', '1.2.3', '1.2.3.4.5', '::g', '[', '[]:80', ':80', '/run/app.sock']) {
			expect(visitor({ ip, userAgent: agent })).toBeUndefined()
		}
	})

	it('without a secret or a counter takes a random salt of the process', () => {
		const one = anonymousVisitor({ clock })({ ip: '192.0.2.1' })
		expect(anonymousVisitor({ clock })({ ip: '192.0.2.1' })).toBe(one)
		expect(anonymousVisitor({ secret, clock })({ ip: '192.0.2.1' })).not.toBe(one)
	})

	it.each([
		[{ secret: 'short' }, /Expected `secret` to be at least 16 bytes long, got 5 \(number\)/],
		[{ secret: 7 as never }, /Expected `secret` to be a string or bytes/],
		[{ ipv6Prefix: 0 }, /Expected `ipv6Prefix` to be an integer from 1 to 128, got 0/],
		[{ ipv6Prefix: 129 }, /ipv6Prefix/],
		[{ ipv6Prefix: 63.5 }, /ipv6Prefix/],
		[{ site: 1 as never }, /site/],
		[{ sekret: secret } as never, /sekret/],
	])('refuses %j', (options, message) => {
		expect(() => anonymousVisitor(options)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(message) }),
		)
	})

	it('never says the secret in an error', () => {
		expect(() => anonymousVisitor({ secret: 'pa$$word' })).toThrow(
			expect.not.objectContaining({ message: expect.stringContaining('pa$$word') }),
		)
	})
})

describe('addressOf', () => {
	it.each([
		['192.0.2.1', '192.0.2.1'],
		['192.0.2.1:8080', '192.0.2.1'],
		['::ffff:192.0.2.1', '192.0.2.1'],
		['::FFFF:c000:0201', '192.0.2.1'],
		['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
		['[::ffff:192.0.2.1]:443', '192.0.2.1'],
		['2001:db8:1:2:3:4:5:6', '2001:db8:1:2:0:0:0:0/64'],
		['2001:0DB8:0001:0002::', '2001:db8:1:2:0:0:0:0/64'],
		['[2001:db8:1:2::9]:443', '2001:db8:1:2:0:0:0:0/64'],
		['[2001:db8:1:2::9]', '2001:db8:1:2:0:0:0:0/64'],
		['fe80::1%eth0', 'fe80:0:0:0:0:0:0:0/64'],
		['[fe80::1%25eth0]:80', 'fe80:0:0:0:0:0:0:0/64'],
		['::1', '0:0:0:0:0:0:0:0/64'],
		['64:ff9b::192.0.2.1', '64:ff9b:0:0:0:0:0:0/64'],
	])('%s stands for %s', (ip, address) => {
		expect(addressOf(ip, 64)).toBe(address)
	})

	it('keeps the bits of the prefix and no others', () => {
		expect(addressOf('ffff:ffff:ffff:ffff:ffff::', 56)).toBe('ffff:ffff:ffff:ff00:0:0:0:0/56')
		expect(addressOf('ffff:ffff:ffff:ffff:ffff::', 1)).toBe('8000:0:0:0:0:0:0:0/1')
		expect(addressOf('2001:db8::1', 128)).toBe('2001:db8:0:0:0:0:0:1/128')
	})

	it('however an IPv6 address is written, it is one; and its /64 decides', () => {
		const group = fc.integer({ min: 0, max: 0xffff })
		fc.assert(
			fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), fc.array(group, { minLength: 4, maxLength: 4 }), (groups, other) => {
				fc.pre(groups.slice(0, 5).some((each) => each !== 0))
				const long = groups.map((each) => each.toString(16).padStart(4, '0').toUpperCase()).join(':')
				const short = new URL(`http://[${long}]`).hostname
				expect(addressOf(short, 64)).toBe(addressOf(long, 64))
				expect(addressOf([...groups.slice(0, 4), ...other].map((each) => each.toString(16)).join(':'), 64)).toBe(addressOf(long, 64))
				expect(isIPv6(addressOf(long, 128)!.replace('/128', ''))).toBe(true)
			}),
		)
	})

	it('never throws', () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.array(fc.constantFrom(':', '::', '[', ']', '%', 'ffff', '1.2.3.4', '0'))), (text) => {
				addressOf(String(text), 64)
				addressOf(Array.isArray(text) ? text.join('') : text, 64)
			}),
		)
	})
})

describe('addressesIn', () => {
	it.each([
		['192.0.2.1', '192.0.2.1', true],
		['192.0.2.1', '::ffff:192.0.2.1', true],
		['192.0.2.1', '192.0.2.2', false],
		['192.0.2.1', '[::1]:80', false],
		['10.0.0.0/8', '10.255.1.2', true],
		['10.0.0.0/8', '11.0.0.0', false],
		['172.16.0.0/12', '172.31.255.255', true],
		['172.16.0.0/12', '172.32.0.0', false],
		['0.0.0.0/0', '203.0.113.9', true],
		['0.0.0.0/0', '::2', false],
		['2001:db8::/33', '2001:db8:7fff::1', true],
		['2001:db8::/33', '2001:db8:8000::1', false],
		['::1', '::1', true],
		['::1', '::2', false],
		['::1', undefined, false],
		['::1', 'unknown', false],
	])('of %s is %s: %s', (network, address, is) => {
		expect(addressesIn('own', [network])(address)).toBe(is)
		expect(addressesIn('own', ['198.51.100.1', network, 'fe80::/10'])(address)).toBe(is)
	})

	it.each(['', 'x', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', '::/', '10.0.0.0/8x'])('refuses %s', (network) => {
		expect(() => addressesIn('own.addresses', [network])).toThrow(/Expected `own.addresses` to be addresses such as/)
	})
})

describe('keyedVisitor', () => {
	it('gives one id to one text under one secret, and another under another', () => {
		const visitorOf = keyedVisitor('a secret of 24 bytes ...')
		expect(visitorOf('ada')).toBe(keyedVisitor('a secret of 24 bytes ...')('ada'))
		expect(visitorOf('ada')).not.toBe(visitorOf('bob'))
		expect(visitorOf('ada')).not.toBe(keyedVisitor('another secret, as long')('ada'))
		expect(visitorOf('ada')).toMatch(/^[\w-]{22}$/)
	})

	it('undoes a forgery: ids chosen to fall on few registers no longer do', () => {
		// Found by trying: without a key these are many ids on few registers.
		const forged: string[] = []
		for (let i = 0; forged.length < 40; i++) {
			hashText(`forged-${i}`)
			if ((hashed[0]! & 0x3ff) === 7) forged.push(`forged-${i}`)
		}
		const estimateOf = (ids: string[]) => {
			const tracker = createTracker('hyperloglog')
			const delta = tracker.delta()
			for (const id of ids) delta.add(id)
			const sketch = tracker.sketch()
			sketch.apply(delta)
			return sketch.estimate().value
		}
		// 40 ids on 16 registers.
		expect(estimateOf(forged)).toBeLessThanOrEqual(16)
		expect(estimateOf(forged.map(keyedVisitor('a secret of 24 bytes ...')))).toBeGreaterThanOrEqual(38)
	})

	it('refuses a secret that is too short, and does not show it', () => {
		expect(() => keyedVisitor('short')).toThrow(expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION' }))
		expect(() => keyedVisitor('short')).not.toThrow(/short"/)
	})
})
