/** Dark and light: what the system prefers, until the button says otherwise; the browser remembers that. */
import { byId } from './dom.ts'

const stored = 'tallymark-theme'
const system = matchMedia('(prefers-color-scheme: dark)')

function chosen(): string | null {
	try {
		return localStorage.getItem(stored)
	} catch {
		return null
	}
}

function keep(theme: string): void {
	try {
		localStorage.setItem(stored, theme)
	} catch {
		// Without storage it holds for this page.
	}
}

/** `repaint` is called after each change: what is drawn on a canvas does not follow by itself. */
export function startTheme(repaint: () => void): void {
	const button = byId('theme')
	const root = document.documentElement
	const isDark = () => (root.dataset['theme'] === undefined ? system.matches : root.dataset['theme'] === 'dark')
	const show = () => {
		button.setAttribute('aria-pressed', String(isDark()))
		repaint()
	}
	const before = chosen()
	if (before === 'dark' || before === 'light') root.dataset['theme'] = before
	button.addEventListener('click', () => {
		root.dataset['theme'] = isDark() ? 'light' : 'dark'
		keep(root.dataset['theme'])
		show()
	})
	system.addEventListener('change', show)
	show()
}
