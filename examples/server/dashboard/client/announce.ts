/** Tells a screen reader the number that moves, now and then: at each change it would speak without end. */
import { byId, setText } from './dom.ts'

const everyMs = 15_000
let next = 0

export function announce(text: string): void {
	if (performance.now() < next) return
	next = performance.now() + everyMs
	setText('announcement', text)
}

/** The trouble that the page is in, if any. */
export function trouble(text: string | undefined): void {
	const place = byId('trouble')
	setText(place, text ?? '')
	place.hidden = text === undefined
}
