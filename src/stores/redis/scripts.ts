/**
 * The scripts. Each that writes touches one key, decides by what it read, and then writes with exactly one command or not at all. That is not taste: several
 * writes reach the append-only file as a transaction, and a file torn within it makes Redis 7.0 apply half of it twice after the second restart, or throw
 * everything away that was written since the first.
 * No EXPIRE inside for the same reason; and a key past its deadline is not even read, for that would delete it: a second write.
 *
 * Those that count take the position of the writer before and after. A position is what `position.ts` makes of a batch.
 *
 *     KEYS[1]  the set          ARGV[1]  #writer          ARGV[2]  position the writer believes to be the last
 *     ARGV[3]  new position     ARGV[4]  deadline, epoch seconds by the server's own clock; 0: never          ARGV[5..]  members, then values
 *
 * and answer { what, last position [, existed] } with what = APPLIED, DUPLICATE, GAP (the server lost something) or EXPIRED.
 * Those that only ask ({@link readMany}, {@link lookAt}) read many keys of one partition at once.
 */
import { PREIMAGE_BYTES } from '../../sketches/coupon.ts'

export const APPLIED = 1
export const DUPLICATE = 0
export const GAP = -1
export const EXPIRED = 2
/** In place of a position. */
export const PAST = 'past'

/** A script, and the name it has on every server once one has told it. */
export interface Script {
	readonly source: string
	sha: string | undefined
	/**
	 * The same for the owner of a partition only: the last of KEYS is the partition's record, the last of ARGV what it has to be. Otherwise the answer is an
	 * error that begins with NOTOWNER, and nothing is done.
	 */
	readonly fenced: Script | undefined
	/** It writes nothing, so it needs no fence. */
	readonly reads?: true
}

const fence = `
if redis.call('GET', table.remove(KEYS)) ~= table.remove(ARGV) then return redis.error_reply('NOTOWNER the partition is not here') end`

function script(source: string): Script {
	return { source, sha: undefined, fenced: { source: `${fence}${source}`, sha: undefined, fenced: undefined } }
}

/** A script that writes nothing, and answers a text: of numbers with spaces between them, which costs the client less than a list. */
function question(source: string): Script {
	return { source, sha: undefined, fenced: undefined, reads: true }
}

/**
 * The numbers of the members ARGV[2..] in each of KEYS, by HMGET or ZMSCORE, which ARGV[1] is: one set after the other, nothing for a member that is not
 * there. What a chart asks of a thousand minutes are a thousand commands otherwise, and a command costs the client more than all that the server does for it.
 */
export const readMany = question(`
local all, length = {}, 0
for i = 1, #KEYS do
	local some = redis.call(ARGV[1], KEYS[i], unpack(ARGV, 2))
	for j = 1, #some do all[length + j] = some[j] or '' end
	length = length + #some
end
return table.concat(all, ' ')`)

/**
 * Of each of KEYS, read by ARGV[1] (HGET or ZSCORE): the last position of the writer ARGV[2], and the seconds it has left (as TTL has them). Instead of a
 * position {@link PAST} for a set whose deadline, of ARGV[3..], is over by the server's clock.
 */
export const lookAt = question(`
local time = tonumber(redis.call('TIME')[1])
local all = {}
for i = 1, #KEYS do
	local deadline = tonumber(ARGV[2 + i])
	if deadline == 0 or time < deadline then
		all[i] = (redis.call(ARGV[1], KEYS[i], ARGV[2]) or 0) .. ' ' .. redis.call('TTL', KEYS[i])
	else
		all[i] = '${PAST} 0'
	end
end
return table.concat(all, ' ')`)

/** One command, ARGV; for those that are to be fenced. */
export const anyCommand = script(`
return redis.call(unpack(ARGV))`)

const deadline = `
local deadline = tonumber(ARGV[4])
if deadline > 0 and tonumber(redis.call('TIME')[1]) >= deadline then return {${EXPIRED}, 0} end`

const inOrder = `
local last = tonumber(now[1] or 0)
if last < tonumber(ARGV[2]) then return {${GAP}, last} end
if tonumber(ARGV[3]) <= last then return {${DUPLICATE}, last} end`

/** Sorted sets: a number is stored as its negative; a positive score on a key is one that was deleted. */
const sortedNumber = `
local function number(score)
	local value = tonumber(score or 0)
	if value > 0 then return 0 end
	return -value
end`

/** Adds values to members of a sorted set. */
export const addSorted = script(`${deadline}
local n = (#ARGV - 4) / 2
local now = redis.call('ZMSCORE', KEYS[1], ARGV[1], unpack(ARGV, 5, 4 + n))
${inOrder}
local write = {ARGV[3], ARGV[1]}
for i = 1, n do
	local before = tonumber(now[i + 1] or 0)
	if before > 0 then before = 0 end
	write[2 * i + 1] = before - ARGV[4 + n + i]
	write[2 * i + 2] = ARGV[4 + i]
end
redis.call('ZADD', KEYS[1], unpack(write))
return {${APPLIED}, last}`)

