/** Numbers and times in words. Times are UTC: so are the buckets they belong to. */
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

/** `now` against `before`, as a signed percentage; undefined where there was nothing before. */
export function changeText(now: number, before: number): string | undefined {
	return before === 0 ? undefined : signedPercent.format(now / before - 1)
}

export function ageText(ms: number): string {
	if (ms < 1_000) return `${Math.round(ms)} ms`
	return ms < 120_000 ? `${(ms / 1_000).toFixed(1)} s` : `${whole.format(Math.round(ms / 60_000))} min`
}

/** A page's name for the eye: what would not be seen gets a sign of its own. */
export function nameText(page: string): string {
	const visible = [...page]
		.map((character) => (character < ' ' ? String.fromCodePoint(0x2400 + character.codePointAt(0)!) : character))
		.join('')
	return visible.trim() === '' ? visible.replace(/\s/gu, '\u2423') : visible
}

export function pageUrl(page: string): string {
	return `/dashboard/page?page=${encodeURIComponent(page)}`
}
