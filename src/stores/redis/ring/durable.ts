/**
 * Waiting until nothing that a node has now can be rolled back: neither by a crash, its append-only file being behind, nor by a replica that takes over.
 *
 *     appendfsync always     it is so at once
 *     appendfsync everysec   after 1.25 s in which the server did not restart, and when no fsync is under way
 *     appendfsync no         the system writes when it likes: as everysec, which is the best that can be had
 *     no append-only file    nothing can make it so; what a crash costs is what the server's owner has chosen
 *     replicas               as many as asked for have it too
 */
import { StoreUnavailableError } from '../../../errors.ts'
import { command } from '../client.ts'
import { Failure } from '../failure.ts'
import type { Keys } from '../keys.ts'
import { askNode } from './ask-node.ts'
import type { Node } from './placement.ts'

/** The second between two fsyncs, and a margin. */
const FSYNC_MS = 1_250
/** How often a server is asked whether an fsync is still under way, and how many times. */
const PENDING_MS = 20
const PENDING_TIMES = 500
const WAIT_MS = 1_000
const WAIT_TIMES = 10

export interface Durability {
	readonly keys: Keys
	readonly timeoutMs: number
	readonly replicasToWaitFor: number
}

/**
 * Answers whether `holds` is so, and will be after whatever befalls the node. It is asked within the life of the server in which is waited, and again at the
 * end: something that came later, or was rolled back and done again, has not been waited for. Rejects with StoreUnavailableError when the node does not
 * answer, cannot write its file, or has too few replicas.
 */
export async function isDurable(
	node: Node,
	partition: number,
	{ keys, timeoutMs, replicasToWaitFor }: Durability,
	holds: () => Promise<boolean>,
): Promise<boolean> {
	for (;;) {
		const before = await stateOf(node, timeoutMs)
		if (!(await holds())) return false
		if (before.fsync !== 'none' && before.fsync !== 'always') {
			await sleep(FSYNC_MS)
			await untilSynced(node, timeoutMs)
		}
		if (replicasToWaitFor > 0) await untilReplicated(node, keys.temporary(partition, 'wait'), replicasToWaitFor, timeoutMs)
		const after = await stateOf(node, timeoutMs)
		// After a restart it has what was on its disk, and what was written since: the wait begins again.
		if (after.runId === before.runId) return holds()
	}
}

/** Another one whenever the server was restarted, or is another server. */
export async function runIdOf(node: Node, timeoutMs: number): Promise<string> {
	const [info] = await askNode(node, [command('info', 'server')], timeoutMs)
	return infoField(String(info), 'run_id') ?? ''
}

async function stateOf(node: Node, timeoutMs: number): Promise<{ runId: string; fsync: string }> {
	const [info] = await askNode(node, [command('info', 'persistence')], timeoutMs)
	const runId = await runIdOf(node, timeoutMs)
	if (infoField(String(info), 'aof_enabled') !== '1') return { runId, fsync: 'none' }
	const status = infoField(String(info), 'aof_last_write_status')
	if (status !== 'ok') throw new StoreUnavailableError(`${node.name} cannot write its append-only file (${status})`)
	// Not everybody may ask; every second is the default.
	const [config] = await node.link.send([command('config', 'GET', 'appendfsync')], timeoutMs)
	return { runId, fsync: config instanceof Failure ? 'everysec' : String((config as readonly unknown[])[1] ?? 'everysec') }
}

async function untilSynced(node: Node, timeoutMs: number): Promise<void> {
	for (let times = 0; times < PENDING_TIMES; times++) {
		const [info] = await askNode(node, [command('info', 'persistence')], timeoutMs)
		if (infoField(String(info), 'aof_pending_bio_fsync') === '0') return
		await sleep(PENDING_MS)
	}
	throw new StoreUnavailableError(`${node.name} does not get its append-only file to disk`)
}

/** WAIT is about what this connection wrote last, and with that about everything before it. */
async function untilReplicated(node: Node, key: string, replicas: number, timeoutMs: number): Promise<void> {
	let have = 0
	for (let times = 0; times < WAIT_TIMES; times++) {
		const wait = [command('set', key, '', 'PX', WAIT_MS), command('wait', replicas, Math.min(WAIT_MS, timeoutMs / 2))]
		const replies = await askNode(node, wait, timeoutMs)
		have = Number(replies[1])
		if (have >= replicas) return
	}
	throw new StoreUnavailableError(`${node.name} has ${have} replicas that follow, and ${replicas} are to be waited for`)
}

function infoField(info: string, name: string): string | undefined {
	return new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1]
}

function sleep(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms))
}
