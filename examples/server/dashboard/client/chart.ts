/** A chart by uPlot with what a canvas lacks: its numbers in words, and the same as a table. */
import uPlot from 'uplot'
import { make, setText } from './dom.ts'
import { clockText, dateText, numberText, shortNumber } from './format.ts'

export interface Line {
	readonly label: string
	readonly colour: 'accent' | 'bar' | 'second' | 'visitors'
	readonly shape: 'bars' | 'line' | 'dashes'
}

export interface ChartOptions {
	/** What it shows, for who cannot see it. */
	readonly name: string
	readonly lines: readonly Line[]
	/** A point's time in words. */
	readonly when: (start: number) => string
}

export type Values = readonly (number | null)[]

const height = 190
const dayMs = 86_400_000
const charts = new Set<Chart>()

/** After a change of theme. */
export function repaintCharts(): void {
	for (const chart of charts) chart.repaint()
}

export class Chart {
	readonly #host: HTMLElement
	readonly #options: ChartOptions
	readonly #plot = make('div', { class: 'plot', role: 'img' })
	readonly #amounts: readonly HTMLElement[]
	readonly #when = make('li', { class: 'when' })
	readonly #details = make('details', {}, make('summary', {}, 'Show as a table'))
	readonly #rows = make('tbody')
	readonly #uplot: uPlot
	readonly #resize = new ResizeObserver(() => this.#fit())
	#colours: Readonly<Record<string, string>> = {}
	#starts: readonly number[] = []
	#values: readonly Values[] = []

