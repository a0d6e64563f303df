/** Keys that nothing will ever take away: of a bucket that ends, without a deadline. */
import { Redis } from 'ioredis'
import { namespace, type Place } from './target.ts'

/** The hits or the visitors of a bucket in a lane, or a trend. */
const ends = new RegExp(`^\\{${namespace}:\\d+\\}(:\\w+)?:((hits|uniq):(minute|hour|day)|trend):\\d+`)

/**
 * Their names. A writer that was killed may have died between the hits of a new bucket and its deadline; whoever writes to the bucket next mends that.
 * So where one was killed, those count only that one of the `survivors` has written to.
 */
export async function immortals(place: Place, survivors: readonly string[], killed: boolean): Promise<string[]> {
	const found = await Promise.all(portsOf(place).map((port) => immortalsOn(port, survivors, killed)))
	return [...new Set(found.flat())]
}

async function immortalsOn(port: number, survivors: readonly string[], killed: boolean): Promise<string[]> {
	const redis = new Redis(port, '127.0.0.1')
	redis.on('error', () => {})
	try {
		const found: string[] = []
		// A replica has what its master has, later.
		if ((await redis.role())[0] !== 'master') return found
		for (let cursor = '0'; ; ) {
			const [next, keys] = await redis.scan(cursor, 'MATCH', `{${namespace}:*`, 'COUNT', 1_000)
			const ending = keys.filter((key) => ends.test(key))
			const ttls = await Promise.all(ending.map((key) => redis.pttl(key)))
			for (const key of ending.filter((_, i) => ttls[i] === -1)) {
				if (!killed || (await isWrittenBy(redis, key, survivors))) found.push(key)
			}
			cursor = next
			if (cursor === '0') return found
		}
	} finally {
		redis.disconnect()
	}
}

async function isWrittenBy(redis: Redis, key: string, writers: readonly string[]): Promise<boolean> {
	const members = writers.map((writer) => `#${writer}`)
	const type = await redis.type(key)
	if (type === 'hash') return (await redis.hmget(key, ...members)).some((position) => position !== null)
	if (type === 'zset') return (await redis.zmscore(key, ...members)).some((position) => position !== null)
	// Visitors do not say whose they are.
	return false
}

function portsOf(place: Place): number[] {
	if (typeof place === 'number') return [place]
	return ('ring' in place ? place.ring : place).map(({ port }) => port)
}
