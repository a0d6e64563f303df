/**
 * How far off the counts are: RMS error and bias of the HyperLogLog and of the Bloom filter over many seeds, beside what theory says, as a table and
 * as docs/accuracy.svg. `npm run accuracy`, or `npm run accuracy -- 100` for as many seeds; 40 take about a quarter of a minute.
 */

import { writeFileSync } from 'node:fs'
import { stderr } from 'node:process'
import { SingleBar } from 'cli-progress'
import { hashed, hashText } from '../src/hash/murmur64.ts'
import { Bloom, HyperLogLog, relativeStandardError } from '../src/sketches.ts'

const steps = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000]
const bloomCapacity = 100_000
const chart = new URL('../docs/accuracy.svg', import.meta.url)

const seeds = process.argv[2] === undefined ? 40 : Number(process.argv[2])
if (!Number.isInteger(seeds) || seeds < 2) {
	console.error(`Expected the number of seeds to be a whole number from 2, got ${process.argv[2]}`)
	process.exit(2)
}

interface Point {
	readonly n: number
	readonly rms: number
	readonly bias: number
	readonly worst: number
}

const hyperLogLog = steps.map((): number[] => [])
const bloom = steps.map((): number[] => [])
const bar = new SingleBar({
	format: 'accuracy [{bar}] seed {value} of {total}, {eta} s left',
	stream: stderr,
	noTTYOutput: true,
	notTTYSchedule: 5_000,
})
bar.start(seeds, 0)
for (let seed = 1; seed <= seeds; seed++) {
	measure(seed)
	bar.update(seed)
	// The bar is drawn by a timer, which must get its turn.
	await new Promise((resolve) => setImmediate(resolve))
}
bar.stop()

const hyperLogLogPoints = steps.map((n, i) => pointOf(n, hyperLogLog[i] ?? []))
const bloomPoints = steps.map((n, i) => pointOf(n, bloom[i] ?? [])).filter(({ n }) => n <= 5 * bloomCapacity)

console.log(`Errors over ${seeds} seeds; theory of the HyperLogLog: linear counting below, 1.04 / sqrt(16384) above`)
console.log('  visitors |  HyperLogLog RMS  theory     bias    worst | Bloom for 100,000 RMS     bias')
steps.forEach((n, i) => {
	const { rms, bias, worst } = hyperLogLogPoints[i] as Point
	const other = bloomPoints[i]
	const left = `${n.toLocaleString('en-US').padStart(10)} | ${percent(rms, 16)} ${percent(relativeStandardError(n), 7)} ${percent(bias, 8)} ${percent(worst, 8)}`
	console.log(`${left} | ${other === undefined ? '' : `${percent(other.rms, 21)} ${percent(other.bias, 8)}`}`)
})
writeFileSync(chart, draw())
console.log('Drawn in docs/accuracy.svg')

/** Adds a million visitors one by one, and looks at the counts on the way. */
function measure(seed: number): void {
	const sketch = new HyperLogLog()
	const filter = new Bloom({ capacity: bloomCapacity })
	let next = 0
	for (let n = 1; n <= (steps.at(-1) ?? 0); n++) {
		hashText(`${seed}:${n}`)
		sketch.addHash(hashed[0] as number, hashed[1] as number)
		if (n <= 5 * bloomCapacity) filter.addHash(hashed[0] as number, hashed[1] as number)
		if (n !== steps[next]) continue
		hyperLogLog[next]?.push(sketch.count() / n - 1)
		bloom[next]?.push(filter.count() / n - 1)
		next++
	}
}

function pointOf(n: number, found: readonly number[]): Point {
	const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
	return { n, rms: Math.sqrt(mean(found.map((error) => error * error))), bias: mean(found), worst: Math.max(...found.map(Math.abs)) }
}

function percent(share: number, width: number): string {
	return `${(share * 100).toFixed(3)}%`.padStart(width)
}

