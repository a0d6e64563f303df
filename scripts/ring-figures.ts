/**
 * How evenly the ring places partitions, and how many change their owner when a node joins or leaves, for 2 to 64 nodes: printed, and written to
 * docs/ring.md and docs/ring.svg. `npx tsx scripts/ring-figures.ts`, a few seconds; the same figures every time.
 */

import { writeFileSync } from 'node:fs'
import { planMoves } from '../src/hash/placement-plan.ts'
import { Ring } from '../src/hash/ring.ts'

const sizes = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
const partitionCounts = [64, 1024]
/** Rings of other names, whose figures are averaged (or the worst taken). */
const runs = 20

/** What happens around `nodes` nodes: shares are of all partitions, loads in fair shares. */
interface Figures {
	readonly partitions: number
	readonly nodes: number
	/** The fullest node, mean over the runs, when every partition goes to the node that it prefers. */
	readonly unbounded: number
	/** The fullest node of any run, placed under the bounds. */
	readonly placed: number
	/** The fullest node of any run after the last node joined by plan. */
	readonly joined: number
	/** Moved when the last node joins the others. */
	readonly join: number
	/** Moved when one node leaves. */
	readonly leave: number
	/** Moved by a join when everything is placed anew instead of planned. */
	readonly anew: number
}

const table = partitionCounts.flatMap((partitions) => sizes.map((nodes) => measure(partitions, nodes)))
const markdown = partitionCounts.map((partitions) => rows(table.filter((row) => row.partitions === partitions)))
console.log(partitionCounts.map((partitions, i) => `${partitions} partitions\n${markdown[i]}`).join('\n\n'))
writeFileSync(new URL('../docs/ring.md', import.meta.url), page())
writeFileSync(new URL('../docs/ring.svg', import.meta.url), draw(table.filter(({ partitions }) => partitions === 1024)))
console.log('\nWritten to docs/ring.md, drawn in docs/ring.svg')

function measure(partitions: number, nodes: number): Figures {
	const sum = { unbounded: 0, join: 0, leave: 0, anew: 0 }
	const worst = { placed: 0, joined: 0 }
	for (let run = 0; run < runs; run++) {
		const names = Array.from({ length: nodes }, (_, i) => ({ name: `redis-${run}-${i}.example:6379` }))
		const all = new Ring(names)
		const others = new Ring(names.slice(0, -1))
		const before = others.place(partitions)
		const placed = all.place(partitions)
		const joining = planMoves(before, all)
		const joined = [...before]
		for (const { partition, to } of joining) joined[partition] = to
		sum.unbounded += fullest(Array.from({ length: partitions }, (_, partition) => all.owner(partition)))
		sum.join += joining.length
		sum.leave += planMoves(placed, others).length
		sum.anew += placed.filter((name, partition) => name !== before[partition]).length
		worst.placed = Math.max(worst.placed, fullest(placed))
		worst.joined = Math.max(worst.joined, fullest(joined))
	}
	const fair = partitions / nodes
	const share = (moved: number) => moved / partitions / runs
	return {
		partitions,
		nodes,
		unbounded: sum.unbounded / runs / fair,
		placed: worst.placed / fair,
		joined: worst.joined / fair,
		join: share(sum.join),
		leave: share(sum.leave),
		anew: share(sum.anew),
	}
}

/** How many partitions the fullest node owns. */
function fullest(owners: readonly string[]): number {
	const loads = new Map<string, number>()
	for (const name of owners) loads.set(name, (loads.get(name) ?? 0) + 1)
	return Math.max(...loads.values())
}

function percent(share: number): string {
	return `${(100 * share).toFixed(1)} %`
}

function rows(figures: readonly Figures[]): string {
	return [
		'| nodes | fair share | ring alone: max/fair | placed: max/fair | after a join: max/fair | ideal 1/n | moved by a join | by a leave | placed anew |',
		'| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
		...figures.map(({ nodes, partitions, unbounded, placed, joined, join, leave, anew }) => {
			const loads = [unbounded, placed, joined].map((load) => load.toFixed(2))
			const shares = [1 / nodes, join, leave, anew].map(percent)
			return `| ${[nodes, (partitions / nodes).toFixed(1), ...loads, ...shares].join(' | ')} |`
		}),
	].join('\n')
}

