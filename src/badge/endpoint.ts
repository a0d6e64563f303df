/** A badge that shields.io draws: the JSON that its endpoint badge reads (https://shields.io/badges/endpoint-badge). */
import { expected } from '../errors.ts'
import { type BadgeColor, badgeColors, colorOf } from './color.ts'
import { shownText } from './text.ts'

export interface BadgeEndpointOptions {
	readonly label: string
	readonly value: string | number
	/** @default 'blue' */
	readonly color?: BadgeColor | undefined
	/** How long shields.io keeps it, seconds; it takes nothing below 300. @default what shields.io does by itself */
	readonly cacheSeconds?: number | undefined
}

export interface BadgeEndpoint {
	readonly schemaVersion: 1
	readonly label: string
	readonly message: string
	readonly color: string
	readonly cacheSeconds?: number
}

/** The object to answer with as JSON. Throws `ERR_TALLYMARK_OPTION` for options that cannot be right. */
export function badgeEndpoint({ label, value, color = 'blue', cacheSeconds }: BadgeEndpointOptions): BadgeEndpoint {
	const message = shownText('value', value)
	if (message === '') throw expected('ERR_TALLYMARK_OPTION', 'value', 'a text that can be seen, as shields.io asks for', value)
	if (cacheSeconds !== undefined && (!Number.isSafeInteger(cacheSeconds) || cacheSeconds < 300)) {
		throw expected('ERR_TALLYMARK_OPTION', 'cacheSeconds', 'a whole number of at least 300', cacheSeconds)
	}
	// shields.io has shades of its own for the names, and takes digits without #.
	const shade = colorOf('color', color)
	return {
		schemaVersion: 1,
		label: shownText('label', label),
		message,
		color: Object.hasOwn(badgeColors, color) ? color : shade.slice(1),
		...(cacheSeconds !== undefined && { cacheSeconds }),
	}
}
