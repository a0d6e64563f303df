/** What the environment says, checked: a wrong value is a sentence at start, not a surprise later. */
import { BlockList, isIP } from 'node:net'

export interface Settings {
	readonly port: number
	readonly host: string
	/** Keeps the numbers there, together with every other process that does; undefined: in memory. */
	readonly redisUrl: string | undefined
	/** Or there, in a ring of servers. */
	readonly redisNodes: readonly string[] | undefined
	/** Or there: some nodes of a Redis Cluster. */
	readonly redisCluster: readonly string[] | undefined
	/** What visitors are hashed with: processes that count together share it. undefined: random keys, shared through the store. */
	readonly visitorSecret: string | undefined
	/** Closes the endpoints that write. undefined: they are open. */
	readonly apiKey: string | undefined
	/** Closes what tells numbers, and the dashboard. undefined: they are open. */
	readonly readKey: string | undefined
	/** Whose scripts may call the API from other sites. undefined: nobody's. */
	readonly corsOrigin: '*' | readonly string[] | undefined
	/** What Express trusts to say whose request it brings: a number of proxies, or their addresses. */
	readonly trustProxy: false | number | readonly string[]
	/** Requests a minute of one address. undefined: any number. */
	readonly rateLimit: number | undefined
	/** Pages that are told apart. */
	readonly maxPages: number
	/** How far back an event may lie. */
	readonly eventMaxAgeDays: number
}

type Environment = Readonly<Record<string, string | undefined>>

export function settingsFrom(env: Environment): Settings {
	const stores = ['REDIS_URL', 'REDIS_NODES', 'REDIS_CLUSTER'].filter((name) => env[name])
	if (stores.length > 1) throw new Error(`Expected one of ${stores.join(' and ')}, got both`)
	return {
		port: whole(env, 'PORT', 3_000, 0, 65_535, ' (any free port)'),
		host: env['HOST'] || '127.0.0.1',
		redisUrl: redisUrlsFrom(env, 'REDIS_URL')?.[0],
		redisNodes: redisUrlsFrom(env, 'REDIS_NODES'),
		redisCluster: redisUrlsFrom(env, 'REDIS_CLUSTER'),
		visitorSecret: secret(env, 'VISITOR_SECRET'),
		apiKey: headerKey(env, 'API_KEY'),
		readKey: headerKey(env, 'READ_KEY'),
		corsOrigin: originsFrom(env['CORS_ORIGIN'] || undefined),
		trustProxy: proxiesFrom(env['TRUST_PROXY'] || 'loopback'),
		rateLimit: whole(env, 'RATE_LIMIT', 0, 0, 1_000_000, ' (no limit)') || undefined,
		maxPages: whole(env, 'MAX_PAGES', 100_000, 1, 100_000_000),
		eventMaxAgeDays: whole(env, 'EVENT_MAX_AGE_DAYS', 31, 1, 36_500),
	}
}

/** One url for REDIS_URL, some for the others. They are not in the message: there may be passwords in them. */
function redisUrlsFrom(env: Environment, name: string): readonly string[] | undefined {
	const text = env[name] || undefined
	if (text === undefined) return undefined
	const urls = name === 'REDIS_URL' ? [text] : text.split(',').map((each) => each.trim())
	if (urls.every((url) => /^rediss?:\/\/\S+$/.test(url) && URL.canParse(url))) return urls
	const what = name === 'REDIS_URL' ? 'a url like redis://localhost:6379' : 'urls like redis://one:6379,redis://two:6379'
	throw new Error(`Expected ${name} to be ${what}`)
}

function whole(env: Environment, name: string, fallback: number, least: number, most: number, atLeast = ''): number {
	const text = env[name] || String(fallback)
	if (!/^\d{1,9}$/.test(text) || Number(text) < least || Number(text) > most) {
		throw new Error(`Expected ${name} to be a whole number from ${least}${atLeast} to ${most}, got ${JSON.stringify(text)}`)
	}
	return Number(text)
}

/** The value is not in the message: it ends up in a log. */
function secret(env: Environment, name: string): string | undefined {
	const text = env[name] || undefined
	if (text !== undefined && !/^[\x21-\x7e]{16,}$/.test(text.replaceAll(' ', '_'))) {
		throw new Error(`Expected ${name} to have at least 16 characters of ASCII`)
	}
	return text
}

/** A secret that is sent in a header, whose outer spaces are cut off on the way. */
function headerKey(env: Environment, name: string): string | undefined {
	const text = secret(env, name)
	if (text?.trim() !== text) throw new Error(`Expected ${name} to have no spaces around it`)
	return text
}

function originsFrom(text: string | undefined): Settings['corsOrigin'] {
	if (text === undefined || text === '*') return text
	const origins = text.split(',').map((each) => each.trim())
	for (const origin of origins) {
		if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
			throw new Error(
				`Expected CORS_ORIGIN to be * or origins like https://example.com, separated by commas, got ${JSON.stringify(origin)}`,
			)
		}
	}
	return origins
}

const ranges = ['loopback', 'linklocal', 'uniquelocal']

/** Not `true`: with it each client would choose its own address. */
function proxiesFrom(text: string): Settings['trustProxy'] {
	if (text === 'false') return false
	if (/^\d{1,2}$/.test(text)) return Number(text)
	const proxies = text.split(',').map((each) => each.trim())
	for (const proxy of proxies) {
		if (!ranges.includes(proxy) && !isSubnet(proxy)) {
			throw new Error(
				`Expected TRUST_PROXY to be false, a number of proxies, or addresses, subnets, ${ranges.join(', ')}, separated by commas, got ${JSON.stringify(proxy)}`,
			)
		}
	}
	return proxies
}

function isSubnet(text: string): boolean {
	const [address = '', bits, ...more] = text.split('/')
	const version = isIP(address)
	if (version === 0 || more.length > 0) return false
	if (bits === undefined) return true
	try {
		new BlockList().addSubnet(address, /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN, version === 4 ? 'ipv4' : 'ipv6')
		return true
	} catch {
		return false
	}
}
