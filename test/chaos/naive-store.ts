/**
 * A control: what one writes on a first afternoon. Hits become ZINCRBY in a pipeline, and a pipeline that failed is sent again. It is here to be seen
 * failing: it counts twice what was applied but not answered, and loses what it believed to be stored.
 */
import { Redis } from 'ioredis'
import { partitionOf } from '../../src/hash/partition.ts'
import type { Batch, HitsQuery, HitsReading, NodeHealth, Outcome, SessionSettings, Store, StoreSession } from '../../src/stores/store.ts'
import { type Bucket, granularities, startOf, total } from '../../src/time/granularity.ts'

export class NaiveStore implements Store {
	readonly name = 'naive'
	readonly partitions: number
	readonly #client: Redis

	constructor(port: number, { partitions, timeoutMs }: { readonly partitions: number; readonly timeoutMs: number }) {
		this.partitions = partitions
		this.#client = new Redis(port, '127.0.0.1', { commandTimeout: timeoutMs, socketTimeout: 2 * timeoutMs, retryStrategy: () => 50 })
		this.#client.on('error', () => {})
	}

	open(settings: SessionSettings): StoreSession {
		return new NaiveSession(this.#client, this.partitions, settings)
	}

	end(): void {
		this.#client.disconnect()
	}
}

class NaiveSession implements StoreSession {
	readonly #client: Redis
	readonly #partitions: number
	readonly #settings: SessionSettings

	constructor(client: Redis, partitions: number, settings: SessionSettings) {
		this.#client = client
		this.#partitions = partitions
		this.#settings = settings
	}

	async apply(batch: Batch): Promise<Outcome> {
		if (batch.kind !== 'hits') throw new Error(`The naive store knows no ${batch.kind}`)
		const pipeline = this.#client.pipeline()
		for (const { lane, minute, deltas } of batch.groups) {
			const buckets = [total, ...granularities.map((level): Bucket => ({ level, start: startOf(level, minute) }))]
			for (const { key, hits } of deltas)
				for (const bucket of buckets) pipeline.zincrby(this.#key(batch.partition, lane, bucket), hits, key)
		}
		const replies = (await pipeline.exec()) ?? []
		const failed = replies.find(([error]) => error !== null)
		if (failed !== undefined) throw failed[0]
		return { status: 'applied' }
	}

	async hits({ lane, keys, buckets }: HitsQuery): Promise<HitsReading> {
		if (keys === 'all') throw new Error('The naive store knows no all')
		const pipeline = this.#client.pipeline()
		for (const key of keys) for (const bucket of buckets) pipeline.zscore(this.#key(partitionOf(key, this.#partitions), lane, bucket), key)
		const replies = (await pipeline.exec()) ?? []
		const values = Float64Array.from(replies, ([, score]) => Number(score ?? 0))
		return { values, applied: new Float64Array(values.length), servedBy: 'naive' }
	}

	visitors(): never {
		throw new Error('The naive store knows no visitors')
	}

	top(): never {
		throw new Error('The naive store knows no top')
	}

	trending(): never {
		throw new Error('The naive store knows no trend')
	}

	list(): never {
		throw new Error('The naive store knows no list')
	}

	keys(): never {
		throw new Error('The naive store knows no keys')
	}

	claim(): boolean {
		return true
	}

	release(): void {}

	share(): string {
		throw new Error('The naive store shares nothing')
	}

	health(): readonly NodeHealth[] {
		return []
	}

	close(): void {}

	#key(partition: number, lane: string, { level, start }: Bucket): string {
		return `{${this.#settings.namespace}:${partition}}:${lane}:${level}:${start}`
	}
}
