/** Hits of keys in buckets: the value and the last position of this writer in one command, so that they belong together. */
import { partitionOf } from '../../hash/partition.ts'
import { type Bucket, deadlineOf } from '../../time/granularity.ts'
import type { HitsQuery, HitsReading, SessionSettings } from '../store.ts'
import type { Channel } from './channel.ts'
import { type Command, command } from './client.ts'
import { ALL, type Keys, memberOf, shapeOf } from './keys.ts'
import { isWhole, sequenceOf } from './position.ts'
import type { Reader } from './reader.ts'
import { chunks } from './visitor-form.ts'

const MEMBERS = 500

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
		const commands: Command[] = []
		const targets: { bucket: Bucket; column: number; rows: readonly number[] }[] = []
		for (const [column, bucket] of buckets.entries()) {
			// Past its deadline by our clock: not shown, whether or not the server has dropped it.
			if (now >= deadlineOf(bucket, settings.retention)) {
				for (const row of rowsHere) applied[row * width + column] = channel.acked
				continue
			}
			for (const some of chunks(rowsHere, MEMBERS)) {
				const members = some.map((row) => (keys === 'all' ? ALL : memberOf(keys[row]!)))
				const name = shapeOf(bucket) === 'hash' ? 'hmget' : 'zmscore'
				commands.push(command(name, names.hits(partition, lane, bucket), `#${writer}`, ...members))
				targets.push({ bucket, column, rows: some })
			}
		}
		const replies = await reader.ask(partition, commands)
		for (const [i, { bucket, column, rows }] of targets.entries()) {
			const [position, ...numbers] = (replies[i] as readonly unknown[]).map(Number) as [number, ...number[]]
			const sorted = shapeOf(bucket) === 'sorted'
			const set = isWhole(position) ? undefined : channel.sets.find(names.hits(partition, lane, bucket))
			for (const [j, row] of rows.entries()) {
				const cell = row * width + column
				values[cell] = hitsOf(numbers[j]!, sorted)
				applied[cell] = set === undefined ? sequenceOf(position) : set.sequenceIn(position, keys === 'all' ? ALL : memberOf(keys[row]!))
			}
		}
	}
	await Promise.all([...byPartition].map(([partition, rowsHere]) => read(partition, rowsHere)))
	return { values, applied, servedBy: reader.servedBy(byPartition.keys()) }
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
