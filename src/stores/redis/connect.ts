/** A client of our own, for a store that was given a url. ioredis is loaded only here, so that nobody needs it who passes a client of another make. */
import { TallymarkError } from '../../errors.ts'
import type { RedisClient } from './client.ts'
import { longestMs } from './link.ts'

export interface OwnClient extends RedisClient {
	disconnect(): void
}

/** Rejects with ERR_TALLYMARK_SETUP when it is not installed. */
export async function loadIoredis(): Promise<Pick<typeof import('ioredis'), 'Redis' | 'Cluster'>> {
	return import('ioredis').catch((cause: unknown) => {
		throw new TallymarkError(
			'ERR_TALLYMARK_SETUP',
			`A store that is given a url needs ioredis, which could not be loaded: npm install ioredis, or pass a client (${String(cause)})`,
			{ cause },
		)
	})
}

/** However short the time-outs of readings and batches are: a process without a processor is late with everything. */
const CONNECT_MS = 2_000

/**
 * Set so that the client never repeats a command, nor keeps one for later: both are ours to do. No `commandTimeout`: it would hide answers that are late,
 * from which it is learned how long a server takes.
 */
export function ownOptions(timeoutMs: number) {
	return {
		autoResendUnfulfilledCommands: false,
		maxRetriesPerRequest: 0,
		connectTimeout: Math.max(timeoutMs, CONNECT_MS),
		// A connection that is dead without a word (a router forgot it) is given up: what is sent into it is never answered.
		socketTimeout: longestMs(timeoutMs),
		connectionName: 'tallymark',
		// Who closes has had his answers, or has given them up: a server that is away must not keep the process alive for 2 s.
		disconnectTimeout: 100,
		// Half of it at random: the processes of a site must not all come back in the same moment.
		retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt - 1, 6), 2_000) * (0.5 + Math.random() / 2),
	}
}

/** Rejects with ERR_TALLYMARK_SETUP when ioredis is not installed. */
export async function connect(url: string, timeoutMs: number, onError: (error: unknown) => void): Promise<OwnClient> {
	const { Redis } = await loadIoredis()
	const client = new Redis(url, { ...ownOptions(timeoutMs), enableOfflineQueue: false })
	// Without a listener ioredis prints to the console.
	client.on('error', onError)
	return client
}