/** Adds values to fields of a hash. */
export const addHash = script(`${deadline}
local n = (#ARGV - 4) / 2
local now = redis.call('HMGET', KEYS[1], ARGV[1], unpack(ARGV, 5, 4 + n))
${inOrder}
local write = {ARGV[1], ARGV[3]}
for i = 1, n do
	write[2 * i + 1] = ARGV[4 + i]
	write[2 * i + 2] = (tonumber(now[i + 1] or 0) or 0) + ARGV[4 + n + i]
end
redis.call('HSET', KEYS[1], unpack(write))
return {${APPLIED}, last}`)

/** Gives a key (ARGV[5]) of a sorted set the value ARGV[7]; all keys together (ARGV[6]) move by the difference. */
export const setSorted = script(`${deadline}${sortedNumber}
local now = redis.call('ZMSCORE', KEYS[1], ARGV[1], ARGV[5], ARGV[6])
${inOrder}
local value = tonumber(ARGV[7])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1], 0 - value, ARGV[5], 0 - (number(now[3]) + (value - number(now[2]))), ARGV[6])
return {${APPLIED}, last}`)

/** Marks a key (ARGV[5]) of a sorted set as deleted, if it is there; all keys together (ARGV[6], or '' where nobody counts them) lose what it had. */
export const removeSorted = script(`${deadline}${sortedNumber}
local now = redis.call('ZMSCORE', KEYS[1], ARGV[1], ARGV[5], ARGV[6])
${inOrder}
local write = {ARGV[3], ARGV[1]}
local there = now[2] and tonumber(now[2]) <= 0
if there then
	write[3] = '0.5'
	write[4] = ARGV[5]
	if ARGV[6] ~= '' then
		write[5] = 0 - (number(now[3]) - number(now[2]))
		write[6] = ARGV[6]
	end
end
redis.call('ZADD', KEYS[1], unpack(write))
return {${APPLIED}, last}`)

/** The same in a hash. */
export const removeHash = script(`${deadline}
local now = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[5], ARGV[6])
${inOrder}
local write = {ARGV[1], ARGV[3]}
local had = tonumber(now[2] or '')
if had then
	write[3] = ARGV[5]
	write[4] = ''
	write[5] = ARGV[6]
	write[6] = (tonumber(now[3] or 0) or 0) - had
end
redis.call('HSET', KEYS[1], unpack(write))
return {${APPLIED}, last}`)

/** Takes the field ARGV[1] out of a hash if it is marked as deleted. (In a sorted set ZREMRANGEBYSCORE does that.) */
export const sweepHash = script(`
if redis.call('HGET', KEYS[1], ARGV[1]) == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0`)

/** PFADD of the elements of 8 bytes that ARGV[1] is made of. */
export const addPacked = script(`
local packed, elements = ARGV[1], {}
for i = 1, #packed / ${PREIMAGE_BYTES} do elements[i] = string.sub(packed, i * ${PREIMAGE_BYTES} - ${PREIMAGE_BYTES - 1}, i * ${PREIMAGE_BYTES}) end
return redis.call('PFADD', KEYS[1], unpack(elements))`)

const now = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`

/**
 * Sets the mark ARGV[1] in a hash to the holder ARGV[2] for ARGV[3] milliseconds, unless somebody holds it whose name begins with none of ARGV[4..]; answers who holds it.
 * (The value is the end, in epoch milliseconds by the server's clock, and the holder.)
 */
export const claimMark = script(`${now}
local ends, holder = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (.*)$')
if holder and tonumber(ends) > now then
	local free = false
	for i = 4, #ARGV do free = free or string.sub(holder, 1, #ARGV[i]) == ARGV[i] end
	if not free then return holder end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %s', now + ARGV[3], ARGV[2]))
return ARGV[2]`)

/** Takes the mark ARGV[1] out of a hash if its holder begins with ARGV[2]: a writer, or one claim of his. */
export const releaseMark = script(`
local holder = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^%d+ (.*)$')
if holder and string.sub(holder, 1, #ARGV[2]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0`)

/** Looks at some ARGV[2] marks of a hash from the cursor ARGV[1] on, and takes those out that nobody holds any more; answers the next cursor. */
export const sweepMarks = script(`${now}
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local over = {}
for i = 1, #page[2], 2 do
	if tonumber(string.match(page[2][i + 1], '^%d+') or 0) <= now and #over < 5000 then over[#over + 1] = page[2][i] end
end
if #over > 0 then redis.call('HDEL', KEYS[1], unpack(over)) end
return page[1]`)

/** Enters the writer ARGV[1] among the living, as seen now; answers 0 when it is among the retired, whose sequences are gone. */
export const seen = script(`
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) < 0 then return 0 end
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
return 1`)

/** Retires the writer ARGV[1] if it was not seen for ARGV[2] seconds; answers 1 when it is retired now. */
export const retire = script(`
local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if score < 0 then return 1 end
local time = tonumber(redis.call('TIME')[1])
if score == 0 or score + tonumber(ARGV[2]) > time then return 0 end
redis.call('ZADD', KEYS[1], 0 - time, ARGV[1])
return 1`)

export const scripts: readonly Script[] = [
	addSorted,
	addHash,
	setSorted,
	removeSorted,
	removeHash,
	sweepHash,
	addPacked,
	claimMark,
	releaseMark,
	sweepMarks,
	seen,
	retire,
	anyCommand,
	readMany,
	lookAt,
].flatMap((each) => (each.fenced === undefined ? [each] : [each, each.fenced]))
