/** Small texts that all counters of a namespace know, in Redis: a string with a time to live, which the first to bring one sets. */
import type { Shared } from '../store.ts'
import { type Command, command } from './client.ts'
import type { Reply } from './link.ts'

/** Sets the value unless there is one, and answers the one that is there. Asking again is as good as asking once. */
export async function share(
	{ value, ttlMs }: Shared,
	key: string,
	ask: (commands: readonly Command[]) => Promise<readonly Reply[]>,
): Promise<string> {
	for (;;) {
		const [, kept] = await ask([command('set', key, value, 'PX', Math.ceil(ttlMs), 'NX'), command('get', key)])
		// Otherwise another's ended between the two commands.
		if (typeof kept === 'string') return kept
	}
}
