/** Numbers and times in words. Times are UTC: so are the buckets they belong to. */
import { unseenCharacters } from '../../../../src/badge/unseen.ts'
import type { Estimate, Granularity } from '../../../../src/index.ts'

const whole = new Intl.NumberFormat('en')
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 2 })
const signedPercent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 0, signDisplay: 'exceptZero' })
const score = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: 'UTC' })
const date = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric', timeZone: 'UTC' })
const longDate = new Intl.DateTimeFormat('en', { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })

export const numberText = (value: number): string => whole.format(value)
export const shortNumber = (value: number): string => short.format(value)
export const scoreText = (value: number): string => score.format(value)
export const clockText = (time: number): string => clock.format(time)
export const dateText = (time: number): string => date.format(time)

/** When a point began, in full. */
export function whenText(start: number, granularity: Granularity): string {
	return granularity === 'day' ? longDate.format(start) : `${date.format(start)}, ${clock.format(start)}`
}

/** How far off an estimate may be. */
export function errorText({ value, exact, error }: Estimate): string {
	return exact ? 'exact' : `± ${whole.format(Math.round(value * error))} (standard error ${percent.format(error)})`
}

/** All visitors of all time. */
export function visitorsText(visitors: Estimate): string {
	return `${whole.format(visitors.value)} unique ${visitors.value === 1 ? 'visitor' : 'visitors'}, ${errorText(visitors)}`
}

/** `now` against `before`, as a signed percentage; undefined where there was nothing before. */
export function changeText(now: number, before: number): string | undefined {
	return before === 0 ? undefined : signedPercent.format(now / before - 1)
}

export function ageText(ms: number): string {
	if (ms < 1_000) return `${Math.round(ms)} ms`
	return ms < 120_000 ? `${(ms / 1_000).toFixed(1)} s` : `${whole.format(Math.round(ms / 60_000))} min`
}

const picture = '\\p{Extended_Pictographic}[\\ufe0e\\ufe0f\\u{1f3fb}-\\u{1f3ff}]?'
/** Letters of the scripts in which joiners shape words, and of others that do no harm here. */
const joining = '(?![\\p{Script=Latin}\\p{Script=Greek}\\p{Script=Cyrillic}])[\\p{L}\\p{M}]'
/** What stays as it is, in a group, or else what would not be seen. */
const signed = new RegExp(
	[
		// One emoji: a family, a flag, a digit in a box.
		`(\\u{1f3f4}[\\u{e0061}-\\u{e007a}]+\\u{e007f}|${picture}(?:\\u200d${picture})*|[\\d#*]\\ufe0f?\\u20e3`,
		`(?<=${joining})[\\u200c\\u200d](?=${joining}))`,
		`[${unseenCharacters}\\p{Default_Ignorable_Code_Point}]`,
		// Spaces at the ends, beside each other, or not plain.
		'^ +| +$| {2,}|(?! )\\p{Zs}',
	].join('|'),
	'gu',
)

/** A page's name for the eye: what would not be seen, or would have the rest read in another order, gets a sign of its own. */
export function nameText(page: string): string {
	return page.replace(signed, (found, kept?: string) => kept ?? Array.from(found, signOf).join(''))
}

function signOf(character: string): string {
	const code = character.codePointAt(0)!
	if (code < 0x20) return String.fromCodePoint(0x2400 + code)
	if (code === 0x20) return '\u2423'
	return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, '0')}\u27e9`
}

export function pageUrl(page: string): string {
	return `/dashboard/page?page=${encodeURIComponent(page)}`
}
