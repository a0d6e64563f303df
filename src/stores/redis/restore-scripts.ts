/**
 * The scripts that put back what a snapshot holds. As those that count, each writes with one command or not at all (see scripts.ts), and what it writes is
 * absolute, or a union: once more changes nothing. They go by their text, not their name, which is short beside what they bring.
 *
 *     KEYS[1]  what is written          KEYS[2]  who owns the partition, on a ring: while it moves nothing is taken
 *
 * A set remembers the position of the copy, as it does of a writer: what was sent earlier and arrives later, when counting may have begun, changes nothing.
 *
 *     ARGV[1]  position          ARGV[2]  deadline, epoch seconds by the server's clock; 0: never
 *     ARGV[3]  the member of all keys together, '' where nobody counts them          ARGV[4..]  members, then values
 */

const owned = `
local own = redis.call('GET', KEYS[2])
if own and string.sub(own, 1, 2) ~= 'A:' then return redis.error_reply('NOTOWNER ' .. own) end`

const inTime = `
local deadline = tonumber(ARGV[2])
if deadline > 0 and tonumber(redis.call('TIME')[1]) >= deadline then return 0 end`

/** Gives members of a sorted set their values (which are the negative of the numbers); all keys together move by the difference. */
export const restoreSorted = `${owned}${inTime}
local n = (#ARGV - 3) / 2
local now = redis.call('ZMSCORE', KEYS[1], '#copy', ARGV[3], unpack(ARGV, 4, 3 + n))
if tonumber(ARGV[1]) <= tonumber(now[1] or 0) then return 0 end
local function number(score)
	local value = tonumber(score or 0)
	if value > 0 then return 0 end
	return value
end
local all = number(now[2])
local write = {ARGV[1], '#copy'}
for i = 1, n do
	all = all - number(now[i + 2]) + tonumber(ARGV[3 + n + i])
	write[2 * i + 1] = ARGV[3 + n + i]
	write[2 * i + 2] = ARGV[3 + i]
end
if ARGV[3] ~= '' then
	write[2 * n + 3] = all
	write[2 * n + 4] = ARGV[3]
end
redis.call('ZADD', KEYS[1], unpack(write))
return 1`

/** The same in a hash, where the values are the numbers. */
export const restoreHash = `${owned}${inTime}
local n = (#ARGV - 3) / 2
local now = redis.call('HMGET', KEYS[1], '#copy', ARGV[3], unpack(ARGV, 4, 3 + n))
if tonumber(ARGV[1]) <= tonumber(now[1] or 0) then return 0 end
local all = tonumber(now[2] or 0) or 0
local write = {'#copy', ARGV[1]}
for i = 1, n do
	all = all - (tonumber(now[i + 2] or 0) or 0) + tonumber(ARGV[3 + n + i])
	write[2 * i + 1] = ARGV[3 + i]
	write[2 * i + 2] = ARGV[3 + n + i]
end
write[2 * n + 3] = ARGV[3]
write[2 * n + 4] = all
redis.call('HSET', KEYS[1], unpack(write))
return 1`

/** Any one command ARGV[1] on KEYS[1] with the arguments ARGV[2..]. */
export const oneCommand = `${owned}
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))`

/** Sets a sketch, the bytes ARGV[1], where there is none; answers 0 where there is one. ARGV[2]: its deadline, or 0. */
export const restoreSketch = `${owned}
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'EXAT', ARGV[2]) end
return 1`

/** Unites the bitmap ARGV[1] with the one that is there, whose deadline stays. */
export const uniteBitmap = `${owned}
local there, more, bytes = redis.call('GET', KEYS[1]) or '', ARGV[1], {}
for i = 1, math.max(#there, #more) do
	bytes[i] = string.char(bit.bor(string.byte(there, i) or 0, string.byte(more, i) or 0))
end
redis.call('SET', KEYS[1], table.concat(bytes), 'KEEPTTL')
return 1`

/** Forgets the names KEYS[3..], and KEYS[1], the mark of their partition, for those who remember what they sent (see known-visitors.ts). */
export const forget = `${owned}
return redis.call('UNLINK', KEYS[1], unpack(KEYS, 3))`
