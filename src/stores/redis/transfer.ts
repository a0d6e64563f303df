/** What a namespace in Redis holds, page by page, and how it is put back: see snapshot.ts for the one, restore-scripts.ts for the other. */
import { partitionOf } from '../../hash/partition.ts'
import { type Bucket, deadlineOf, total } from '../../time/granularity.ts'
import type { Lane, SessionSettings, SnapshotRecord, StoreTransfer } from '../store.ts'
import { type Argument, type Command, command } from './client.ts'
import { Failure } from './failure.ts'
import { inventory } from './inventory.ts'
import { ALL, type Keys, memberOf, shapeOf } from './keys.ts'
import { identityField } from './meta.ts'
import type { Reader } from './reader.ts'
import { forget, oneCommand, restoreHash, restoreSorted } from './restore-scripts.ts'
import { type SavedVisitors, type Step, savedVisitors } from './restore-visitors.ts'
import type { Route } from './route.ts'
import { type Inside, snapshotOf } from './snapshot.ts'
import { steadyScans } from './steady-scans.ts'
import type { TrendEpochs } from './trend-epoch.ts'
import { chunks } from './visitor-form.ts'

/** A field of the settings' hash. */
const NOTE = 'copy'
/** Members in a script. */
const MEMBERS = 500
/** Positions in a millisecond: a later copy's are higher than all of an earlier one's. */
const POSITIONS = 1_024

interface Visitors {
	readonly partition: number
	readonly name: string
	readonly saved: SavedVisitors
}

export class RedisTransfer implements StoreTransfer {
	readonly #route: Route
	readonly #reader: Reader
	readonly #keys: Keys
	readonly #settings: SessionSettings
	readonly #epochs: TrendEpochs
	readonly #timeoutMs: number
	#position = 0

	constructor(route: Route, reader: Reader, keys: Keys, settings: SessionSettings, epochs: TrendEpochs, timeoutMs: number) {
		this.#route = route
		this.#reader = reader
		this.#keys = keys
		this.#settings = settings
		this.#epochs = epochs
		this.#timeoutMs = timeoutMs
	}

