/** Hits of keys in buckets: the value and the last position of this writer in one command, so that they belong together. */
import { partitionOf } from '../../hash/partition.ts'
import { deadlineOf } from '../../time/granularity.ts'
import type { HitsQuery, HitsReading, SessionSettings } from '../store.ts'
import type { Channel } from './channel.ts'
import { type Command, command } from './client.ts'
import { Failure } from './failure.ts'
import { ALL, type Keys, memberOf, shapeOf } from './keys.ts'
import { evaluate, type Reply } from './link.ts'
import { isWhole, sequenceOf } from './position.ts'
import type { Reader } from './reader.ts'
import { readMany } from './scripts.ts'
import { chunks } from './visitor-form.ts'

/** Members of one set in one command. */
const MEMBERS = 500
/** Sets in one script, and numbers in its answer: the server does nothing else meanwhile. */
const SETS = 500
const NUMBERS = 5_000
/** So many sets are worth a script. */
const SEVERAL = 4

/** What is asked of some sets of one shape at once: the position of this writer, and the numbers of the same members. */
interface Question {
	readonly columns: readonly number[]
	readonly rows: readonly number[]
	/** By column. */
	readonly sets: readonly string[]
	readonly name: 'hmget' | 'zmscore'
	readonly members: readonly string[]
}

export async function readHits(
	{ lane, keys, buckets }: HitsQuery,
	reader: Reader,
	names: Keys,
	settings: SessionSettings,
	writer: string,
	channels: readonly Channel[],
): Promise<HitsReading> {
	const rows = keys === 'all' ? reader.partitions : keys.length
	const width = buckets.length
	const values = new Float64Array(rows * width)
	const applied = new Float64Array(rows * width)
	const byPartition = rowsByPartition(keys, reader.partitions)
	const now = settings.clock.now()
	const read = async (partition: number, rowsHere: readonly number[]) => {
		const channel = channels[partition]!
		const columns: Record<Question['name'], number[]> = { hmget: [], zmscore: [] }
		for (const [column, bucket] of buckets.entries()) {
			// Past its deadline by our clock: not shown, whether or not the server has dropped it.
			if (now < deadlineOf(bucket, settings.retention)) columns[shapeOf(bucket) === 'hash' ? 'hmget' : 'zmscore'].push(column)
			else for (const row of rowsHere) applied[row * width + column] = channel.acked
		}
		const questions: Question[] = []
		for (const rows of chunks(rowsHere, MEMBERS)) {
			const members = rows.map((row) => (keys === 'all' ? ALL : memberOf(keys[row]!)))
			const most = Math.min(SETS, Math.floor(NUMBERS / (1 + members.length)))
			for (const name of ['hmget', 'zmscore'] as const) {
				for (const some of chunks(columns[name], most)) {
					const sets = some.map((column) => names.hits(partition, lane, buckets[column]!))
					questions.push({ columns: some, rows, sets, name, members: [`#${writer}`, ...members] })
				}
			}
		}
		const answers = await askAll(questions, reader, partition)
		for (const [i, { columns, rows, sets, name, members }] of questions.entries()) {
			for (const [k, column] of columns.entries()) {
				const from = k * members.length
				const position = Number(answers[i]![from])
				const set = isWhole(position) ? undefined : channel.sets.find(sets[k]!)
				for (const [j, row] of rows.entries()) {
					const cell = row * width + column
					values[cell] = hitsOf(Number(answers[i]![from + 1 + j]), name === 'zmscore')
					applied[cell] = set === undefined ? sequenceOf(position) : set.sequenceIn(position, members[1 + j]!)
				}
			}
		}
	}
	await Promise.all([...byPartition].map(([partition, rowsHere]) => read(partition, rowsHere)))
	return { values, applied, servedBy: reader.servedBy(byPartition.keys()) }
}

/** The answers to each question: of the first set by member, then of the next. */
async function askAll(questions: readonly Question[], reader: Reader, partition: number): Promise<readonly (readonly Reply[])[]> {
	const ways = questions.map((each) => (each.sets.length < SEVERAL ? singly(each) : [together(each)]))
	const replies = await reader.attempt(partition, ways.flat())
	let at = 0
	const answers: (readonly Reply[])[] = ways.map(({ length }) => {
		at += length
		return replies.slice(at - length, at)
	})
	// Of a slot that is on its way to another node of a cluster, several keys at once are refused.
	const split = questions.flatMap((_, i) => (ways[i]!.length === 1 && isTryAgain(answers[i]![0]) ? [i] : []))
	const again = await Promise.all(split.map((i) => reader.ask(partition, singly(questions[i]!))))
	for (const [k, i] of split.entries()) answers[i] = again[k]!
	return answers.map((each) =>
		reader.answered(partition, each).flatMap((reply) => (Array.isArray(reply) ? reply : String(reply).split(' '))),
	)
}

function together({ name, sets, members }: Question): Command {
	const [first, ...others] = sets
	return evaluate(readMany, first!, [name.toUpperCase(), ...members], others)
}

function singly({ name, sets, members }: Question): Command[] {
	return sets.map((set) => command(name, set, ...members))
}

function isTryAgain(reply: Reply): boolean {
	return reply instanceof Failure && reply.message.startsWith('TRYAGAIN')
}

/** The hits that a stored number stands for. In a sorted set they are negative, and a positive number marks a deleted key. */
export function hitsOf(stored: number, sorted: boolean): number {
	if (!sorted) return stored
	return stored < 0 ? -stored : 0
}

function rowsByPartition(keys: readonly string[] | 'all', partitions: number): ReadonlyMap<number, readonly number[]> {
	if (keys === 'all') return new Map(Array.from({ length: partitions }, (_, partition) => [partition, [partition]]))
	const rows = new Map<number, number[]>()
	for (const [row, key] of keys.entries()) {
		const partition = partitionOf(key, partitions)
		const same = rows.get(partition)
		if (same === undefined) rows.set(partition, [row])
		else same.push(row)
	}
	return rows
}
