/** Which server owns a partition. The store over one Redis, a ring and a cluster is the same; this is where they differ. */
import type { Link } from './link.ts'

export interface Route {
	/** For `servedBy`. */
	readonly name: string
	/** Every server, for its health and its reconnections. */
	readonly links: readonly Link[]
	/** The server that has what belongs to no partition. */
	readonly home: Link
	linkOf(partition: number): Link
}

/** One server owns everything. */
export class SingleRoute implements Route {
	readonly name: string
	readonly home: Link
	readonly links: readonly Link[]

	constructor(link: Link) {
		this.name = link.name
		this.home = link
		this.links = [link]
	}

	linkOf(): Link {
		return this.home
	}
}
