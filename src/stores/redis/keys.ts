/**
 * The names of everything in Redis. A name begins with its hash tag, `{namespace:partition}`, and what an application chose comes last in it: since a
 * tag ends at the first `}`, no key of theirs can move a name to another slot, and since nothing follows it, none can name another counter.
 *
 *     {ns:p}:hits                 sorted set  =key -> minus its hits (so that the order of the set is that of a top list), * -> minus those of all keys,
 *     {ns:p}:hits:day:<start>                 #writer -> the last position it applied, key 0.5 -> deleted, to be swept
 *     {ns:p}:hits:hour:<start>    hash        =key -> hits, * -> those of all keys, #writer -> the last position it applied, '' -> deleted
 *     {ns:p}:hits:minute:<start>
 *     {ns:p}:trend:<epoch>        sorted set  =key -> minus its score, #writer likewise
 *     {ns:p}:uniq=<key>           HyperLogLog or set; {ns:p}:uniq:<level>:<start>=<key>, and * for =<key>: all keys of the partition
 *     {ns:p}:deletions            string      a mark that is deleted with the visitors of any key: see known-visitors.ts
 *     {ns:p}:claims               hash        <kind>:<hash> -> until when, and who holds it
 *     ns:shared:<name>            string      the salt of a day
 *     {ns:p}:own                  string      who owns the partition; on a ring only: see ring/own.ts
 *     ns:placement                hash        where the partitions are; on a ring only: see ring/placement.ts
 *     ns:meta, ns:writers         the settings that all must share; the writers, with the second they were last seen
 *
 * A lane other than 'human' goes between the tag and the rest: {ns:p}:bot:hits. Starts are epoch seconds.
 *
 * Hours and minutes are hashes because the names in them are many and a ranking of them is rare: some 90 bytes a name instead of 140 (33 while a
 * hash has at most 512 names; a sorted set is as small up to 128), and half the time to write.
 */
import type { Bucket } from '../../time/granularity.ts'
import type { Lane } from '../store.ts'

/** The member of all keys together. */
export const ALL = '*'

export function memberOf(key: string): string {
	return `=${key}`
}

/** How a counted set is stored. */
export type Shape = 'sorted' | 'hash'

export function shapeOf({ level }: Bucket): Shape {
	return level === 'minute' || level === 'hour' ? 'hash' : 'sorted'
}

export class Keys {
	readonly meta: string
	readonly writers: string
	readonly placement: string
	readonly #namespace: string

	constructor(namespace: string) {
		// A brace would end the tag (or begin another); the escape sign itself is escaped too, so that no two namespaces become one.
		this.#namespace = namespace.replace(/[{}%]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`)
		this.meta = `${this.#namespace}:meta`
		this.writers = `${this.#namespace}:writers`
		this.placement = `${this.#namespace}:placement`
	}

	hits(partition: number, lane: Lane, bucket: Bucket): string {
		return `${this.#tag(partition, lane)}:hits${suffixOf(bucket)}`
	}

	trend(partition: number, lane: Lane, epoch: number): string {
		return `${this.#tag(partition, lane)}:trend:${epoch}`
	}

	/** The visitors of a member: `memberOf(key)` or {@link ALL}. */
	visitors(partition: number, lane: Lane, bucket: Bucket, member: string): string {
		return `${this.#tag(partition, lane)}:uniq${suffixOf(bucket)}${member}`
	}

	claims(partition: number): string {
		return `${this.#tag(partition)}:claims`
	}

	deletions(partition: number): string {
		return `${this.#tag(partition)}:deletions`
	}

	/** What all counters of the namespace share, apart from the numbers. */
	shared(name: string): string {
		return `${this.#namespace}:shared:${name}`
	}

	own(partition: number): string {
		return `${this.#tag(partition)}:own`
	}

	/** A name for a moment, in the partition's slot. */
	temporary(partition: number, name: string): string {
		return `${this.#tag(partition)}:tmp:${name}`
	}

	#tag(partition: number, lane: Lane = 'human'): string {
		return `{${this.#namespace}:${partition}}${lane === 'human' ? '' : `:${lane}`}`
	}
}

function suffixOf({ level, start }: Bucket): string {
	return level === 'total' ? '' : `:${level}:${start / 1_000}`
}
