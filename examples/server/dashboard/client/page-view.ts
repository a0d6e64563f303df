/** One page's numbers, over a stretch and by a granularity of the reader's choice; both are in the address, to be linked to. */
import type { Granularity } from '../../../../src/index.ts'
import type { PageView, Summary } from '../shapes.ts'
import { announce, trouble } from './announce.ts'
import { Chart } from './chart.ts'
import { byId, make, setNumber, setText } from './dom.ts'
import { errorText, nameText, numberText, visitorsText, whenText } from './format.ts'

/** Within what the server keeps: minutes 24 hours, hours 31 days, days two years. */
const stretches: Readonly<Record<Granularity, readonly (readonly [last: number, text: string])[]>> = {
	minute: [
		[60, '60 minutes'],
		[360, '6 hours'],
		[1_440, '24 hours'],
	],
	hour: [
		[24, '24 hours'],
		[168, '7 days'],
		[744, '31 days'],
	],
	day: [
		[30, '30 days'],
		[90, '90 days'],
		[365, '365 days'],
	],
}

/** Between two readings that nobody asked for: of one address the server may take only so many a minute, and tells of a change twice a second. */
const apartMs = 5_000

/** Answers the function that is told of each change; it reads the page's numbers anew. */
export function startPageView(): (summary: Summary) => void {
	const params = new URLSearchParams(location.search)
	const page = params.get('page') ?? ''
	if (page === '') return showNone()
	setText('page-name', nameText(page))
	document.title = `${nameText(page)} – tallymark`

	const granularity = byId<HTMLSelectElement>('granularity')
	const last = byId<HTMLSelectElement>('last')
	const asked = params.get('granularity')
	granularity.value = asked !== null && Object.hasOwn(stretches, asked) ? asked : 'minute'
	offerStretches(last, granularity.value as Granularity, params.get('last'))

	const chart = new PageChart()
	let asking: AbortController | undefined
	let due = false
	let timer: number | undefined
	/** By `performance.now()`. */
	let notBefore = 0
	const refresh = async () => {
		clearTimeout(timer)
		timer = undefined
		const mine = new AbortController()
		asking = mine
		due = false
		notBefore = performance.now() + apartMs
		const answer = await ask(page, granularity.value, last.value, mine.signal).catch(() => undefined)
		// Something else was chosen meanwhile, and is asked for.
		if (asking !== mine) return
		asking = undefined
		if (answer === undefined) trouble('The server does not answer: the numbers are those of before.')
		else if ('againMs' in answer) {
			notBefore = performance.now() + answer.againMs
			due = true
		} else if ('error' in answer) trouble(answer.error.message)
		else {
			trouble(undefined)
			showPage(answer, chart)
		}
		if (due) refreshSoon()
	}
	// One answer at a time: a slow one would otherwise be given up for the next, each second anew.
	const refreshSoon = () => {
		due = true
		if (asking === undefined) timer ??= setTimeout(() => void refresh(), Math.max(0, notBefore - performance.now()))
	}
	const chosen = () => {
		history.replaceState(null, '', `?${new URLSearchParams({ page, granularity: granularity.value, last: last.value })}`)
		asking?.abort()
		void refresh()
	}
	granularity.addEventListener('change', () => {
		offerStretches(last, granularity.value as Granularity, null)
		chosen()
	})
	last.addEventListener('change', chosen)
	void refresh()
	return refreshSoon
}

/** Somebody came without a page's name. */
function showNone(): () => void {
	setText('page-name', 'No page is chosen')
	trouble('Type its name into the field above, or choose one from the overview.')
	for (const place of document.querySelectorAll('.cards, .panel')) place.remove()
	return () => {}
}

/** `againMs`: the address has sent too many requests, and may send the next one then. */
async function ask(
	page: string,
	granularity: string,
	last: string,
	signal: AbortSignal,
): Promise<PageView | { readonly error: { readonly message: string } } | { readonly againMs: number }> {
	const answer = await fetch(`/dashboard/page.json?${new URLSearchParams({ page, granularity, last })}`, { signal })
	if (answer.status === 429) return { againMs: Number(answer.headers.get('retry-after')) * 1_000 || apartMs }
	return answer.json()
}

function offerStretches(select: HTMLSelectElement, granularity: Granularity, wanted: string | null): void {
	select.replaceChildren(...stretches[granularity].map(([last, text]) => make('option', { value: String(last) }, text)))
	if (stretches[granularity].some(([last]) => String(last) === wanted)) select.value = wanted!
}

function showPage(view: PageView, chart: PageChart): void {
	setNumber('per-minute', numberText(view.perMinute))
	announce(`${numberText(view.perMinute)} hits in the last minute, ${numberText(view.hits.today)} today`)
	setNumber('hits-today', numberText(view.hits.today))
	setNumber('uniques-today', numberText(view.uniques.today.value))
	setText('uniques-today-error', errorText(view.uniques.today))
	setNumber('hits-total', numberText(view.hits.total))
	setText('uniques-total', visitorsText(view.uniques.total))
	chart.show(view)
}

/** The chart of a granularity; another one gets a chart of its own, and so does a stretch with visitors after one without. */
class PageChart {
	#kind: string | undefined
	#chart: Chart | undefined

	show({ granularity, chart, visitors }: PageView): void {
		const kind = `${granularity} ${visitors !== undefined}`
		if (kind !== this.#kind || this.#chart === undefined) {
			this.#chart?.remove()
			this.#kind = kind
			this.#chart = new Chart(byId('history'), {
				name: `Hits per ${granularity}`,
				lines: [
					{ label: 'Hits', colour: 'bar', shape: 'bars' },
					...(visitors ? [{ label: 'Unique visitors', colour: 'visitors', shape: 'line' } as const] : []),
				],
				when: (start) => whenText(start, granularity),
			})
		}
		this.#chart.show(chart.starts, visitors ? [chart.values, visitors] : [chart.values])
	}
}
