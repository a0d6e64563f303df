/**
 * Small texts that all counters of a namespace know, in Redis: a string with a time to live, which the first to bring one sets. Where there are several
 * servers each of them keeps it, since any may be away: a text that one has is given to the others before anything new is.
 */
import type { Shared } from '../store.ts'
import { type Command, command } from './client.ts'
import type { Link, Reply } from './link.ts'

type AskLink = (link: Link, commands: readonly Command[]) => Promise<readonly Reply[]>

/** Sets the value unless there is one, and answers the one that is there. Asking again is as good as asking once. Throws when no server answers. */
export async function share({ value, ttlMs }: Shared, key: string, links: readonly Link[], ask: AskLink): Promise<string> {
	const get = command('get', key)
	const found = links.length === 1 ? undefined : least(await each(links, (link) => ask(link, [get])))
	const set = command('set', key, found ?? value, 'PX', Math.ceil(ttlMs), 'NX')
	for (;;) {
		// By now each server that answers has one, which stays: all who ask see the same ones. Two processes at once may have set two.
		const kept = least(await each(links, (link) => ask(link, [set, get])))
		// Otherwise it ended between the two commands.
		if (kept !== undefined) return kept
	}
}

/** The last replies of those that answer. */
async function each(links: readonly Link[], ask: (link: Link) => Promise<readonly Reply[]>): Promise<Reply[]> {
	const answers = await Promise.allSettled(links.map(ask))
	const replies = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.at(-1)] : []))
	const [first] = answers
	if (replies.length === 0 && first?.status === 'rejected') throw first.reason
	return replies
}

function least(replies: readonly Reply[]): string | undefined {
	return replies.filter((reply) => typeof reply === 'string').sort()[0]
}
