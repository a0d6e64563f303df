import { DOMParser, type Element } from '@xmldom/xmldom'
import { makeBadge } from 'badge-maker'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { luminance } from '../../src/badge/color.ts'
import { type BadgeOptions, badge, badgeColors } from '../../src/badge.ts'

/** Parsed as strictly as a browser does: what is not well formed throws. */
function parsed(svg: string): Element {
	const document = new DOMParser({
		onError(level, message) {
			// A character that XML cannot hold was replaced: that is how it should be.
			if (!message.includes('replacement character')) throw new Error(`${level}: ${message}`)
		},
	}).parseFromString(svg, 'image/svg+xml')
	return document.documentElement!
}

const elements = (root: Element, name: string) => Array.from(root.getElementsByTagName(name))
const contrast = (one: string, other: string) => {
	const [bright, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number]
	return (bright + 0.05) / (dark + 0.05)
}

describe('badge', () => {
	it('shows label and value, and tells them to a screen reader', () => {
		const svg = parsed(badge({ label: 'views', value: 1_234_567 }))
		expect(elements(svg, 'text').map((each) => each.textContent)).toEqual(['views', '1,234,567'])
		expect(elements(svg, 'title').map((each) => each.textContent)).toEqual(['views: 1,234,567'])
		expect([svg.getAttribute('role'), svg.getAttribute('aria-label')]).toEqual(['img', 'views: 1,234,567'])
	})

	it('without a label is its value alone', () => {
		const svg = parsed(badge({ label: '', value: 'passing' }))
		expect(elements(svg, 'text').map((each) => each.textContent)).toEqual(['passing'])
		expect(svg.getAttribute('aria-label')).toBe('passing')
		expect(elements(svg, 'path')).toHaveLength(1)
	})

	it('is well-formed and harmless whatever anybody wrote', () => {
		const hostile = fc.oneof(
			fc.string({ unit: 'binary', maxLength: 200 }),
			fc
				.array(
					fc.constantFrom('<', '>', '&', '"', "'", ']]>', '<!--', '<script>', '&lt;', '\u0000', '\ud800', '\u202e', '\uffff', 'é', '\n'),
					{
						maxLength: 50,
					},
				)
				.map((parts) => parts.join('')),
		)
		fc.assert(
			fc.property(hostile, hostile, (label, value) => {
				const svg = parsed(badge({ label, value }))
				const names = elements(svg, '*').map((each) => each.tagName)
				expect(new Set(['title', 'g', 'path', 'text', ...names])).toHaveProperty('size', 4)
				for (const each of [svg, ...elements(svg, '*')]) {
					for (const { name } of Array.from(each.attributes)) expect(name).not.toMatch(/^on|href|style|^id$/i)
				}
				expect(svg.toString()).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/)
				// XML has no place for these, though not every parser says so.
				expect(badge({ label, value })).not.toMatch(/[\p{Surrogate}\ufffe\uffff\p{Cc}]/u)
			}),
			{ numRuns: 500 },
		)
	})

	it('keeps what XML would lose, and escapes the rest', () => {
		const label = `<b title="x">&amp;'`
		const svg = badge({ label, value: '</text><script>alert(1)</script>' })
		expect(svg).not.toContain('<script')
		expect(elements(parsed(svg), 'text').map((each) => each.textContent)).toEqual([label, '</text><script>alert(1)</script>'])
		expect(parsed(svg).getAttribute('aria-label')).toBe(`${label}: </text><script>alert(1)</script>`)
	})

	it('cuts what is long between characters, however they are made', () => {
		const family = '👩‍👩‍👧‍👦'
		const [text] = elements(parsed(badge({ label: '', value: family.repeat(70) })), 'text')
		expect(text!.textContent).toBe(`${family.repeat(63)}…`)
		expect(badge({ label: 'x'.repeat(10_000_000), value: 1 }).length).toBeLessThan(2_000)
	})

	it('is as wide as shields.io draws it, to a few pixels', () => {
		const ascii = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 }).map((text) => text.replace(/\s+/g, ' ').trim() || 'x')
		const widthIn = (svg: string) => Number(/ width="([\d.]+)"/.exec(svg)![1])
		fc.assert(
			fc.property(ascii, ascii, (label, value) => {
				const theirs = widthIn(makeBadge({ label, message: value }))
				// Their sides have 2 pixels less padding, and are rounded up to an odd number: theirs are 2 to 6 narrower, and our table has tenths.
				expect(Math.abs(widthIn(badge({ label, value })) - theirs - 4)).toBeLessThanOrEqual(3)
			}),
			{ numRuns: 500 },
		)
	})

	it('draws both sides within its bounds, each text centred in its side', () => {
		const svg = parsed(badge({ label: 'views', value: '42', style: 'flat-square' }))
		const width = Number(svg.getAttribute('width'))
		const [left, right] = elements(svg, 'text')
		const edge = Number(
			elements(svg, 'path')[1]!
				.getAttribute('d')!
				.match(/^M([\d.]+)/)![1],
		)
		expect(Number(left!.getAttribute('x'))).toBe(edge / 2)
		expect(Number(right!.getAttribute('x'))).toBe((edge + width) / 2)
		for (const [text, side] of [
			[left, edge],
			[right, width - edge],
		] as const)
			expect(Number(text!.getAttribute('textLength'))).toBe(side - 12)
	})

	it.each(['flat', 'flat-square'] as const)('%s has its corners', (style) => {
		const rounded = elements(parsed(badge({ label: 'a', value: 'b', style })), 'path').map((path) => /a\d/.test(path.getAttribute('d')!))
		expect(rounded).toEqual(style === 'flat' ? [true, true] : [false, false])
	})

	it('can be read on every colour', () => {
		const hex = fc.integer({ min: 0, max: 0xffffff }).map((value) => `#${value.toString(16).padStart(6, '0')}` as const)
		const readable = (color: NonNullable<BadgeOptions['color']>) => {
			const svg = parsed(badge({ label: 'a', value: 'b', color, labelColor: color }))
			for (const [at, path] of elements(svg, 'path').entries()) {
				const text = elements(svg, 'text')[at]!.getAttribute('fill')! === '#fff' ? '#ffffff' : '#000000'
				expect(contrast(path.getAttribute('fill')!, text)).toBeGreaterThanOrEqual(4.5)
			}
		}
		fc.assert(fc.property(hex, readable))
		for (const [name, color] of Object.entries(badgeColors)) {
			readable(name as keyof typeof badgeColors)
			expect(contrast(color, '#ffffff'), name).toBeGreaterThanOrEqual(4.5)
		}
	})

	it('takes hex digits in both lengths', () => {
		expect(badge({ label: '', value: 'x', color: '#Fa0' })).toContain('fill="#ffaa00"')
		expect(badge({ label: '', value: 'x', color: '#12ab34' })).toContain('fill="#12ab34"')
	})

	it.each([
		{ color: 'url(#x)' },
		{ color: '#12345' },
		{ color: '#fff" onload="x' },
		{ color: 'constructor' },
		{ labelColor: 'red;' },
		{ style: 'round' },
		{ style: 'toString' },
		{ value: Number.NaN },
		{ value: undefined },
		{ value: {} },
		{ label: null },
		{ colour: 'red' },
	])('refuses %j', (wrong) => {
		expect(() => badge({ label: 'a', value: 'b', ...wrong } as never)).toThrow(
			expect.objectContaining({ code: 'ERR_TALLYMARK_OPTION', message: expect.stringMatching(/^Expected `\w+` to be .*, got /) }),
		)
	})
})
