/**
 * Scans that outlive their server. A cursor is a place in the order of hashes, and each server draws a seed of its own for these when it starts: after a
 * restart or a failover, or when the key is on another server, a cursor goes on somewhere in another order, and what it passes over is missed silently.
 *
 * The order itself tells. With each further page the first few members are asked for again, after the page and in the same go, so that they come from the
 * same server or a later one. Where most of them are others the page counts for nothing, and the scan begins anew: whoever scans gets the first page
 * again, and so some members twice. Two orders of 60 members look the same once in 10^4, of 500 once in 10^14.
 *
 * Rejected: the run_id of INFO. It has no key to send it by to the right node of a cluster, is that of another server behind some proxies, and not everybody
 * may ask for it.
 */
import { StoreUnavailableError } from '../../errors.ts'
import { type Command, command } from './client.ts'
import type { Ask } from './visitor-form.ts'

const scans = new Set(['hscan', 'zscan', 'sscan'])
/** Members that are compared, at most and at least: of a table that is nearly empty fewer come. */
const MOST = 16
const LEAST = 8
/** How often one scan begins anew. */
const RESTARTS = 8
/** Each time it asks for so many times more at once, up to a point: what comes in one page needs no cursor. */
const GROWTH = 8
const GROWN = 64

interface Scan {
	/** What it began with, as that was found last. */
	first: readonly string[]
	restarts: number
}

interface Page {
	readonly place: number
	readonly command: Command
	/** The first members are asked for beside it: it does not begin with them, or leaves some out. */
	readonly looks: boolean
}

/** The same, but for cursors: they stay good. Rejects with StoreUnavailableError for a set whose order does not stay the same long enough. */
export function steadyScans(ask: Ask): Ask {
	/** Those that are not through, by key. */
	const open = new Map<string, Scan>()

	/** Answers the replies of the commands, scans among them as they shall be taken. */
	const send = async (commands: readonly Command[], pages: readonly Page[]): Promise<unknown[]> => {
		const looks = pages.filter(({ looks }) => looks)
		const replies = [...(await ask([...commands, ...looks.map(({ command }) => lookOf(command, open))]))]
		const looked = new Map(looks.map((page, i) => [page, replies[commands.length + i]]))
		const anew: Page[] = []
		for (const page of pages) {
			const { place, command } = page
			const key = keyOf(command)
			const scan = open.get(key)
			const first = membersOf(command, looked.get(page) ?? replies[place])
			if (!isFirst(command) && !looksSame(scan?.first ?? [], first)) anew.push({ ...page, command: beginAnew(command, open) })
			else if (isLast(replies[place])) open.delete(key)
			// Only now is it known that more pages follow: the first one comes again, with the order that it is in.
			else if (isFirst(command) && isPart(command) && !page.looks) anew.push(page)
			else open.set(key, { first, restarts: scan?.restarts ?? 0 })
		}
		if (anew.length > 0) {
			const again = anew.map(({ command }, place): Page => ({ place, command, looks: isPart(command) }))
			const others = await send(
				again.map(({ command }) => command),
				again,
			)
			for (const [i, { place }] of anew.entries()) replies[place] = others[i]
		}
		return replies.slice(0, commands.length)
	}
	return (commands) =>
		send(
			commands,
			commands.flatMap((command, place) => (scans.has(command.name) ? [{ place, command, looks: !isFirst(command) }] : [])),
		)
}

/** The first page, and more of it than before. */
function beginAnew(scan: Command, open: Map<string, Scan>): Command {
	const key = keyOf(scan)
	const restarts = (open.get(key)?.restarts ?? 0) + 1
	if (restarts > RESTARTS)
		throw new StoreUnavailableError(
			`${key} could not be read to its end: ${restarts} times it was on another server, or on one that was started anew`,
		)
	open.set(key, { first: [], restarts })
	const at = scan.args.indexOf('COUNT') + 1
	return { ...scan, args: scan.args.map((arg, i) => (i === 1 ? '0' : i === at ? Number(arg) * growth(restarts) : arg)) }
}

function lookOf({ name, args }: Command, open: ReadonlyMap<string, Scan>): Command {
	const restarts = open.get(String(args[0]))?.restarts ?? 0
	return command(name, args[0]!, '0', 'COUNT', MOST * growth(restarts))
}

function growth(restarts: number): number {
	return Math.min(GROWTH ** restarts, GROWN)
}

function looksSame(before: readonly string[], now: readonly string[]): boolean {
	const most = Math.min(before.length, now.length)
	const known = new Set(before)
	// Not all of them: members come and go.
	return most >= LEAST && now.filter((member) => known.has(member)).length * 3 > most * 2
}

function keyOf({ args }: Command): string {
	return String(args[0])
}

function isFirst({ args }: Command): boolean {
	return String(args[1]) === '0'
}

function isLast(reply: unknown): boolean {
	return String((reply as readonly unknown[])[0]) === '0'
}

/** Whether some members are left out. */
function isPart({ args }: Command): boolean {
	return args.includes('MATCH', 2)
}

/** The first few of a page. */
function membersOf({ name }: Command, reply: unknown): string[] {
	const list = (reply as readonly [unknown, readonly unknown[]])[1]
	// However the client gives them: in turns with their numbers, or in pairs.
	const each = name === 'sscan' || Array.isArray(list[0]) ? 1 : 2
	return Array.from({ length: Math.min(MOST, list.length / each) }, (_, i) => String([list[i * each]].flat()[0]))
}
