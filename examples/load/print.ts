/** The report for people. */
import type { Latency, LoadReport } from './run.ts'

const columns = ['requests', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max']
const whole = new Intl.NumberFormat('en')

export function reportText(report: LoadReport): string {
	const { latencies, late, failures, acknowledged, unknown, counted, differences } = report
	const lines = [
		`${'milliseconds from when it was due'.padEnd(34)}${columns.map((name) => name.padStart(10)).join('')}`,
		...latencies.map(latencyLine),
		latencyLine(late),
		'',
		...Object.entries(failures).map(([reason, count]) => `${whole.format(count)} times ${reason}`),
		`${whole.format(acknowledged)} visits acknowledged${unknown > 0 ? `, ${whole.format(unknown)} without an answer` : ''}; ${whole.format(counted)} counted`,
		...differences.slice(0, 20).map(({ page, counted, atLeast, atMost }) => {
			const wanted = atLeast === atMost ? whole.format(atLeast) : `${whole.format(atLeast)} to ${whole.format(atMost)}`
			return `${page}: ${wanted} expected, ${whole.format(counted)} counted`
		}),
		differences.length === 0 ? 'The counts of all pages are right.' : `The counts of ${whole.format(differences.length)} pages are WRONG.`,
	]
	return lines.join('\n')
}

function latencyLine({ name, count, mean, p50, p90, p99, p999, max }: Latency): string {
	return `${name.padEnd(34)}${[whole.format(count), ...[mean, p50, p90, p99, p999, max].map((ms) => ms.toFixed(3))].map((text) => text.padStart(10)).join('')}`
}
