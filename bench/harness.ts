/**
 * Compares ways of doing the same thing. The contenders run in rounds, A B C A B C ..., in one process: whatever disturbs the machine for a while
 * disturbs them all, and a ratio is taken within a round before it is taken over the rounds. A median is the result, its range stands beside it.
 */

import { cpus } from 'node:os'

/** One way of doing the thing. */
export interface Contender {
	readonly name: string
	/** Does the thing `operations` times. What it needs is made before; a promise is waited for, within the time that counts. */
	run(operations: number): void | Promise<void>
	/** Called before every round, outside the time that counts: a fresh map, a fresh counter. */
	prepare?(): void | Promise<void>
	/** Called after every round, outside the time that counts. */
	tidy?(): void | Promise<void>
}

export interface CompareOptions {
	readonly title: string
	/** How many times a round does the thing. */
	readonly operations: number
	/** Rounds that count. @default 9 */
	readonly rounds?: number
	/** Rounds before those that count, for the compiler. @default 3 */
	readonly warmups?: number
	/** The name of the contender to which the others are compared. @default the first one */
	readonly baseline?: string
}

/** A number per round, summed up. */
export interface Spread {
	readonly median: number
	readonly min: number
	readonly max: number
}

export interface Result {
	readonly name: string
	/** Operations per second. */
	readonly rate: Spread
	/** Rate divided by the baseline's rate of the same round. */
	readonly ratio: Spread
	/** Bytes allocated per operation, what stays and what is garbage alike. Undefined without --expose-gc. */
	readonly bytes: number | undefined
}

/** Runs the contenders against each other and prints the table. */
export async function compare(options: CompareOptions, contenders: readonly Contender[]): Promise<readonly Result[]> {
	const { title, operations, rounds = 9, warmups = 3, baseline = contenders[0]?.name } = options
	const base = contenders.findIndex(({ name }) => name === baseline)
	if (base === -1) throw new Error(`No contender is named ${baseline}`)
	const rates = contenders.map((): number[] => [])
	for (let round = -warmups; round < rounds; round++) {
		for (const [index, contender] of contenders.entries()) {
			await contender.prepare?.()
			globalThis.gc?.()
			const start = performance.now()
			const pending = contender.run(operations)
			if (pending !== undefined) await pending
			const seconds = (performance.now() - start) / 1_000
			await contender.tidy?.()
			if (round >= 0) rates[index]?.push(operations / seconds)
		}
	}
	const bytes: (number | undefined)[] = []
	for (const contender of contenders) bytes.push(await allocated(contender, Math.min(operations, 10_000)))
	const baseRates = rates[base] ?? []
	const results = contenders.map(({ name }, index): Result => {
		const own = rates[index] ?? []
		return {
			name,
			rate: spread(own),
			ratio: spread(own.map((rate, round) => rate / (baseRates[round] ?? Number.NaN))),
			bytes: bytes[index],
		}
	})
	console.log(`\n${title}  (${whole(operations)} operations a round, ${rounds} rounds, 1.00 = ${baseline})`)
	printTable(
		['', 'ops/s', 'min', 'max', 'ratio', 'min', 'max', ...(globalThis.gc === undefined ? [] : ['bytes/op'])],
		results.map(({ name, rate, ratio, bytes }) => [
			name,
			...[rate.median, rate.min, rate.max].map(whole),
			...[ratio.median, ratio.min, ratio.max].map((value) => value.toFixed(2)),
			...(bytes === undefined ? [] : [bytes.toFixed(0)]),
		]),
	)
	return results
}

/** Bytes per operation in a run so short that nothing is collected during it. */
async function allocated(contender: Contender, operations: number): Promise<number | undefined> {
	if (globalThis.gc === undefined) return undefined
	await contender.prepare?.()
	// Twice: the first leaves pages to be swept, which would look like memory given back by the run.
	globalThis.gc()
	globalThis.gc()
	const before = process.memoryUsage()
	const pending = contender.run(operations)
	if (pending !== undefined) await pending
	const after = process.memoryUsage()
	await contender.tidy?.()
	return (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / operations
}

/** The result of that name. */
export function named(results: readonly Result[], name: string): Result {
	const result = results.find((candidate) => candidate.name === name)
	if (result === undefined) throw new Error(`No result is named ${name}`)
	return result
}

let failures = 0

/** Prints whether a measured number reaches its aim. An aim is missed loudly, by the exit code too, but never in a test: tests hold on any machine. */
export function gate(what: string, measured: number, aim: { readonly atLeast: number } | { readonly atMost: number }): boolean {
	const passed = 'atLeast' in aim ? measured >= aim.atLeast : measured <= aim.atMost
	const wanted = 'atLeast' in aim ? `>= ${short(aim.atLeast)}` : `<= ${short(aim.atMost)}`
	console.log(`${passed ? 'PASS' : 'FAIL'}  ${what}: ${short(measured)} (aim ${wanted})`)
	if (!passed) failures++
	return passed
}

/** How many gates failed so far. */
export function failedGates(): number {
	return failures
}

/** What the figures were measured on. */
export function machineLine(): string {
	const processors = cpus()
	return `node ${process.version}, ${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}, ${process.platform} ${process.arch}`
}

/** Prints rows under a head, the first column to the left, the others to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
	const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
	for (const row of [head, ...rows]) {
		const cells = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
		console.log(`  ${cells.join('  ')}`.trimEnd())
	}
}

/** The median and the range of some numbers. */
export function spread(values: readonly number[]): Spread {
	const sorted = [...values].sort((a, b) => a - b)
	const middle = (sorted.length - 1) / 2
	const at = (index: number) => sorted[index] ?? Number.NaN
	return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) }
}

/** Seeded numbers in [0, 1): the same on every machine (mulberry32). */
export function seeded(seed: number): () => number {
	let state = seed | 0
	return () => {
		state = (state + 0x6d2b79f5) | 0
		let mixed = Math.imul(state ^ (state >>> 15), state | 1)
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
	}
}

/**
 * Strings in each of the ways in which V8 keeps them: flat, joined of two, cut out of one, named in the source; of one byte a character and of two. Every
 * application has them all, and code that has met few of them is compiled to be quicker than it is there: to be called before it is measured.
 */
export function meetStringsOfEveryKind(use: (text: string) => unknown): void {
	const joined = (part: string) => `${part}${Math.random()}${part}`
	const strings = [
		'x',
		'y'.repeat(30),
		joined('of one byte'),
		joined('of one byte').slice(1, 25),
		'ü€'.repeat(20),
		joined('of two: ü€'),
		joined('of two: ü€').slice(1, 25),
	]
	for (let i = 0; i < 1_000; i++) for (const text of strings) use(text)
}

/** `length` numbers below `size`, number i as often as 1 / (i + 1): how visits spread over the pages of a site. */
export function zipf(size: number, length: number, random: () => number): Uint32Array {
	const upTo = new Float64Array(size)
	let sum = 0
	for (let i = 0; i < size; i++) {
		sum += 1 / (i + 1)
		upTo[i] = sum
	}
	return Uint32Array.from({ length }, () => {
		const target = random() * sum
		let low = 0
		let high = size - 1
		while (low < high) {
			const middle = (low + high) >>> 1
			if ((upTo[middle] ?? sum) > target) high = middle
			else low = middle + 1
		}
		return low
	})
}

function whole(value: number): string {
	return Math.round(value).toLocaleString('en-US')
}

function short(value: number): string {
	return Math.abs(value) >= 1_000 ? whole(value) : value.toFixed(2)
}
