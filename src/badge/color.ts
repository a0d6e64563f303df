/** Colours of a badge: a few names, or hex digits. Anything else is refused, for a colour ends up in an attribute. */
import { expected } from '../errors.ts'

/** The names shields.io knows, in shades on which white text reads well (WCAG 2.2 AA: at least 4.5 to 1). */
export const badgeColors = {
	brightgreen: '#2a7d00',
	green: '#4a7a1c',
	yellowgreen: '#6a7206',
	yellow: '#8a6a00',
	orange: '#b04f00',
	red: '#c0392b',
	blue: '#0969c3',
	purple: '#8250df',
	pink: '#bf3989',
	lightgrey: '#6e7781',
	grey: '#555555',
	black: '#1f2328',
} as const

export type BadgeColor = keyof typeof badgeColors | `#${string}`

const hex = /^#(?:[\da-f]{3}|[\da-f]{6})$/i

/** `#rrggbb`, lower case. Throws `ERR_TALLYMARK_OPTION` for what is neither a name nor `#rgb` nor `#rrggbb`. */
export function colorOf(name: string, color: unknown): string {
	if (typeof color === 'string') {
		if (Object.hasOwn(badgeColors, color)) return badgeColors[color as keyof typeof badgeColors]
		if (hex.test(color)) return (color.length === 4 ? color.replace(/[\da-f]/gi, '$&$&') : color).toLowerCase()
	}
	throw expected('ERR_TALLYMARK_OPTION', name, `#rgb, #rrggbb, or one of ${Object.keys(badgeColors).join(', ')}`, color)
}

/** White or black, whichever reads better on `background` (`#rrggbb`). */
export function textOn(background: string): '#fff' | '#000' {
	// The two contrasts, (1 + 0.05) / (l + 0.05) and (l + 0.05) / 0.05, are the same at this luminance.
	return luminance(background) > Math.sqrt(1.05 * 0.05) - 0.05 ? '#000' : '#fff'
}

/** WCAG's relative luminance of `#rrggbb`, from 0 (black) to 1 (white). */
export function luminance(color: string): number {
	const [red, green, blue] = [1, 3, 5].map((at) => {
		const value = Number.parseInt(color.slice(at, at + 2), 16) / 255
		return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
	}) as [number, number, number]
	return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
