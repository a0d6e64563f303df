/** The site's numbers. */
import type { HealthView, Numbers, Summary, TopPeriod } from '../shapes.ts'
import { announce, trouble } from './announce.ts'
import { Chart } from './chart.ts'
import { byId, fillCells, fillRows, make, setNumber, setText } from './dom.ts'
import { ageText, changeText, clockText, errorText, nameText, numberText, pageUrl, scoreText, shortNumber, visitorsText } from './format.ts'

const hourMs = 3_600_000

const laneNames: Readonly<Record<Numbers['lanes'][number]['lane'], string>> = {
	human: 'People',
	bot: 'Bots',
	ai: 'AI crawlers',
	prefetch: 'Prefetches',
	optout: 'Opted out',
	own: 'Own visits',
}

/** Where tables have no room for long numbers. */
const narrow = matchMedia('(max-width: 640px)')
const longest = 1e9

function amountText(amount: number, text = numberText): string {
	return narrow.matches && amount >= longest ? shortNumber(amount) : text(amount)
}

/** Answers the function that shows a summary. */
export function startOverview(): (summary: Summary) => void {
	const minutes = new Chart(byId('minutes'), {
		name: 'Hits per minute, the last 60 minutes',
		lines: [{ label: 'Hits', colour: 'bar', shape: 'bars' }],
		when: clockText,
	})
	const days = new Chart(byId('days'), {
		name: 'Hits per hour, today against yesterday',
		lines: [
			{ label: 'Today', colour: 'accent', shape: 'line' },
			{ label: 'Yesterday', colour: 'second', shape: 'dashes' },
		],
		when: clockText,
	})
	const period = byId<HTMLSelectElement>('top-period')
	let last: Summary | undefined
	let numbers: Numbers | undefined
	period.addEventListener('change', () => numbers && showTop(numbers, period.value as TopPeriod))

	const show = (summary: Summary) => {
		last = summary
		showHealth(summary.health)
		trouble(summary.numbers ? undefined : 'The store does not answer: the numbers are those of before.')
		if (summary.numbers === undefined) return
		numbers = summary.numbers
		showCards(numbers)
		minutes.show(numbers.minutes.starts, [numbers.minutes.values])
		showDays(days, numbers)
		showTop(numbers, period.value as TopPeriod)
		showPages(
			'trending',
			numbers.trending.map(({ key, score }) => ({ key, amount: score })),
			(score) => amountText(score, scoreText),
		)
		showLanes(numbers.lanes)
	}
	narrow.addEventListener('change', () => last && show(last))
	return show
}

function showCards({ perMinute, hits, uniques, todayHours, yesterdayHours }: Numbers): void {
	setNumber('per-minute', numberText(perMinute))
	announce(`${numberText(perMinute)} hits in the last minute, ${numberText(hits.today)} today`)
	setNumber('hits-today', numberText(hits.today))
	setNumber('uniques-today', numberText(uniques.today.value))
	setText('uniques-today-error', `${errorText(uniques.today)}; yesterday ${numberText(uniques.yesterday.value)}`)
	setNumber('hits-total', numberText(hits.total))
	setText('uniques-total', visitorsText(uniques.total))
	// Only full hours can be compared: yesterday's minutes are gone by now.
	const full = todayHours.length - 1
	const sum = (hours: readonly number[]) => hours.slice(0, full).reduce((before, value) => before + value, 0)
	const change = changeText(sum(todayHours), sum(yesterdayHours))
	const until = `${String(full).padStart(2, '0')}:00`
	setText('hits-compared', `yesterday ${numberText(hits.yesterday)}${change === undefined ? '' : `; ${change} until ${until}`}`)
}

/** Both days over the hours of one: a day of UTC always has 24. */
function showDays(chart: Chart, { today, todayHours, yesterdayHours }: Numbers): void {
	const hours = Array.from({ length: 24 }, (_, hour) => hour)
	chart.show(
		hours.map((hour) => today + hour * hourMs),
		[hours.map((hour) => todayHours[hour] ?? null), hours.map((hour) => yesterdayHours[hour] ?? null)],
	)
}

function showTop(numbers: Numbers, period: TopPeriod): void {
	showPages(
		'top',
		numbers.top[period].map(({ key, hits }) => ({ key, amount: hits })),
		amountText,
	)
}

function showPages(id: string, entries: readonly { key: string; amount: number }[], text: (amount: number) => string): void {
	const most = Math.max(...entries.map(({ amount }) => amount))
	byId(`${id}-empty`).hidden = entries.length > 0
	fillRows(
		byId(id),
		entries,
		({ key }) => key,
		(row, { key, amount }) => {
			fillCells(row, () => [make('th', { scope: 'row' }, pageLink(key), shareBar()), make('td', { class: 'value' })], [
				undefined,
				text(amount),
			])
			row.querySelector('progress')!.value = amount / most
		},
	)
}

function pageLink(page: string): HTMLElement {
	return make('a', { href: pageUrl(page) }, make('bdi', {}, nameText(page)))
}

/** The number beside it says the same. */
function shareBar(): HTMLElement {
	return make('progress', { class: 'share', 'aria-hidden': 'true', max: '1', value: '0' })
}

function showLanes(lanes: Numbers['lanes']): void {
	const all = lanes.reduce((sum, { today }) => sum + today, 0)
	fillRows(
		byId('lanes'),
		lanes,
		({ lane }) => lane,
		(row, { lane, today, total }) => {
			const cells = () => [
				make('th', { scope: 'row' }, laneNames[lane], shareBar()),
				make('td', { class: 'value' }),
				make('td', { class: 'value' }),
			]
			fillCells(row, cells, [undefined, amountText(today), amountText(total)])
			row.querySelector('progress')!.value = all === 0 ? 0 : today / all
		},
	)
}

function showHealth(health: HealthView): void {
	const status = byId('health')
	status.dataset['state'] = health.status
	setText(status, `${health.store} is ${health.status}`)
	setText('pending', numberText(health.pendingHits))
	setText('pending-age', health.pendingHits === 0 ? '–' : ageText(health.oldestPendingMs))
	setText('dropped', numberText(health.dropped))
	setText('rolled-back', numberText(health.rolledBack))
	byId('last-error').hidden = health.lastError === undefined
	setText('last-error', health.lastError ?? '')
	fillRows(
		byId('nodes'),
		health.nodes,
		({ name }) => name,
		(row, { name, status, latencyMs, reason }) => {
			const cells = () => [make('th', { scope: 'row' }), make('td'), make('td', { class: 'value' })]
			fillCells(row, cells, [
				name,
				reason === undefined ? status : `${status}: ${reason}`,
				latencyMs === undefined ? '–' : ageText(latencyMs),
			])
			row.cells[1]!.dataset['state'] = status
		},
	)
}
