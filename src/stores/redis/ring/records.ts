/** What is done to a partition at a node, on condition of the node's record of it: each a script that compares the record and writes with one command. */
import { type Command, command } from '../client.ts'
import type { Keys } from '../keys.ts'
import { askNode, tellNode } from './ask-node.ts'
import { formatOwn, type Own, parseOwn } from './own.ts'
import type { Node } from './placement.ts'

// All by EVAL: they are rare, and need nobody to have loaded them.

const change = `
local own = redis.call('GET', KEYS[1]) or ''
if own ~= ARGV[1] then return own end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return ARGV[2]`

/** Whether this is the server that told its run_id, and was not restarted since. */
const inLife = (runId: string) => `string.find(redis.call('INFO', 'server'), 'run_id:' .. ${runId}, 1, true)`

const changeInOneLife = `
if not ${inLife('ARGV[3]')} then return '' end
local own = redis.call('GET', KEYS[1]) or ''
if own ~= ARGV[1] then return own end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]`

const restore = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('RESTORE', KEYS[2], ARGV[2], ARGV[3], 'REPLACE', 'ABSTTL')
return 1`

/** What a removal of keys answers; 0: there is another record. */
export const REMOVED = 1
export const RESTARTED = 2

const remove = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if not ${inLife('ARGV[2]')} then return ${RESTARTED} end
redis.call('UNLINK', unpack(KEYS, 2))
return ${REMOVED}`

/** A node's record of a partition, as it is compared. */
export interface Record {
	readonly text: string
	/** undefined when it is absent. */
	readonly own: Own | undefined
}

export function recordOf(own: Own | undefined): Record {
	return { text: own === undefined ? '' : formatOwn(own), own }
}

export async function readRecord(node: Node, keys: Keys, partition: number, timeoutMs: number): Promise<Record> {
	const [reply] = await askNode(node, [command('get', keys.own(partition))], timeoutMs)
	return { text: typeof reply === 'string' ? reply : '', own: parseOwn(reply) }
}

/** Changes the record if it is `before`; answers whether it is `after` now. `runId`: only if the server was not restarted since it told that. */
export async function changeRecord(
	node: Node,
	keys: Keys,
	partition: number,
	before: Record,
	after: Record,
	timeoutMs: number,
	runId?: string,
): Promise<boolean> {
	const args = [keys.own(partition), before.text, after.text]
	const sent = runId === undefined ? command('eval', change, 1, ...args) : command('eval', changeInOneLife, 1, ...args, runId)
	const [reply] = await tellNode(node, [sent], timeoutMs)
	return String(reply) === after.text
}

/** Writes a key as it was dumped, if the record is `record`: the reply is 1 then. `deadline`: epoch seconds, 0 for never. */
export function restoreKey(own: string, record: Record, key: string, deadline: number, dump: Uint8Array): Command {
	return command('eval', restore, 2, own, key, record.text, deadline * 1_000, dump)
}

/** Removes keys, if the record is `record`, and the server was not restarted since it told its run_id: the reply is {@link REMOVED} then. */
export function removeKeys(own: string, record: Record, keys: readonly string[], runId: string): Command {
	return command('eval', remove, 1 + keys.length, own, ...keys, record.text, runId)
}
