/**
 * The store over several Redis servers that know nothing of each other: a consistent hash ring places the partitions. Each server needs Redis 6.2 or
 * later, `maxmemory-policy noeviction`, and an append-only file, if its numbers are to survive it.
 */
import { BadInputError, expected } from '../../../errors.ts'
import { Ring } from '../../../hash/ring.ts'
import type { SessionSettings, Store, StoreSession } from '../../store.ts'
import type { RedisClient } from '../client.ts'
import { Keys } from '../keys.ts'
import { RedisSession, type SessionLimits } from '../session.ts'
import { checkOptions, type RedisOptions } from '../store-options.ts'
import { visitorForm } from '../visitor-form.ts'
import type { Replicas } from '../wire.ts'
import { readPlacement } from './placement.ts'
import type { RebalanceReport } from './progress.ts'
import { COPY_TIMEOUT_MS, type RebalanceOptions, rebalance } from './rebalance.ts'
import { type NodeSource, RingNodes } from './ring-nodes.ts'
import { RingRoute } from './ring-route.ts'

export interface ShardedNode {
	/** What the placement calls it: it must stay the same for as long as the node holds data. 1 to 200 characters. @default host:port of the url */
	readonly name?: string | undefined
	/** A client; it stays the caller's. */
	readonly client?: RedisClient | undefined
	/** Or where the server is: redis://user:password@host:port/db. */
	readonly url?: string | undefined
	/** Its share of the partitions relative to the others', above 0 and up to 100. @default 1 */
	readonly weight?: number | undefined
}

export interface ShardedRedisStoreOptions extends RedisOptions {
	/**
	 * The servers. The first counter of a namespace places the partitions over them; from then on the stored placement holds, whatever is given here, until
	 * {@link ShardedRedisStore.rebalance}. Of a server that is not listed any more, or not yet, the placement has the address.
	 */
	readonly nodes: readonly ShardedNode[]
	/** Shares of the keys, 1 to 1,024, fixed for the life of the data: what can be spread over the nodes. @default 64 */
	readonly partitions?: number | undefined
	/** For `servedBy` of what several servers answer. @default 'ring' */
	readonly name?: string | undefined
}

/** What of {@link RebalanceOptions} the store does not know by itself. */
export type StoreRebalanceOptions = Omit<RebalanceOptions, 'from' | 'to' | 'replicasToWaitFor' | 'onStep'>

export class ShardedRedisStore implements Store {
	readonly name: string
	readonly partitions: number
	readonly #sources: readonly NodeSource[]
	readonly #limits: SessionLimits
	readonly #replicas: Replicas
	#nodes: RingNodes | undefined
	#users = 0

