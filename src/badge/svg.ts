/** A badge as SVG: no script, no style, no id, no link, nothing from elsewhere, so that it is safe as a picture and inside a page. */
import { expected } from '../errors.ts'
import { type BadgeColor, colorOf, textOn } from './color.ts'
import { escaped, shownText, widthOf } from './text.ts'

export type BadgeStyle = 'flat' | 'flat-square'

export interface BadgeOptions {
	/** The left side; '' for none. What is longer than 64 characters is cut. */
	readonly label: string
	/** The right side; a number is written as `1,234`. */
	readonly value: string | number
	/** Of the right side: a name of `badgeColors`, `#rgb` or `#rrggbb`. @default 'blue' */
	readonly color?: BadgeColor | undefined
	/** Of the left side. @default 'grey' */
	readonly labelColor?: BadgeColor | undefined
	/** With round corners or without. @default 'flat' */
	readonly style?: BadgeStyle | undefined
}

const height = 20
const padding = 6
const baseline = 14
const radii: Readonly<Record<BadgeStyle, number>> = { flat: 3, 'flat-square': 0 }
const names: Record<keyof Required<BadgeOptions>, true> = { label: true, value: true, color: true, labelColor: true, style: true }

/** SVG text. Label and value may be anything anybody wrote; throws `ERR_TALLYMARK_OPTION` for options that cannot be right. */
export function badge(options: BadgeOptions): string {
	for (const name of Object.keys(options)) {
		if (!Object.hasOwn(names, name)) throw expected('ERR_TALLYMARK_OPTION', 'options', `among ${Object.keys(names).join(', ')}`, name)
	}
	const { color = 'blue', labelColor = 'grey', style = 'flat' } = options
	const label = shownText('label', options.label)
	const value = shownText('value', options.value)
	if (!Object.hasOwn(radii, style)) throw expected('ERR_TALLYMARK_OPTION', 'style', "'flat' or 'flat-square'", style)
	const radius = radii[style]
	const left = label === '' ? 0 : sideWidth(label)
	const width = left + sideWidth(value)
	const name = escaped(label === '' ? value : `${label}: ${value}`)
	const sides = [
		...(label === '' ? [] : [side(label, 0, left, colorOf('labelColor', labelColor), radius, 0)]),
		side(value, left, width, colorOf('color', color), label === '' ? radius : 0, radius),
	]
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">`,
		`<title>${name}</title>`,
		`<g font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">${sides.join('')}</g>`,
		'</svg>',
	].join('')
}

function sideWidth(text: string): number {
	return Math.round(widthOf(text)) + 2 * padding
}

/** One side from x `from` to `to`, its outer corners rounded. */
function side(text: string, from: number, to: number, background: string, leftRadius: number, rightRadius: number): string {
	const shape = [
		`M${from + leftRadius} 0H${to - rightRadius}`,
		corner(rightRadius, rightRadius, rightRadius),
		`V${height - rightRadius}`,
		corner(rightRadius, -rightRadius, rightRadius),
		`H${from + leftRadius}`,
		corner(leftRadius, -leftRadius, -leftRadius),
		`V${leftRadius}`,
		corner(leftRadius, leftRadius, -leftRadius),
		'z',
	].join('')
	const length = to - from - 2 * padding
	return [
		`<path d="${shape}" fill="${background}"/>`,
		`<text x="${(from + to) / 2}" y="${baseline}" textLength="${length}" lengthAdjust="spacingAndGlyphs" fill="${textOn(background)}">${escaped(text)}</text>`,
	].join('')
}

function corner(radius: number, dx: number, dy: number): string {
	return radius === 0 ? '' : `a${radius} ${radius} 0 0 1 ${dx} ${dy}`
}
