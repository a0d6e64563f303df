/** The stream of summaries, for as long as somebody looks. */
import type { Summary } from '../shapes.ts'
import { byId, setText } from './dom.ts'

const againMs = 5_000

const states = { live: 'Live', lost: 'Reconnecting' }

export function watch(show: (summary: Summary) => void): void {
	let source: EventSource | undefined
	let again: number | undefined

	const tell = (state: keyof typeof states) => {
		byId('connection').dataset['state'] = state
		setText('connection-text', states[state])
	}
	const close = () => {
		clearTimeout(again)
		source?.close()
		source = undefined
	}
	const open = () => {
		close()
		source = new EventSource('/live')
		source.addEventListener('open', () => tell('live'))
		source.addEventListener('summary', ({ data }: MessageEvent<string>) => show(JSON.parse(data)))
		source.addEventListener('error', () => {
			tell('lost')
			// The browser tries again by itself after a broken connection, but not after an answer such as 503.
			if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, againMs)
		})
	}
	// A tab that nobody sees holds no connection: browsers have few for each server.
	document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()))
	if (!document.hidden) open()
}
