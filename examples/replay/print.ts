/** The reports, for people. */
import { plot } from 'asciichart'
import type { CountReport, Point, UnreadableLine } from './count.ts'
import type { SendReport } from './send.ts'

/** As many troubles of one kind as are shown one by one. */
const shown = 10

export function countText(report: CountReport, columns: number): string {
	const { uniques, busiestMinute } = report
	const sections = [
		[
			row('lines', report.lines, report.log),
			row('hits', report.hits, rate(report)),
			row('targets', report.targets),
			row('visitors', uniques.all, uniques.exact ? 'exact' : 'estimated'),
			row('visitors of /', uniques.home),
			...(busiestMinute ? [row('busiest minute', busiestMinute.hits, minute(busiestMinute.start))] : []),
		],
		unreadableText(report.unreadable),
		['Top targets', ...report.top.map(({ target, hits }) => row(`  ${printable(target)}`, hits))],
		['Per day (UTC)', ...report.perDay.map(({ start, hits }) => row(`  ${start.slice(0, 10)}`, hits))],
		report.perHour.length > 1 ? chart(report.perHour, columns) : [],
	]
	return joined(sections)
}

export function sendText(report: SendReport): string {
	const { server, failed, differences } = report
	const statuses = Object.entries(report.statuses).map(([status, count]) => row(`  answered ${status}`, count))
	const verdict = report.agrees
		? `The server's numbers grew by just what it acknowledged: ${report.acknowledged} views.`
		: `The server's numbers do not agree with the ${report.acknowledged} views it acknowledged.`
	const sections = [
		[row('lines', report.lines, report.log), ...statuses, row('  no answer', failed.length), `Sent in ${rate(report)}`],
		unreadableText(report.unreadable),
		some('Without an answer, sent once only', failed, ({ line, reason }) => `  line ${line}: ${reason}`),
		[
			`The server at ${report.url} says`,
			row('  views', server.views),
			row('  visitors', server.unique_visitors),
			...server.pages.map(({ page, views }) => row(`  ${printable(page)}`, views)),
		],
		some(
			'Pages that differ',
			differences,
			(each) => `  ${printable(each.page)}: acknowledged ${each.acknowledged}, counted ${each.counted}`,
		),
		[failed.length === 0 || report.agrees ? verdict : `${verdict} Requests without an answer may have been counted or not.`],
	]
	return joined(sections)
}

function unreadableText(lines: readonly UnreadableLine[]): string[] {
	return some('Left out, for address, time or request is not all there', lines, ({ line, text }) => `  line ${line}: ${printable(text)}`)
}

function some<T>(title: string, items: readonly T[], line: (item: T) => string): string[] {
	if (items.length === 0) return []
	const rest = items.length - shown
	return [`${title}: ${items.length}`, ...items.slice(0, shown).map(line), ...(rest > 0 ? [`  and ${rest} more`] : [])]
}

/** Hits per hour, or per as many hours as it takes to fit the width. */
function chart(perHour: readonly Point[], columns: number): string[] {
	const width = Math.max(columns - 14, 20)
	const hours = Math.ceil(perHour.length / width)
	const sums: number[] = []
	for (const [index, { hits }] of perHour.entries()) {
		const column = Math.floor(index / hours)
		sums[column] = (sums[column] ?? 0) + hits
	}
	const title = `Hits per ${hours === 1 ? 'hour' : `${hours} hours`}, ${minute(perHour[0]!.start)} to ${minute(perHour.at(-1)!.start)}`
	return [title, plot(sums, { height: 10, min: 0, format: (value) => String(Math.round(value)).padStart(8) })]
}

function row(name: string, value: number, note = ''): string {
	return `${name.slice(0, 60).padEnd(32)} ${String(value).padStart(9)}${note && `  ${note}`}`
}

function rate({ lines, seconds }: { readonly lines: number; readonly seconds: number }): string {
	return `${seconds.toFixed(1)} s, ${Math.round(lines / seconds)} lines a second`
}

function minute(iso: string): string {
	return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`
}

/** What a stranger put into a log must not steer the terminal. */
function printable(text: string): string {
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')
}

function joined(sections: readonly (readonly string[])[]): string {
	return sections
		.filter((section) => section.length > 0)
		.map((section) => section.join('\n'))
		.join('\n\n')
}