/** The errors over the number of visitors, on a logarithmic axis; in greys and two colours that can be read on white and on black. */
function draw(): string {
	const width = 760
	const height = 400
	const area = { left: 64, right: width - 44, top: 56, bottom: height - 56 }
	const top = 0.012
	const x = (n: number) => area.left + ((Math.log10(n) - 2) / 4) * (area.right - area.left)
	const y = (share: number) => area.bottom - (Math.min(share, top) / top) * (area.bottom - area.top)
	const line = (points: readonly (readonly [number, number])[]) =>
		points.map(([n, share]) => `${x(n).toFixed(1)},${y(share).toFixed(1)}`).join(' ')
	const theory = Array.from({ length: 81 }, (_, i) => 10 ** (2 + i / 20)).map((n) => [n, relativeStandardError(n)] as const)
	const grid = [0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012].map(
		(share) => `<line x1="${area.left}" x2="${area.right}" y1="${y(share)}" y2="${y(share)}" class="grid"/>
<text x="${area.left - 8}" y="${y(share) + 4}" text-anchor="end">${(share * 100).toFixed(1)} %</text>`,
	)
	const ticks = [100, 1_000, 10_000, 100_000, 1_000_000].map(
		(n) => `<line x1="${x(n)}" x2="${x(n)}" y1="${area.bottom}" y2="${area.bottom + 5}" class="axis"/>
<text x="${x(n)}" y="${area.bottom + 20}" text-anchor="middle">${n.toLocaleString('en-US')}</text>`,
	)
	const dots = (points: readonly Point[], name: string) =>
		points.map(
			({ n, rms }) =>
				`<circle cx="${x(n).toFixed(1)}" cy="${y(rms).toFixed(1)}" r="3.5" class="${name} dot"><title>${n.toLocaleString('en-US')} visitors: ${percent(rms, 0)}</title></circle>`,
		)
	const legend = [
		['hll', 'HyperLogLog, RMS', ''],
		['theory', 'HyperLogLog, theory', ' stroke-dasharray="6 5"'],
		['bloom', 'Bloom for 100,000, RMS', ''],
	].map(([name, text, dash], i) => {
		const left = area.left + 8 + i * 215
		return `<line x1="${left}" x2="${left + 26}" y1="${area.top - 20}" y2="${area.top - 20}" class="${name}"${dash}/><text x="${left + 34}" y="${area.top - 16}">${text}</text>`
	})
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title desc">
<title id="title">Error of tallymark's counts of distinct visitors</title>
<desc id="desc">RMS relative error over ${seeds} seeds, from 100 to a million visitors, beside theory.</desc>
<style>
text { font: 13px system-ui, sans-serif; fill: #808080 }
line, polyline { fill: none; stroke-width: 2 }
.grid { stroke: #808080; stroke-opacity: .25; stroke-width: 1 }
.axis, .theory { stroke: #808080 }
.hll { stroke: #2f81f7 }
.bloom { stroke: #d97706 }
.hll.dot { fill: #2f81f7 }
.bloom.dot { fill: #d97706 }
</style>
<text x="${area.left}" y="18">Relative error of the count of distinct visitors, ${seeds} seeds</text>
${legend.join('\n')}
${grid.join('\n')}
<line x1="${area.left}" x2="${area.right}" y1="${area.bottom}" y2="${area.bottom}" class="axis"/>
<line x1="${area.left}" x2="${area.left}" y1="${area.top}" y2="${area.bottom}" class="axis"/>
${ticks.join('\n')}
<text x="${(area.left + area.right) / 2}" y="${area.bottom + 42}" text-anchor="middle">distinct visitors (logarithmic)</text>
<polyline points="${line(theory)}" class="theory" stroke-dasharray="6 5"/>
<polyline points="${line(hyperLogLogPoints.map(({ n, rms }) => [n, rms]))}" class="hll"/>
${dots(hyperLogLogPoints, 'hll').join('\n')}
<polyline points="${line(bloomPoints.map(({ n, rms }) => [n, rms]))}" class="bloom"/>
${dots(bloomPoints, 'bloom').join('\n')}
</svg>
`
}