function page(): string {
	return `# How even the ring is, and what moves

Figures over ${runs} rings of other names, 160 virtual nodes each, made by \`npx tsx scripts/ring-figures.ts\`, which writes this page and the chart.

![Balance and moved share by number of nodes, 1,024 partitions](ring.svg)

- **max/fair**: what the fullest node holds, in fair shares. *Ring alone*: every partition goes to the node that it prefers (mean over the rings);
  *placed* and *after a join*: the worst of all rings. A node holds at most 1.1 of its fair share rounded down, or its fair share rounded up when that
  is more: with few partitions to a node it is the whole number that counts (48 nodes share 64 partitions, so some hold two).
- **moved**: the partitions that change owner when the last of n nodes joins the n - 1 others, and when it leaves them. Both by plan, from the stored
  placement: with the fewest moves that balance allows, and none between nodes that stay. A node that joins gets at least 0.9 of its fair share, so a
  little less than 1/n moves. *Placed anew* is what a join would move if the stored placement were ignored.

${partitionCounts.map((partitions, i) => `## ${partitions.toLocaleString('en-US')} partitions\n\n${markdown[i]}`).join('\n\n')}
`
}

/** Two charts over the number of nodes, side by side; in greys and three colours that can be read on white and on black. */
function draw(figures: readonly Figures[]): string {
	const width = 860
	const height = 400
	const top = 76
	const bottom = height - 56
	const panels = [
		{
			title: 'fullest node, in fair shares',
			left: 52,
			series: [
				{ name: 'alone', text: 'ring alone', values: figures.map(({ unbounded }) => unbounded) },
				{ name: 'placed', text: 'placed', values: figures.map(({ placed }) => placed) },
				{ name: 'join', text: 'after a join', values: figures.map(({ joined }) => joined) },
			],
		},
		{
			title: 'moved partitions, times the ideal 1/n',
			left: 486,
			series: [
				{ name: 'alone', text: 'join, placed anew', values: figures.map(({ anew, nodes }) => anew * nodes) },
				{ name: 'placed', text: 'leave', values: figures.map(({ leave, nodes }) => leave * nodes) },
				{ name: 'join', text: 'join', values: figures.map(({ join, nodes }) => join * nodes) },
			],
		},
	]
	const highest = Math.max(...panels.flatMap(({ series }) => series.flatMap(({ values }) => values)))
	const ceiling = Math.ceil(highest * 5) / 5
	const floor = 0.8
	const span = 350
	const y = (value: number) => bottom - ((value - floor) / (ceiling - floor)) * (bottom - top)
	const x = (left: number, nodes: number) => left + (Math.log2(nodes / 2) / 5) * span
	const levels = Array.from({ length: Math.round((ceiling - floor) / 0.2) + 1 }, (_, i) => floor + 0.2 * i)

	const drawn = panels.map(({ title, left, series }) => {
		const grid = levels.map(
			(
				level,
			) => `<line x1="${left}" x2="${left + span}" y1="${y(level).toFixed(1)}" y2="${y(level).toFixed(1)}" class="${Math.abs(level - 1) < 0.01 ? 'axis' : 'grid'}"/>
<text x="${left - 8}" y="${(y(level) + 4).toFixed(1)}" text-anchor="end">${level.toFixed(1)}</text>`,
		)
		const ticks = [2, 4, 8, 16, 32, 64].map(
			(nodes) => `<line x1="${x(left, nodes)}" x2="${x(left, nodes)}" y1="${bottom}" y2="${bottom + 5}" class="axis"/>
<text x="${x(left, nodes)}" y="${bottom + 20}" text-anchor="middle">${nodes}</text>`,
		)
		const legend = series.map(({ name, text }, i) => {
			const from = left + [0, 150, 245][i]!
			return `<line x1="${from}" x2="${from + 22}" y1="54" y2="54" class="${name}"/><text x="${from + 28}" y="58">${text}</text>`
		})
		const lines = series.map(({ name, text, values }) => {
			const points = values.map((value, i) => ({ nodes: figures[i]!.nodes, value }))
			const line = points.map(({ nodes, value }) => `${x(left, nodes).toFixed(1)},${y(value).toFixed(1)}`).join(' ')
			const dots = points.map(
				({ nodes, value }) =>
					`<circle cx="${x(left, nodes).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3.5" class="${name} dot"><title>${nodes} nodes, ${text}: ${value.toFixed(2)}</title></circle>`,
			)
			return `<polyline points="${line}" class="${name}"/>\n${dots.join('\n')}`
		})
		return `<text x="${left}" y="32">${title}</text>
${legend.join('\n')}
${grid.join('\n')}
<line x1="${left}" x2="${left}" y1="${top}" y2="${bottom}" class="axis"/>
<line x1="${left}" x2="${left + span}" y1="${bottom}" y2="${bottom}" class="axis"/>
${ticks.join('\n')}
<text x="${left + span / 2}" y="${bottom + 42}" text-anchor="middle">nodes (logarithmic)</text>
${lines.join('\n')}`
	})
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">
<title id="title">Balance of tallymark's ring, and what moves</title>
<desc id="desc">1,024 partitions on 2 to 64 nodes, over ${runs} rings: the load of the fullest node in fair shares, and the moved partitions beside the ideal.</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #808080 }
line, polyline { fill: none; stroke-width: 2 }
.grid { stroke: #808080; stroke-opacity: .25; stroke-width: 1 }
.axis, .alone { stroke: #808080 }
.placed { stroke: #2f81f7 }
.join { stroke: #d97706 }
.alone.dot { fill: #808080 }
.placed.dot { fill: #2f81f7 }
.join.dot { fill: #d97706 }
</style>
${drawn.join('\n')}
</svg>
`
}
