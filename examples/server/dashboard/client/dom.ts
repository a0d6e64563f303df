/** The page's elements. Names of pages come from anybody: they go in as text, never as markup. */

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
	const found = document.getElementById(id)
	if (found === null) throw new Error(`There is no #${id}`)
	return found as T
}

/** Writes only what is different: an untouched node keeps its selection, and no screen reader hears of it. */
export function setText(target: string | HTMLElement, text: string): void {
	const element = typeof target === 'string' ? byId(target) : target
	if (element.textContent !== text) element.textContent = text
}

/** A number that is set large: its length says how large it may be in one line. */
export function setNumber(id: string, text: string): void {
	setText(id, text)
	byId(id).style.setProperty('--length', String(text.length))
}

export function make<Tag extends keyof HTMLElementTagNameMap>(
	tag: Tag,
	attributes: Readonly<Record<string, string>> = {},
	...content: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
	const element = document.createElement(tag)
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
	element.append(...content)
	return element
}

/**
 * One row per item, in order. The row of an item that was there before is moved, not made anew, and keeps the focus: `keyOf` says which it is,
 * `update` fills it.
 */
export function fillRows<Item>(
	body: HTMLElement,
	items: readonly Item[],
	keyOf: (item: Item) => string,
	update: (row: HTMLTableRowElement, item: Item) => void,
): void {
	const focused = document.activeElement
	const before = new Map([...body.children].map((row) => [row.getAttribute('data-key'), row as HTMLTableRowElement]))
	const rows = items.map((item) => {
		const row = before.get(keyOf(item)) ?? make('tr', { 'data-key': keyOf(item) })
		update(row, item)
		return row
	})
	if (rows.length === body.children.length && rows.every((row, index) => row === body.children[index])) return
	body.replaceChildren(...rows)
	if (focused !== document.activeElement && focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true })
}

/** Sets the texts of a row's cells; the first call makes them, the first cell a heading when it is given as a node. */
export function fillCells(row: HTMLTableRowElement, make: () => readonly HTMLElement[], texts: readonly (string | undefined)[]): void {
	if (row.cells.length === 0) row.append(...make())
	for (const [index, text] of texts.entries()) if (text !== undefined) setText(row.cells[index]!, text)
}
