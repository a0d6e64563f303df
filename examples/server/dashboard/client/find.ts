/** The field that opens a page: it proposes the names that begin with what was typed. */
import { byId, make } from './dom.ts'
import { nameText } from './format.ts'

const pauseMs = 150

export function startFind(): void {
	const field = byId<HTMLInputElement>('find')
	const list = byId('pages')
	let timer: number | undefined
	let asked: AbortController | undefined

	const propose = async () => {
		asked?.abort()
		asked = new AbortController()
		try {
			const answer = await fetch(`/dashboard/pages.json?prefix=${encodeURIComponent(field.value)}`, { signal: asked.signal })
			if (!answer.ok) return
			const { pages }: { pages: string[] } = await answer.json()
			list.replaceChildren(...pages.map((page) => make('option', { value: page, label: nameText(page) })))
		} catch {
			// Proposals are a help; without them the name is typed out.
		}
	}
	field.addEventListener('focus', () => void propose(), { once: true })
	field.addEventListener('input', () => {
		clearTimeout(timer)
		timer = setTimeout(propose, pauseMs)
	})
}
