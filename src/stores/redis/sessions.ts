/** The sessions of a store that share one link: it is made with the first of them and let go with the last. */
import type { SessionSettings, StoreSession } from '../store.ts'
import type { RedisClient } from './client.ts'
import type { OwnClient } from './connect.ts'
import { Link } from './link.ts'
import { SingleRoute } from './route.ts'
import { RedisSession, type SessionLimits } from './session.ts'
import { visitorForm } from './visitor-form.ts'
import type { Wire } from './wire.ts'

/** The client of the caller, or how to make one of our own; that one is closed in the end. */
export type ClientSource = RedisClient | ((onError: (error: unknown) => void) => Promise<OwnClient>)

export class Sessions {
	readonly #name: string
	readonly #limits: SessionLimits
	readonly #source: ClientSource
	readonly #newWire: () => Wire
	#route: SingleRoute | undefined
	#own: Promise<OwnClient> | undefined
	#count = 0

	constructor(name: string, limits: SessionLimits, source: ClientSource, newWire: () => Wire) {
		this.#name = name
		this.#limits = limits
		this.#source = source
		this.#newWire = newWire
	}

	/** Throws ERR_TALLYMARK_OPTION for a tracker that Redis has no form for. Connects with the first call. */
	open(settings: SessionSettings): StoreSession {
		if (settings.tracker !== undefined) visitorForm(settings.tracker)
		this.#route ??= new SingleRoute(this.#newLink())
		this.#count++
		return new RedisSession(this.#route, settings, this.#limits, () => this.#release())
	}

	#newLink(): Link {
		const source = this.#source
		if (typeof source !== 'function') return new Link(this.#name, () => source, this.#newWire())
		const connect = () => {
			this.#own = source((error) => link.noteError(error))
			return this.#own
		}
		const link: Link = new Link(this.#name, connect, this.#newWire())
		return link
	}

	#release(): void {
		this.#count--
		if (this.#count > 0) return
		for (const link of this.#route?.links ?? []) link.detach()
		this.#route = undefined
		void this.#own?.then(
			(client) => client.disconnect(),
			() => {},
		)
		this.#own = undefined
	}
}
