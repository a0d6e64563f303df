/**
 * Patience with a connection whose server hangs. What is not answered in time is sent again, and a client keeps every copy until the server takes it: so
 * while something is not answered for long, nothing is sent but a PING now and then, whose answer says that all before it was answered, or never will be.
 */
import { systemClock } from '../../clock.ts'
import type { RedisClient } from './client.ts'

/** Without an answer for this long, a server is taken to hang. */
const HANGS_MS = 2_000
/** How long what is to be sent waits for the answer to a PING: longer than a server takes that does not hang. */
const PONG_MS = 100
/** Between two PINGs without an answer: each time twice as long as before, up to the second. */
const PING_MS = 250
const PING_AT_MOST_MS = 8_000

/** What one connection was sent and has not answered, the oldest first. */
interface Line {
	readonly waiting: Set<{ readonly at: number }>
	/** Settles when the last PING is answered. */
	pong: Promise<unknown> | undefined
	pingedAt: number
	pingMs: number
}

const lines = new WeakMap<RedisClient, Line>()

/** The connection was made anew: what was sent over the one before is answered, or never will be (a client may leave it open for ever). */
export function renewed(client: RedisClient): void {
	lines.delete(client)
}

/** Something was sent. Answers what to call when it was answered. */
export function sent(client: RedisClient): () => void {
	const { waiting } = lineOf(client)
	const entry = { at: performance.now() }
	waiting.add(entry)
	return () => void waiting.delete(entry)
}

/** undefined when something may be sent; otherwise it is answered whether it may. */
export function hangs(client: RedisClient): Promise<boolean> | undefined {
	const line = lineOf(client)
	return isLate(line) ? stillHangs(client, line) : undefined
}

async function stillHangs(client: RedisClient, line: Line): Promise<boolean> {
	const now = performance.now()
	if (now - line.pingedAt > line.pingMs) {
		line.pingMs = Math.min(2 * line.pingMs, PING_AT_MOST_MS)
		line.pingedAt = now
		line.pong = ping(client, line)
	}
	await Promise.race([line.pong, new Promise<void>((resolve) => systemClock.setTimer(resolve, PONG_MS))])
	return isLate(lineOf(client))
}

async function ping(client: RedisClient, line: Line): Promise<void> {
	const at = performance.now()
	try {
		const pipeline = client.pipeline()
		pipeline.call('ping', [])
		const [answer] = (await pipeline.exec()) ?? []
		if (answer?.[0] !== null) return
	} catch {
		return
	}
	line.pingMs = PING_MS
	line.pingedAt = Number.NEGATIVE_INFINITY
	for (const entry of line.waiting) if (entry.at <= at) line.waiting.delete(entry)
}

function isLate({ waiting }: Line): boolean {
	const [oldest] = waiting
	return oldest !== undefined && performance.now() - oldest.at > HANGS_MS
}

function lineOf(client: RedisClient): Line {
	let line = lines.get(client)
	if (line === undefined) {
		line = { waiting: new Set(), pong: undefined, pingedAt: Number.NEGATIVE_INFINITY, pingMs: PING_MS }
		lines.set(client, line)
	}
	return line
}
