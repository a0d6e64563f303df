/**
 * What a writer says of itself, a line each, written to its file at once: SIGKILL takes nothing of it away. A line is a letter and its fields:
 *
 *     t tick now            the hits and the operations of this tick are counted now
 *     x tick hit reason     ... but for this one
 *     i tick hit outcome    a hit with an id got its answer: counted, duplicate, or unanswered to the end
 *     f lines               everything in the first lines of this file is stored
 *     r {...}               the store lost hits for good, and reports it
 *     e text                an error that nobody expected
 *     s {...}               the end: what close() told, and what was seen on the way
 */
import { openSync, readFileSync, writeSync } from 'node:fs'

export type IdOutcome = 'counted' | 'duplicate' | 'unanswered'

/** What the store reported as lost for good. */
export interface Rollback {
	readonly partition: number
	readonly what: string
	readonly hits: number
}

export interface Summary {
	readonly unstored: number
	/** Attempts to store a batch, and the answers that it was there already. */
	readonly attempts: number
	readonly duplicates: number
	readonly retries: number
	/** As whom it wrote. */
	readonly writer: string
}

export class WriterLog {
	readonly #file: number
	#lines = 0

	constructor(path: string) {
		this.#file = openSync(path, 'a')
	}

	get lines(): number {
		return this.#lines
	}

	tick(tick: number, now: number): void {
		this.#write(`t ${tick} ${now}`)
	}

	notCounted(tick: number, hit: number, reason: string): void {
		this.#write(`x ${tick} ${hit} ${reason}`)
	}

	withId(tick: number, hit: number, outcome: IdOutcome): void {
		this.#write(`i ${tick} ${hit} ${outcome}`)
	}

	flushed(lines: number): void {
		this.#write(`f ${lines}`)
	}

	rollback(event: Rollback): void {
		this.#write(`r ${JSON.stringify(event)}`)
	}

	error(message: string): void {
		this.#write(`e ${message.replace(/\s+/g, ' ')}`)
	}

	summary(summary: Summary): void {
		this.#write(`s ${JSON.stringify(summary)}`)
	}

	#write(line: string): void {
		this.#lines += 1
		writeSync(this.#file, `${line}\n`)
	}
}

export interface LoggedTick {
	readonly now: number
	/** Whether it is known to be stored. */
	readonly stored: boolean
}

/** A log that was read. */
export interface WriterStory {
	readonly ticks: ReadonlyMap<number, LoggedTick>
	/** By `tick hit`. */
	readonly notCounted: ReadonlyMap<string, string>
	readonly ids: ReadonlyMap<string, { readonly outcome: IdOutcome; readonly stored: boolean }>
	readonly rollbacks: readonly Rollback[]
	readonly errors: readonly string[]
	/** undefined for a writer that was killed. */
	readonly summary: Summary | undefined
}

export function readLog(path: string): WriterStory {
	const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
	const stored = Math.max(0, ...lines.filter((line) => line.startsWith('f ')).map((line) => Number(line.slice(2))))
	const ticks = new Map<number, LoggedTick>()
	const notCounted = new Map<string, string>()
	const ids = new Map<string, { outcome: IdOutcome; stored: boolean }>()
	const rollbacks: Rollback[] = []
	const errors: string[] = []
	let summary: Summary | undefined
	for (const [i, line] of lines.entries()) {
		const rest = line.slice(2)
		const [first, second, third] = rest.split(' ')
		if (line.startsWith('t')) ticks.set(Number(first), { now: Number(second), stored: i < stored })
		else if (line.startsWith('x')) notCounted.set(`${first} ${second}`, third!)
		else if (line.startsWith('i')) ids.set(`${first} ${second}`, { outcome: third as IdOutcome, stored: i < stored })
		else if (line.startsWith('r')) rollbacks.push(JSON.parse(rest))
		else if (line.startsWith('e')) errors.push(rest)
		else if (line.startsWith('s')) summary = JSON.parse(rest)
	}
	return { ticks, notCounted, ids, rollbacks, errors, summary }
}
