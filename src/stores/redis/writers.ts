/**
 * The writers of a namespace, and how those that are gone are cleared away. Each leaves a sequence in every all-time set it wrote to (a bucket takes
 * its own with it); a sequence may only go when nobody can send what it guards against any more. So every writer shows itself now and then. One that
 * was not seen for a week is first entered as retired, which it would find before it sends anything again, and only then are its sequences removed.
 */

import { total } from '../../time/granularity.ts'
import { lanes } from '../store.ts'
import { type Command, command } from './client.ts'
import type { Keys } from './keys.ts'
import { evaluate } from './link.ts'
import { retire, seen } from './scripts.ts'

/** A writer that was away for this long is retired by the others. */
export const RETIRED_AFTER_SECONDS = 7 * 86_400
/** A writer that was away for this long takes itself for retired: earlier than the others do, by its own clock. */
export const AWAY_MS = 6 * 86_400_000
/** The retired are remembered for another month, then nobody is left to ask. */
const FORGOTTEN_AFTER_SECONDS = 37 * 86_400
/** Writers cleared away at one start. */
const AT_ONCE = 50

/** Shows the writer; its reply is 0 when it is retired. */
export function show(keys: Keys, writer: string): Command {
	return evaluate(seen, keys.writers, [writer])
}

/** Clears those away that one server has not seen for a week, from the partitions it owns. `ask` answers replies and throws when one is an error. */
export async function clearAway(
	keys: Keys,
	partitions: readonly number[],
	askHome: (commands: readonly Command[]) => Promise<readonly unknown[]>,
	askPartition: (partition: number, commands: readonly Command[]) => Promise<readonly unknown[]>,
): Promise<number> {
	const [time] = (await askHome([command('time')])) as [[string, string]]
	const now = Number(time[0])
	// The retired have a negative number, the last ones the lowest. They are cleared away again, should that have been cut short.
	const [absent, begun] = (await askHome([
		command('zrangebyscore', keys.writers, 1, now - RETIRED_AFTER_SECONDS, 'LIMIT', 0, AT_ONCE),
		command('zrangebyscore', keys.writers, '-inf', -1, 'LIMIT', 0, AT_ONCE),
	])) as [string[], string[]]
	const retired = await askHome(absent.map((writer) => evaluate(retire, keys.writers, [writer, RETIRED_AFTER_SECONDS])))
	const gone = [...absent.filter((_, i) => Number(retired[i]) === 1), ...begun]
	if (gone.length > 0) {
		const members = gone.map((writer) => `#${writer}`)
		for (const partition of partitions) {
			await askPartition(
				partition,
				lanes.map((lane) => command('zrem', keys.hits(partition, lane, total), ...members)),
			)
		}
	}
	// -(the second it was retired), so that the oldest are the highest.
	await askHome([command('zremrangebyscore', keys.writers, -(now - FORGOTTEN_AFTER_SECONDS), -1)])
	return gone.length
}
