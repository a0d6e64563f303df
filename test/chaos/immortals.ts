/** Keys that nothing will ever take away: of a bucket that ends, without a deadline. */
import { Redis } from 'ioredis'
import { namespace, type Place } from './target.ts'

/** The hits or the visitors of a bucket in a lane, or a trend. */
const ends = new RegExp(`^\\{${namespace}:\\d+\\}(:\\w+)?:((hits|uniq):(minute|hour|day)|trend):\\d+`)
/** In which writers that can reach the server have told it everything. */
const patienceMs = 5_000

export interface Immortal {
	readonly name: string
	/** Which of the writers have hits in it; undefined for visitors, who do not say whose they are. */
	readonly writers: readonly string[] | undefined
}

/** Those there are now. */
export async function immortals(place: Place): Promise<Immortal[]> {
	const found = await Promise.all(portsOf(place).map(immortalsOn))
	return found.flat()
}

/** Those that writers who are still there do not mend in a while. On closing they ask about everything, which mends what they forgot before. */
export async function lastingImmortals(place: Place): Promise<Immortal[]> {
	for (const end = Date.now() + patienceMs; ; ) {
		const found = await immortals(place)
		if (found.length === 0 || Date.now() > end) return found
		await new Promise((resolve) => setTimeout(resolve, 250))
	}
}

async function immortalsOn(port: number): Promise<Immortal[]> {
	const redis = new Redis(port, '127.0.0.1')
	redis.on('error', () => {})
	try {
		const found: Immortal[] = []
		// A replica has what its master has, later.
		if ((await redis.role())[0] !== 'master') return found
		for (let cursor = '0'; ; ) {
			const [next, keys] = await redis.scan(cursor, 'MATCH', `{${namespace}:*`, 'COUNT', 1_000)
			const ending = keys.filter((key) => ends.test(key))
			const ttls = await Promise.all(ending.map((key) => redis.pttl(key)))
			for (const name of ending.filter((_, i) => ttls[i] === -1)) found.push({ name, writers: await writersIn(redis, name) })
			cursor = next
			if (cursor === '0') return found
		}
	} finally {
		redis.disconnect()
	}
}

async function writersIn(redis: Redis, key: string): Promise<string[] | undefined> {
	const type = await redis.type(key)
	const members = type === 'hash' ? await redis.hkeys(key) : type === 'zset' ? await redis.zrange(key, '0', '-1') : undefined
	return members?.flatMap((member) => (member.startsWith('#') ? [member.slice(1)] : []))
}

function portsOf(place: Place): number[] {
	if (typeof place === 'number') return [place]
	return ('ring' in place ? place.ring : place).map(({ port }) => port)
}
