/**
 * Scans that outlive their server. A cursor is a place in the order of hashes, and each server draws a seed of its own for these when it starts: after a
 * restart or a failover, or when the key is on another server, a cursor goes on somewhere in another order, and what it passes over is missed silently.
 *
 * The order itself tells. With each further page the first few members are asked for again, after the page and in the same go, so that they come from the
 * same server or a later one. Where most of them are others the page counts for nothing, and the scan begins anew: whoever scans gets the first page
 * again, and so some members twice. Two orders of 500 members look the same once in 10^9.
 *
 * Rejected: the run_id of INFO. It has no key to send it by to the right node of a cluster, is that of another server behind some proxies, and not everybody
 * may ask for it.
 */
import { StoreUnavailableError } from '../../errors.ts'
import { type Command, command } from './client.ts'
import type { Ask } from './visitor-form.ts'

const scans = new Set(['hscan', 'zscan', 'sscan'])
/** Members that are compared, at most and at least. */
const MOST = 16
const LEAST = 8
/** Members that are asked for again. Twice as many as needed: of a table that is nearly empty fewer come. */
const AGAIN = 32
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
}

/** The same, but for cursors: they stay good. Rejects with StoreUnavailableError for a set whose order does not stay the same long enough. */
export function steadyScans(ask: Ask): Ask {
	/** Those that are not through, by key. */
	const open = new Map<string, Scan>()

	const steady: Ask = async (commands) => {
		const pages = commands.flatMap((command, place): Page[] => (scans.has(command.name) ? [{ place, command }] : []))
		const looked = pages.filter(({ command }) => !showsFirst(command))
		const replies = [...(await ask([...commands, ...looked.map(({ command }) => lookAgain(command, open))]))]
		const seen = new Map(looked.map((page, i) => [page, replies[commands.length + i]]))
		const anew: Page[] = []
		for (const page of pages) {
			const { place, command } = page
			const key = keyOf(command)
			const first = membersOf(command, seen.get(page) ?? replies[place])
			const scan = open.get(key)
			if (!isFirst(command) && !looksSame(scan?.first ?? [], first)) anew.push(page)
			else if (isLast(replies[place])) open.delete(key)
			else open.set(key, { first, restarts: scan?.restarts ?? 0 })
		}
		if (anew.length > 0) {
			const others = await steady(anew.map(({ command }) => beginAnew(command, open)))
			for (const [i, { place }] of anew.entries()) replies[place] = others[i]
		}
		return replies.slice(0, commands.length)
	}
	return steady
}

function beginAnew(scan: Command, open: Map<string, Scan>): Command {
	const key = keyOf(scan)
	const restarts = (open.get(key)?.restarts ?? 0) + 1
	if (restarts > RESTARTS) {
		throw new StoreUnavailableError(
			`${key} could not be read to its end: ${restarts} times it was on another server, or on one that was started anew`,
		)
	}
	open.set(key, { first: [], restarts })
	const at = scan.args.indexOf('COUNT') + 1
	return { ...scan, args: scan.args.map((arg, i) => (i === 1 ? '0' : i === at ? Number(arg) * growth(restarts) : arg)) }
}

function lookAgain({ name, args }: Command, open: ReadonlyMap<string, Scan>): Command {
	const restarts = open.get(String(args[0]))?.restarts ?? 0
	return command(name, args[0]!, '0', 'COUNT', AGAIN * growth(restarts))
}

function growth(restarts: number): number {
	return Math.min(GROWTH ** restarts, GROWN)
}

function looksSame(before: readonly string[], now: readonly string[]): boolean {
	if (Math.min(before.length, now.length) < LEAST) return false
	const known = new Set(before)
	// Not all of them: members come and go.
	return now.filter((member) => known.has(member)).length * 2 > Math.max(before.length, now.length)
}

function keyOf({ args }: Command): string {
	return String(args[0])
}

function isFirst({ args }: Command): boolean {
	return String(args[1]) === '0'
}

/** Whether the page begins with the first members; one of a MATCH lacks some. */
function showsFirst(scan: Command): boolean {
	return isFirst(scan) && !scan.args.includes('MATCH', 2)
}

function isLast(reply: unknown): boolean {
	return String((reply as readonly unknown[])[0]) === '0'
}

function membersOf({ name }: Command, reply: unknown): string[] {
	const list = (reply as readonly [unknown, readonly unknown[]])[1]
	// However the client gives them: in turns with their numbers, or in pairs.
	const each = name === 'sscan' || Array.isArray(list[0]) ? 1 : 2
	return Array.from({ length: Math.min(MOST, list.length / each) }, (_, i) => String([list[i * each]].flat()[0]))
}