	snapshot(partition: number, at: number): AsyncIterable<SnapshotRecord> {
		return snapshotOf(this.#inside(partition), at)
	}

	async restore(records: readonly SnapshotRecord[]): Promise<void> {
		const commands = new Map<number, Command[]>()
		const visitors: Visitors[] = []
		for (const record of records) {
			if (record.kind === 'visitors') visitors.push(...this.#visitors(record))
			else if (record.kind === 'all-visitors') {
				visitors.push(...this.#visitors(record))
				const partition = record.partition % this.#reader.partitions
				// What a partition has is found by its sets: there must be one, though none of the keys may be here.
				const buckets = record.bucket.level === 'total' ? [total] : [total, record.bucket]
				for (const bucket of buckets) entry(commands, partition).push(...this.#hits(partition, { ...record, bucket }, []))
			} else {
				for (const [partition, each] of this.#numbers(record)) entry(commands, partition).push(...each)
			}
		}
		await this.#writeAll(commands)
		const first = new Map<number, Command[]>()
		for (const each of visitors) entry(first, each.partition).push(...this.#steps(each, each.saved.first))
		const replies = await this.#writeAll(first)
		const union = new Map<number, Command[]>()
		const at = new Map<number, number>()
		for (const each of visitors) {
			const from = at.get(each.partition) ?? 0
			at.set(each.partition, from + each.saved.first.length)
			if (each.saved.union.length > 0 && Number(replies.get(each.partition)![from]) === 0) {
				entry(union, each.partition).push(...this.#steps(each, each.saved.union))
			}
		}
		await this.#writeAll(union)
	}

	/**
	 * A mark that the numbers are given when they are copied for the first time. It lies beside them, so that it is the same under every name and address
	 * that the server has, and goes with them when they are lost, or stored elsewhere. Of a ring each node has it; where they should differ, one is taken.
	 */
	async identity(): Promise<string> {
		await this.#reader.ask(0, [])
		const field = [this.#keys.meta, identityField] as const
		const asked = await Promise.allSettled(this.#route.links.map((link) => this.#reader.askLink(link, [command('hget', ...field)])))
		const marks = asked.flatMap((each) => (each.status === 'fulfilled' ? each.value : [])).filter((mark) => mark !== null)
		const away = asked.find((each) => each.status === 'rejected')
		// A node that is away may have it.
		if (marks.length === 0 && away !== undefined) throw away.reason
		const mark = marks.map(String).sort()[0] ?? globalThis.crypto.randomUUID()
		const there = this.#route.links.filter((_, i) => asked[i]!.status === 'fulfilled')
		const given = await Promise.all(
			there.map((link) => this.#reader.askLink(link, [command('hsetnx', ...field, mark), command('hget', ...field)])),
		)
		return given.map(([, kept]) => String(kept)).sort()[0]!
	}

	async clear(): Promise<void> {
		for (let partition = 0; partition < this.#reader.partitions; partition++) {
			const { ask } = this.#inside(partition)
			// A set after the visitors that it tells of: what is cut short is found again.
			for await (const items of inventory(partition, this.#keys, this.#settings, this.#settings.clock.now(), steadyScans(ask))) {
				const names = items.filter(({ kind }) => kind === 'hits' || kind === 'trend' || kind === 'visitors').map(({ key }) => key)
				const commands = chunks(names, MEMBERS).map((some) => this.#script(partition, this.#keys.deletions(partition), [forget, []], some))
				await this.#write(partition, commands)
			}
		}
		// What comes after them are other numbers: nobody may go on with a copy of these.
		await Promise.all(this.#route.links.map((link) => this.#reader.askLink(link, [command('hdel', this.#keys.meta, identityField)])))
	}

	/** Every server keeps it. Where one has an older one, less is known to be done: that does no harm. */
	async note(text?: string): Promise<string | undefined> {
		await this.#reader.ask(0, [])
		const { meta } = this.#keys
		const write = text === undefined ? [] : [text === '' ? command('hdel', meta, NOTE) : command('hset', meta, NOTE, text)]
		const replies = await Promise.all(this.#route.links.map((link) => this.#reader.askLink(link, [...write, command('hget', meta, NOTE)])))
		const notes = replies.map((each) => each.at(-1) as string | null)
		return notes.find((note) => note !== null) ?? undefined
	}

	#inside(partition: number): Inside {
		return {
			partition,
			keys: this.#keys,
			settings: this.#settings,
			epochs: this.#epochs,
			ask: (commands) => this.#reader.ask(partition, commands),
		}
	}

	#numbers(record: SnapshotRecord & { kind: 'hits' | 'trend' }): Map<number, Command[]> {
		const commands = new Map<number, Command[]>()
		// Of a key that comes twice, what came last.
		for (const [partition, entries] of this.#byPartition(new Map(record.entries))) {
			for (const some of chunks(entries, MEMBERS)) {
				entry(commands, partition).push(
					...(record.kind === 'trend' ? this.#trend(partition, record, some) : this.#hits(partition, record, some)),
				)
			}
		}
		return commands
	}

	#hits(partition: number, { lane, bucket }: { lane: Lane; bucket: Bucket }, entries: readonly (readonly [string, number])[]): Command[] {
		if (!this.#isKept(bucket)) return []
		const name = this.#keys.hits(partition, lane, bucket)
		const deadline = this.#deadline(bucket)
		const sorted = shapeOf(bucket) === 'sorted'
		const members = entries.map(([key]) => memberOf(key))
		const values = entries.map(([, hits]) => (sorted ? -hits : hits))
		const step: Step = [sorted ? restoreSorted : restoreHash, [this.#nextPosition(), deadline, ALL, ...members, ...values]]
		const set = this.#script(partition, name, step)
		return deadline === 0 ? [set] : [set, this.#script(partition, name, [oneCommand, ['expireat', deadline]])]
	}

	/** The whole score of a key goes to one epoch; that of an earlier attempt, or of none, is taken out of the others. */
	#trend(partition: number, { lane, at }: { lane: Lane; at: number }, entries: readonly (readonly [string, number])[]): Command[] {
		const epoch = this.#epochs.of(at)
		const now = this.#settings.clock.now()
		const deadline = this.#epochs.deadline(epoch)
		if (now >= deadline * 1_000) return []
		const members = entries.map(([key]) => memberOf(key))
		const name = (of: number) => this.#keys.trend(partition, lane, of)
		const others = this.#epochs.at(now).filter((other) => other !== epoch)
		const weight = 1 / this.#epochs.fading(epoch, at)
		const values = entries.map(([, score]) => -score * weight)
		return [
			...others.map((other) => this.#script(partition, name(other), [oneCommand, ['zrem', ...members]])),
			this.#script(partition, name(epoch), [restoreSorted, [this.#nextPosition(), deadline, '', ...members, ...values]]),
			this.#script(partition, name(epoch), [oneCommand, ['expireat', deadline]]),
		]
	}

	#visitors(record: SnapshotRecord & { kind: 'visitors' | 'all-visitors' }): Visitors[] {
		const { lane, bucket } = record
		const { tracker, uniquesPer } = this.#settings
		if (tracker === undefined || !uniquesPer.includes(bucket.level) || !this.#isKept(bucket)) return []
		const of = (partition: number, member: string, sketch: Uint8Array): Visitors => ({
			partition,
			name: this.#keys.visitors(partition, lane, bucket, member),
			saved: savedVisitors(tracker, sketch, this.#deadline(bucket)),
		})
		if (record.kind === 'all-visitors') return [of(record.partition % this.#reader.partitions, ALL, record.sketch)]
		return record.entries.map(([key, sketch]) => of(partitionOf(key, this.#reader.partitions), memberOf(key), sketch))
	}

	#byPartition(entries: ReadonlyMap<string, number>): ReadonlyMap<number, readonly (readonly [string, number])[]> {
		const found = new Map<number, (readonly [string, number])[]>()
		for (const each of entries) entry(found, partitionOf(each[0], this.#reader.partitions)).push(each)
		return found
	}

	#isKept(bucket: Bucket): boolean {
		const { retention, clock } = this.#settings
		return bucket.level === 'total' || (retention[bucket.level] > 0 && clock.now() < deadlineOf(bucket, retention))
	}

	#deadline(bucket: Bucket): number {
		return bucket.level === 'total' ? 0 : Math.ceil(deadlineOf(bucket, this.#settings.retention) / 1_000)
	}

	#nextPosition(): number {
		this.#position = Math.max(this.#position + 1, this.#settings.clock.now() * POSITIONS)
		return this.#position
	}

	#steps({ partition, name }: Visitors, steps: readonly Step[]): Command[] {
		return steps.map((step) => this.#script(partition, name, step))
	}

	#script(partition: number, name: string, [source, args]: Step, others: readonly string[] = []): Command {
		return command('eval', source, 2 + others.length, name, this.#keys.own(partition), ...others, ...(args as Argument[]))
	}

	/** Answers the replies by partition. */
	async #writeAll(commands: ReadonlyMap<number, readonly Command[]>): Promise<ReadonlyMap<number, readonly unknown[]>> {
		const written = [...commands].map(async ([partition, each]) => [partition, await this.#write(partition, each)] as const)
		return new Map(await Promise.all(written))
	}

	async #write(partition: number, commands: readonly Command[]): Promise<readonly unknown[]> {
		// Sees to it that the server's settings are those of the namespace, before anything is written there.
		await this.#reader.ask(partition, [])
		const replies = await this.#route.send(partition, commands, this.#timeoutMs)
		for (const reply of replies) if (reply instanceof Failure) throw reply.toError(this.#route.linkOf(partition).name)
		return replies
	}
}

function entry<Key, Item>(map: Map<Key, Item[]>, key: Key): Item[] {
	let items = map.get(key)
	if (items === undefined) {
		items = []
		map.set(key, items)
	}
	return items
}
