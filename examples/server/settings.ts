/** What the environment says, checked: a wrong value is a sentence at start, not a surprise later. */
export interface Settings {
	readonly port: number
	readonly host: string
	/** Keeps the numbers there, together with every other process that does; undefined: in memory. */
	readonly redisUrl: string | undefined
	/** What visitors are hashed with: processes that count together share it. undefined: each has its own. */
	readonly visitorSecret: string | undefined
}

export function settingsFrom(env: Readonly<Record<string, string | undefined>>): Settings {
	const port = env['PORT'] || '3000'
	if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
		throw new Error(`Expected PORT to be a whole number from 0 (any free port) to 65535, got ${JSON.stringify(port)}`)
	}
	const redisUrl = env['REDIS_URL'] || undefined
	if (redisUrl !== undefined && !/^rediss?:\/\/\S+$/.test(redisUrl)) {
		throw new Error(`Expected REDIS_URL to be a url like redis://localhost:6379, got ${JSON.stringify(redisUrl)}`)
	}
	const visitorSecret = env['VISITOR_SECRET'] || undefined
	if (visitorSecret !== undefined && visitorSecret.length < 16) throw new Error('Expected VISITOR_SECRET to have at least 16 characters')
	return { port: Number(port), host: env['HOST'] || '127.0.0.1', redisUrl, visitorSecret }
}
