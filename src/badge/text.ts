/** Text for a badge: made harmless, cut where it is long, escaped, and measured. */
import { expected } from '../errors.ts'
import { unseenCharacters } from './unseen.ts'

/**
 * Widths in Verdana at 11 px, in tenths of a pixel, of the characters from space to `~`. badge-maker, which shields.io itself draws with, knows more
 * characters and is 926 kB for it; within ASCII the two are as wide, and `textLength` settles the rest.
 */
const asciiWidths = [
	39, 43, 51, 90, 70, 118, 80, 30, 50, 50, 70, 90, 40, 50, 40, 50, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 50, 50, 90, 90, 90, 60, 110, 75,
	75, 77, 85, 70, 63, 85, 83, 46, 50, 76, 61, 93, 82, 87, 66, 87, 77, 75, 68, 81, 75, 109, 75, 68, 75, 50, 50, 50, 90, 70, 70, 66, 69, 57,
	69, 66, 39, 69, 70, 30, 38, 65, 30, 107, 70, 67, 69, 69, 47, 57, 43, 70, 65, 90, 65, 65, 58, 70, 50, 70, 90,
]
const wideWidth = 110
const otherWidth = 75
/** What is drawn as wide as it is high: Chinese, Japanese and Korean writing, emoji. */
const wide = /[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60]/u

/** Shown characters of one side of a badge. */
const longest = 64
/** Read of a text that is far too long. */
const longestRead = 1_024

/** No markup, and nothing that XML cannot hold, that would turn the direction of what follows, or that nobody sees. */
const unseen = new RegExp(`[${unseenCharacters}]`, 'gu')
const notInXml = /[\p{Surrogate}\ufffe\uffff]/gu

/** A side of a badge as it is shown: one line, at most 64 characters. Throws `ERR_TALLYMARK_OPTION` for what is neither text nor a finite number. */
export function shownText(name: string, value: unknown): string {
	if (typeof value === 'number' && Number.isFinite(value)) return value.toLocaleString('en-US')
	if (typeof value !== 'string') throw expected('ERR_TALLYMARK_OPTION', name, 'a string or a finite number', value)
	const line = value.slice(0, longestRead).replace(/\s+/g, ' ').replace(unseen, '').replace(notInXml, '\ufffd').trim()
	const characters = charactersOf(line)
	return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : line
}

/** Its width in pixels, in Verdana at 11 px; an estimate for what is not ASCII. The picture tells the viewer to make it just this wide. */
export function widthOf(text: string): number {
	let tenths = 0
	for (const character of charactersOf(text)) tenths += widthOfCharacter(character)
	return tenths / 10
}

function widthOfCharacter(character: string): number {
	// An accent adds nothing: é is as wide as e.
	const code = character.normalize('NFD').codePointAt(0)!
	const ascii = asciiWidths[code - 32]
	if (ascii !== undefined) return ascii
	return wide.test(character) ? wideWidth : otherWidth
}

/** What a reader takes for characters: a flag or a family is one. */
function charactersOf(text: string): string[] {
	return Array.from(new Intl.Segmenter('en').segment(text), ({ segment }) => segment)
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** For the text of an element and for an attribute alike. */
export function escaped(text: string): string {
	return text.replace(/[&<>"']/g, (character) => entities[character]!)
}
