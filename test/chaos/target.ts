/** What is being tried: the Redis store, or one of the controls that must fail; and the settings that all counters of a schedule share. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import type { CounterOptions } from '../../src/options.ts'
import { type RedisClient, RedisStore } from '../../src/redis.ts'
import type { Store } from '../../src/stores/store.ts'
import { lengthMs, startOf } from '../../src/time/granularity.ts'
import { endingMinute } from './hits.ts'
import { NaiveStore } from './naive-store.ts'
import type { Plan } from './plan.ts'

export type Target = 'redis' | 'no-sequences' | 'naive'

/** Whether it keeps visitors, trends and lists, and knows deletions; the naive one counts, and no more. */
export function isComplete(target: Target): boolean {
	return target !== 'naive'
}

/** A store on the server at this port, and how to let go of it. */
export function openStore(target: Target, port: number, plan: Plan): { store: Store; end: () => void } {
	if (target === 'naive') {
		const store = new NaiveStore(port, plan)
		return { store, end: () => store.end() }
	}
	const options = {
		partitions: plan.partitions,
		retentionMs: plan.retentionMs,
		readTimeoutMs: plan.timeoutMs,
		writeTimeoutMs: plan.timeoutMs,
	}
	if (target === 'redis') return { store: new RedisStore(`redis://127.0.0.1:${port}`, options), end: () => {} }
	const client = new Redis(port, '127.0.0.1', {
		enableOfflineQueue: false,
		autoResendUnfulfilledCommands: false,
		maxRetriesPerRequest: 0,
		commandTimeout: plan.timeoutMs,
		socketTimeout: 2 * plan.timeoutMs,
		retryStrategy: () => 50,
	})
	client.on('error', () => {})
	return { store: new RedisStore(withoutSequences(client), options), end: () => client.disconnect() }
}

/** A client that sends every attempt as one of a new writer's, who knows of nothing before: no set can tell that it has it already, or lacks something. */
function withoutSequences(client: Redis): RedisClient {
	return {
		get status() {
			return client.status
		},
		pipeline() {
			const pipeline = client.pipeline()
			return {
				call: (command, args) => pipeline.call(command, (isCounting(command, args) ? asNewWriter(args) : args) as Buffer[]),
				callBuffer: (command, args) => pipeline.callBuffer(command, args as Buffer[]),
				exec: () => pipeline.exec(),
			}
		},
		on: (event, listener) => client.on(event as 'ready', listener as () => void),
		off: (event, listener) => client.off(event, listener),
	}
}

type Args = Parameters<ReturnType<RedisClient['pipeline']>['call']>[1]

/** evalsha sha 1 key #writer last position ... */
function isCounting(command: string, args: Args): boolean {
	return command === 'evalsha' && String(args[3]).startsWith('#')
}

function asNewWriter(args: Args): Args {
	return [...args.slice(0, 3), `#${randomUUID()}`, 0, ...args.slice(5)]
}

export const namespace = 'chaos'

/** For a schedule that starts at `start`. */
export function counterOptions(target: Target, plan: Plan, start: number): CounterOptions {
	return {
		namespace,
		batch: { maxWaitMs: plan.maxWaitMs, maxKeys: plan.maxKeys },
		uniques: isComplete(target) ? plan.uniques : false,
		retention: { minute: minuteRetentionOf(plan, start) },
	}
}

/** Such that a minute of the past, `endingMinute`, ends its life while the schedule runs. */
function minuteRetentionOf(plan: Plan, start: number): number {
	const minute = startOf('minute', start) + endingMinute * lengthMs.minute
	const endsAt = Math.ceil((start + plan.minuteEndsAtMs) / 1_000) * 1_000
	return endsAt - (minute + lengthMs.minute)
}