	/** Throws ERR_TALLYMARK_OPTION for nodes that are none, or have the same name. */
	constructor({ nodes, ...options }: ShardedRedisStoreOptions) {
		const { name, limits, replicas } = checkOptions('ShardedRedisStore', options, 'ring', 64)
		this.name = name
		this.partitions = limits.partitions
		this.#limits = limits
		this.#replicas = replicas
		if (!Array.isArray(nodes) || nodes.length === 0) throw expected('ERR_TALLYMARK_OPTION', 'nodes', 'a list of servers', nodes)
		this.#sources = nodes.map(sourceOf)
		// Checks names and weights.
		new Ring(this.#sources.map(({ name, weight }) => ({ name, weight })))
	}

	/** Throws ERR_TALLYMARK_OPTION for a tracker that Redis has no form for. Connects with the first call. */
	open(settings: SessionSettings): StoreSession {
		if (settings.tracker !== undefined) visitorForm(settings.tracker)
		const { name, partitions } = this
		const route = new RingRoute({
			name,
			partitions,
			nodes: this.#hold(),
			keys: new Keys(settings.namespace),
			timeoutMs: this.#limits.readTimeoutMs,
		})
		return new RedisSession(route, settings, this.#limits, () => this.#letGo())
	}

	/**
	 * Moves partitions until the placement of the namespace is balanced over the `nodes` of this store, while others count. As few as that needs; from nodes
	 * that are not listed any more, all. Interrupted at any point, it is gone on with by calling it again, from any process. See {@link rebalance} for what
	 * it throws.
	 *
	 * To nodes with a url it makes connections of its own, which wait a minute for what is copied. Clients that were passed in are used as they are: one with
	 * a `commandTimeout` must allow for a few sets of megabytes each, or partitions of many keys cannot be copied, and stay sealed meanwhile.
	 */
	async rebalance(options: StoreRebalanceOptions = {}): Promise<RebalanceReport> {
		const nodes = new RingNodes(this.#sources, COPY_TIMEOUT_MS, this.#replicas)
		try {
			const { placement } = await readPlacement(nodes.all, new Keys(options.namespace ?? 'tm'), this.#limits.readTimeoutMs)
			const placed = placement?.nodes ?? []
			nodes.learn(placed)
			const withLink = ({ name, weight, address }: NodeSource | (typeof placed)[number]) => ({
				name,
				weight,
				address,
				link: nodes.find(name)!.link,
			})
			return await rebalance({
				...options,
				from: placed.map(withLink),
				to: this.#sources.map(withLink),
				replicasToWaitFor: this.#replicas.count,
			})
		} finally {
			nodes.release()
		}
	}

	#hold(): RingNodes {
		this.#users++
		this.#nodes ??= new RingNodes(this.#sources, this.#limits.writeTimeoutMs, this.#replicas)
		return this.#nodes
	}

	#letGo(): void {
		this.#users--
		if (this.#users > 0) return
		this.#nodes?.release()
		this.#nodes = undefined
	}
}

const wanted = 'either a `url` such as redis://localhost:6379 or a `client`'

function sourceOf(node: ShardedNode): NodeSource {
	const { name, client, url, weight = 1, ...unknown } = Object(node) as ShardedNode
	const [first] = Object.keys(unknown)
	if (first !== undefined) {
		throw new BadInputError('ERR_TALLYMARK_OPTION', `Expected a node to have a name, a url or a client, and a weight, got \`${first}\``)
	}
	if ((url === undefined) === (client === undefined)) throw expected('ERR_TALLYMARK_OPTION', 'nodes', `servers with ${wanted}`, node)
	const address = url === undefined ? addressOfClient(client!) : addressOfUrl(url)
	const called = name ?? (address === undefined ? undefined : new URL(address).host)
	if (typeof called !== 'string' || called === '' || called.length > 200) {
		throw expected('ERR_TALLYMARK_OPTION', 'name', 'of 1 to 200 characters, for each node', called)
	}
	return { name: called, weight, address, target: url ?? client! }
}

/** Without user and password: it is stored. */
function addressOfUrl(text: string): string {
	// Not quoted: a url can have a password in it.
	if (typeof text !== 'string' || !/^rediss?:\/\/./.test(text) || !URL.canParse(text)) {
		throw expected('ERR_TALLYMARK_OPTION', 'nodes', `servers with ${wanted}`, `${String(text).slice(0, 8)}…`)
	}
	const url = new URL(text)
	url.username = ''
	url.password = ''
	if (url.port === '') url.port = '6379'
	return url.href
}

/** undefined for a client that does not tell, or is not reached by host and port: other processes must be told of it by their own `nodes`. */
function addressOfClient(client: RedisClient): string | undefined {
	if (typeof client?.pipeline !== 'function' || typeof client.on !== 'function') {
		throw expected('ERR_TALLYMARK_OPTION', 'nodes', `servers with ${wanted}`, client)
	}
	// Partitions are found, copied and guarded under the names that the nodes have.
	const { keyPrefix } = (client as { readonly options?: { readonly keyPrefix?: unknown } }).options ?? {}
	if (keyPrefix !== undefined && keyPrefix !== '') {
		throw expected('ERR_TALLYMARK_OPTION', 'nodes', 'clients without a keyPrefix (a namespace of the counter does the same)', keyPrefix)
	}
	const { host, port, path, db, tls } = Object((client as { options?: unknown }).options) as Record<string, unknown>
	if (typeof host !== 'string' || typeof port !== 'number' || typeof path === 'string') return undefined
	const bracketed = host.includes(':') ? `[${host}]` : host
	return `${tls === undefined ? 'redis' : 'rediss'}://${bracketed}:${port}${db === undefined || db === 0 ? '' : `/${db}`}`
}
