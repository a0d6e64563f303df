/** What is being tried: a Redis store, or one of the controls that must fail; and the settings that all counters of a schedule share. */
import { randomUUID } from 'node:crypto'
import { Cluster, Redis } from 'ioredis'
import type { CounterOptions } from '../../src/options.ts'
import { type ClusterClient, type RedisClient, RedisClusterStore, RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import type { Store } from '../../src/stores/store.ts'
import { lengthMs, startOf } from '../../src/time/granularity.ts'
import { endingMinute } from './hits.ts'
import { NaiveStore } from './naive-store.ts'
import type { Plan } from './plan.ts'

export type Target = 'redis' | 'no-sequences' | 'naive' | 'cluster' | 'cluster-no-sequences' | 'ring' | 'ring-no-sequences'

export function isCluster(target: Target): boolean {
	return target.startsWith('cluster')
}

export function isRing(target: Target): boolean {
	return target.startsWith('ring')
}

/** A node of a cluster, and the port by which it is reached. */
export interface NodePorts {
	readonly port: number
	readonly through: number
}

/** Servers of a ring, by the names that its placement has for them. */
export interface RingPlace {
	readonly ring: readonly { readonly name: string; readonly port: number }[]
}

/** Where the servers are: one, or those of a cluster or a ring. */
export type Place = number | readonly NodePorts[] | RingPlace

/** Whether it keeps visitors, trends and lists, and knows deletions; the naive one counts, and no more. */
export function isComplete(target: Target): boolean {
	return target !== 'naive'
}

/** A store on the servers at this place, and how to let go of it. */
export function openStore(target: Target, place: Place, plan: Plan): { store: Store; end: () => void } {
	if (typeof place !== 'number') return 'ring' in place ? openRing(target, place, plan) : openCluster(target, place, plan)
	const port = place
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
	const client = openClient(port, plan)
	return { store: new RedisStore(withoutSequences(client), options), end: () => client.disconnect() }
}

function openClient(port: number, { timeoutMs }: Plan): Redis {
	const client = new Redis(port, '127.0.0.1', {
		enableOfflineQueue: false,
		autoResendUnfulfilledCommands: false,
		maxRetriesPerRequest: 0,
		commandTimeout: timeoutMs,
		socketTimeout: 2 * timeoutMs,
		retryStrategy: () => 50,
	})
	client.on('error', () => {})
	return client
}

function openRing(target: Target, { ring }: RingPlace, plan: Plan): { store: Store; end: () => void } {
	const options = {
		partitions: plan.partitions,
		retentionMs: plan.retentionMs,
		readTimeoutMs: plan.timeoutMs,
		writeTimeoutMs: plan.timeoutMs,
		replicasToWaitFor: plan.replicasToWaitFor,
	}
	if (target === 'ring') {
		const nodes = ring.map(({ name, port }) => ({ name, url: `redis://127.0.0.1:${port}` }))
		return { store: new ShardedRedisStore({ nodes, ...options }), end: () => {} }
	}
	const clients = ring.map(({ port }) => openClient(port, plan))
	const nodes = ring.map(({ name }, i) => ({ name, client: withoutSequences(clients[i]!) }))
	const end = () => {
		for (const client of clients) client.disconnect()
	}
	return { store: new ShardedRedisStore({ nodes, ...options }), end }
}

function openCluster(target: Target, place: readonly NodePorts[], plan: Plan): { store: Store; end: () => void } {
	const host = '127.0.0.1'
	const { timeoutMs } = plan
	const client = new Cluster(
		place.map(({ through }) => ({ host, port: through })),
		{
			natMap: Object.fromEntries(place.map(({ port, through }) => [`${host}:${port}`, { host, port: through }])),
			enableOfflineQueue: false,
			clusterRetryStrategy: () => 50,
			slotsRefreshTimeout: 500,
			slotsRefreshInterval: 2_000,
			redisOptions: {
				autoResendUnfulfilledCommands: false,
				maxRetriesPerRequest: 0,
				commandTimeout: timeoutMs,
				socketTimeout: 2 * timeoutMs,
			},
		},
	)
	client.on('error', () => {})
	const store = new RedisClusterStore(target === 'cluster-no-sequences' ? clusterWithoutSequences(client) : client, {
		partitions: plan.partitions,
		retentionMs: plan.retentionMs,
		readTimeoutMs: timeoutMs,
		writeTimeoutMs: timeoutMs,
		replicasToWaitFor: plan.replicasToWaitFor,
	})
	return { store, end: () => client.disconnect() }
}

/** Its nodes are spoilt; what goes to the wrong one is led there as it is. */
function clusterWithoutSequences(client: Cluster): ClusterClient {
	const spoilt = new WeakMap<Redis, Redis>()
	const nodeOf = (node: Redis) => {
		const known = spoilt.get(node) ?? (new Proxy(node, withSpoiltPipelines) as Redis)
		spoilt.set(node, known)
		return known
	}
	return new Proxy(client, {
		get(target, name) {
			if (name === 'nodes') return (role: 'all') => target.nodes(role).map(nodeOf)
			const value: unknown = Reflect.get(target, name)
			return typeof value === 'function' ? value.bind(target) : value
		},
	})
}

const withSpoiltPipelines: ProxyHandler<Redis> = {
	get(target, name) {
		if (name === 'pipeline') return withoutSequences(target).pipeline
		const value: unknown = Reflect.get(target, name)
		return typeof value === 'function' ? value.bind(target) : value
	},
}

/** What a ring makes of a client, to reach a node that it is not told of. */
interface SpoiltClient extends RedisClient {
	duplicate(options: object): SpoiltClient
	disconnect(): void
}

/** A client that sends every attempt as one of a new writer's, who knows of nothing before: no set can tell that it has it already, or lacks something. */
function withoutSequences(client: Redis): SpoiltClient {
	return {
		duplicate: (options) => withoutSequences(client.duplicate(options)),
		disconnect: () => client.disconnect(),
		get status() {
			return client.status
		},
		pipeline() {
			const pipeline = client.pipeline()
			const looks: boolean[] = []
			return {
				call: (command, args) => {
					looks.push(isLook(command, args))
					return pipeline.call(command, (isCounting(command, args) ? asNewWriter(args) : args) as Buffer[])
				},
				callBuffer: (command, args) => {
					looks.push(false)
					return pipeline.callBuffer(command, args as Buffer[])
				},
				exec: async () =>
					(await pipeline.exec())?.map(
						([error, reply], i) => [error, looks[i] && error === null ? allThere(String(reply)) : reply] as const,
					) ?? null,
			}
		},
		on: (event, listener) => client.on(event as 'ready', listener as () => void),
		off: (event, listener) => client.off(event, listener),
	}
}

type Args = Parameters<ReturnType<RedisClient['pipeline']>['call']>[1]

/** evalsha sha 1 key #writer last position ...; in a ring there is a second key, which is the record of who owns the partition. */
function isCounting(command: string, args: Args): boolean {
	return command === 'evalsha' && String(args[writerAt(args)]).startsWith('#')
}

/** evalsha sha n key... read #writer deadline...: what the sets have of the writer, and for how long they stay. */
function isLook(command: string, args: Args): boolean {
	return command === 'evalsha' && ['HGET', 'ZSCORE'].includes(String(args[writerAt(args)]))
}

function allThere(answer: string): string {
	return answer
		.split(' ')
		.map((each, i) => (i % 2 === 0 && each !== 'past' ? Number.MAX_SAFE_INTEGER : each))
		.join(' ')
}

function asNewWriter(args: Args): Args {
	const at = writerAt(args)
	return [...args.slice(0, at), `#${randomUUID()}`, 0, ...args.slice(at + 2)]
}

function writerAt(args: Args): number {
	return 2 + Number(args[1])
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