	constructor(host: HTMLElement, options: ChartOptions) {
		this.#host = host
		this.#options = options
		this.#amounts = options.lines.map(() => make('span'))
		const legend = options.lines.map(({ label, colour }, line) =>
			make('li', {}, make('span', { class: `swatch ${colour}`, 'aria-hidden': 'true' }), `${label}: `, this.#amounts[line]!),
		)
		host.replaceChildren(make('ul', { class: 'legend' }, ...legend, this.#when), this.#plot, this.#table())
		this.#readColours()
		this.#uplot = new uPlot(this.#uplotOptions(), undefined, this.#plot)
		this.#resize.observe(this.#plot)
		charts.add(this)
	}

	/** Shows points that begin at `starts`, epoch milliseconds, evenly spaced; a row of values for each line, null where there is none yet. */
	show(starts: readonly number[], values: readonly Values[]): void {
		this.#starts = starts
		this.#values = values
		this.#uplot.setData([starts.map((start) => start / 1_000), ...values.map((row) => [...row])] as uPlot.AlignedData)
		this.#plot.setAttribute('aria-label', this.#inWords())
		this.#read(this.#uplot.cursor.idx)
		this.#fillTable()
	}

	repaint(): void {
		this.#readColours()
		this.#uplot.redraw(false)
	}

	remove(): void {
		charts.delete(this)
		this.#resize.disconnect()
		this.#uplot.destroy()
		this.#host.replaceChildren()
	}

	#table(): HTMLElement {
		const { name, lines } = this.#options
		const heads = ['Time (UTC)', ...lines.map(({ label }) => label)].map((text, index) =>
			make('th', { scope: 'col', class: index === 0 ? '' : 'value' }, text),
		)
		const table = make('table', {}, make('caption', { class: 'hidden' }, name), make('thead', {}, make('tr', {}, ...heads)), this.#rows)
		// It scrolls, so the keyboard must reach it.
		this.#details.append(make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${name}, as a table` }, table))
		this.#details.addEventListener('toggle', () => this.#fillTable())
		return this.#details
	}

	/** The newest first. A closed table is not filled: nobody reads it. */
	#fillTable(): void {
		if (!this.#details.open) return
		const { when } = this.#options
		const points = this.#starts.length
		while (this.#rows.rows.length > points) this.#rows.deleteRow(-1)
		for (let row = 0; row < points; row++) {
			const point = points - 1 - row
			const cells = (this.#rows.rows[row] ?? this.#rows.appendChild(this.#emptyRow())).cells
			setText(cells[0]!, when(this.#starts[point]!))
			for (const [line, values] of this.#values.entries()) setText(cells[line + 1]!, amountText(values[point]))
		}
	}

	#emptyRow(): HTMLTableRowElement {
		return make('tr', {}, make('th', { scope: 'row' }), ...this.#options.lines.map(() => make('td', { class: 'value' })))
	}

	/** The point under the pointer, or the last one that there is. */
	#read(point: number | null | undefined): void {
		const last = (this.#values[0] ?? []).findLastIndex((value) => value !== null)
		const at = point ?? last
		const start = this.#starts[at]
		setText(this.#when, start === undefined ? '' : `${this.#options.when(start)}${at === last ? ', so far' : ''}`)
		for (const [line, place] of this.#amounts.entries()) setText(place, amountText(this.#values[line]?.[at]))
	}

	#inWords(): string {
		const { name, lines, when } = this.#options
		const parts = lines.map(({ label }, line) => {
			const values = (this.#values[line] ?? []).map((value) => value ?? 0)
			const most = Math.max(0, ...values)
			if (most === 0) return `${label}: none`
			return `${label}: most ${numberText(most)}, at ${when(this.#starts[values.indexOf(most)]!)}`
		})
		return `${name}. ${parts.join('. ')}. A table with every value follows.`
	}

	#fit(): void {
		const width = Math.floor(this.#plot.clientWidth)
		if (width > 0 && width !== this.#uplot.width) this.#uplot.setSize({ width, height })
	}

	#readColours(): void {
		const probe = this.#host.appendChild(make('span'))
		const resolve = (name: string) => {
			probe.style.color = `var(--${name})`
			return getComputedStyle(probe).color
		}
		this.#colours = Object.fromEntries(['accent', 'bar', 'second', 'visitors', 'muted', 'grid'].map((name) => [name, resolve(name)]))
		probe.remove()
	}

	#uplotOptions(): uPlot.Options {
		const paint = (name: string) => () => this.#colours[name]!
		const axis: uPlot.Axis = {
			stroke: paint('muted'),
			grid: { stroke: paint('grid'), width: 1 },
			ticks: { show: false },
			font: '12px system-ui, sans-serif',
		}
		return {
			width: Math.max(200, Math.floor(this.#plot.clientWidth)),
			height,
			legend: { show: false },
			cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
			padding: [8, 12, 0, 0],
			tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), 'UTC'),
			scales: {
				// Half a point on both sides, so that the bars at the edges are whole.
				x: { range: (_, min, max) => aroundPoints(min, max, this.#starts.length) },
				y: { range: (_, _min, max) => [0, Math.max(4, max * 1.08)] },
			},
			axes: [
				{ ...axis, size: 30, space: 64, grid: { show: false }, values: (_, splits) => splits.map((seconds) => tickText(seconds * 1_000)) },
				{ ...axis, size: 46, incrs: wholeSteps(), values: (_, splits) => splits.map(shortNumber) },
			],
			series: [{}, ...this.#options.lines.map((line) => seriesOf(line, paint(line.colour)))],
			hooks: { setCursor: [({ cursor }) => this.#read(cursor.idx)] },
		}
	}
}

function seriesOf({ label, shape }: Line, stroke: () => string): uPlot.Series {
	if (shape === 'bars')
		return { label, fill: stroke, width: 0, paths: uPlot.paths.bars!({ size: [0.74, 40], radius: 0.15 }), points: { show: false } }
	return { label, stroke, width: 2, points: { size: 5 }, ...(shape === 'dashes' && { dash: [6, 5], points: { show: false } }) }
}

function aroundPoints(min: number, max: number, points: number): [number, number] {
	const half = points > 1 ? (max - min) / (points - 1) / 2 : 1_800
	return [min - half, max + half]
}

/** 1, 2, 5, 10, 20, 50, ...: there is no half of a hit. */
function wholeSteps(): number[] {
	return Array.from({ length: 45 }, (_, index) => [1, 2, 5][index % 3]! * 10 ** Math.floor(index / 3))
}

function tickText(time: number): string {
	return time % dayMs === 0 ? dateText(time) : clockText(time)
}

function amountText(value: number | null | undefined): string {
	return typeof value === 'number' ? numberText(value) : '–'
}
