/**
 * Visitors without cookies and without anything personal: a keyed hash of the day, the address and the browser's name.
 *
 * What is told apart, and what is not: the people behind one address with the same browser are one visitor; a person is another visitor each day (UTC),
 * on another network and in another browser. Nobody can work back from the id to the address without the key, which by default is the day's salt: it is
 * gone after two days. With a `secret` of your own it is as safe as that: who has it can try out all addresses.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { type Clock, systemClock } from '../clock.ts'
import { expected } from '../errors.ts'
import type { MaybePromise } from '../stores/store.ts'
import { addressOf } from './address.ts'
import { DaySalts, dayMs, type SaltKeeper } from './day-salts.ts'
import { refuseUnknown } from './options.ts'
import { type HeaderBag, headerIn, longestUserAgent, type RequestReader } from './request.ts'
import { type VisitorSource, visitorSource } from './visitor-source.ts'

/** What is read of a request: an Express, Koa or Fastify request has it under these names. */
export interface VisitorRequest {
	/** The client's address as the framework trusts it: without its trust setting, the peer of the connection. No header is read for it. */
	readonly ip?: string | undefined
	readonly headers?: HeaderBag
	/** In place of `headers['user-agent']`. */
	readonly userAgent?: string | undefined
}

export interface AnonymousVisitorOptions {
	/**
	 * Keys the hash in place of the day's salt: at least 16 bytes, the same in every process that counts together.
	 * @default none: a random salt for each day, shared through the counter's store and deleted two days after the day began
	 */
	readonly secret?: string | Uint8Array
	/** Whose store shares the salt. In a middleware: the one it counts for. @default none: the salts are this process's own */
	readonly counter?: SaltKeeper
	/** @default the system's */
	readonly clock?: Pick<Clock, 'now'>
	/** How many leading bits of an IPv6 address stand for one visitor: 64 is what one household or one server is given. From 1 to 128. @default 64 */
	readonly ipv6Prefix?: number
	/** With another site the same person is another visitor, though the salt is shared. Not the request's own Host: clients choose that. @default '' */
	readonly site?: string
}

/** 128 bits. */
const idBytes = 16
/** Ids of the day that are remembered, so that a visitor's next page costs no hash. */
const most = 10_000

/** Of whoever names neither a counter nor a secret. */
const ownSalts = new DaySalts(undefined)

const plainReader: RequestReader<VisitorRequest> = {
	method: () => 'GET',
	target: () => '/',
	header: (request, name) =>
		name === 'user-agent' && request.userAgent !== undefined ? request.userAgent : headerIn(request.headers, name),
	address: (request) => request.ip,
	route: () => undefined,
}

class AnonymousSource implements VisitorSource {
	readonly #options: Required<Pick<AnonymousVisitorOptions, 'clock' | 'ipv6Prefix' | 'site'>>
	readonly #secret: KeyObject | undefined
	readonly #salts: DaySalts
	readonly #bound: boolean
	/** By user agent and address. */
	readonly #ids = new Map<string, Map<string, string>>()
	#known = 0
	#day = Number.NaN

	constructor(options: AnonymousVisitorOptions) {
		refuseUnknown(options, { secret: true, counter: true, clock: true, ipv6Prefix: true, site: true })
		const { secret, counter, clock = systemClock, ipv6Prefix = 64, site = '' } = options
		if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 1 || ipv6Prefix > 128) {
			throw expected('ERR_TALLYMARK_OPTION', 'ipv6Prefix', 'an integer from 1 to 128', ipv6Prefix)
		}
		if (typeof site !== 'string') throw expected('ERR_TALLYMARK_OPTION', 'site', 'a string', site)
		this.#options = { clock, ipv6Prefix, site }
		this.#secret = secret === undefined ? undefined : keyFrom(secret)
		this.#salts = counter === undefined ? ownSalts : new DaySalts(counter)
		this.#bound = counter !== undefined || secret !== undefined
	}

	bind(counter: SaltKeeper): VisitorSource {
		return this.#bound ? this : new AnonymousSource({ ...this.#options, counter })
	}

	identify<Request>(request: Request, read: RequestReader<Request>): MaybePromise<string | undefined> {
		const address = read.address(request)
		if (address === undefined) return undefined
		const agent = read.header(request, 'user-agent') ?? ''
		const now = this.#options.clock.now()
		const day = Math.floor(now / dayMs)
		if (day !== this.#day || this.#known >= most) {
			this.#day = day
			this.#known = 0
			this.#ids.clear()
		}
		const known = this.#ids.get(agent)?.get(address)
		if (known !== undefined) return known
		const key = this.#secret ?? this.#salts.at(now)
		if (key instanceof Promise) return key.then((salt) => this.#idOf(salt, day, address, agent))
		return this.#idOf(key, day, address, agent)
	}

	#idOf(key: KeyObject | undefined, day: number, address: string, agent: string): string | undefined {
		if (key === undefined) return undefined
		const { site, ipv6Prefix } = this.#options
		const network = addressOf(address, ipv6Prefix)
		if (network === undefined) return undefined
		// As JSON, no two different lists read the same.
		const seen = JSON.stringify([day, site, network, agent.slice(0, longestUserAgent)])
		const id = idFrom(key, seen)
		// A long one would keep the whole header in memory.
		if (agent.length <= longestUserAgent && day === this.#day) this.#remember(agent, address, id)
		return id
	}

	#remember(agent: string, address: string, id: string): void {
		let ids = this.#ids.get(agent)
		if (ids === undefined) {
			ids = new Map()
			this.#ids.set(agent, ids)
		}
		ids.set(address, id)
		this.#known++
	}
}

/**
 * Makes a function from a request to the visitor's id of today; undefined where no address is known, so that the hit counts without a visitor. With a
 * `counter` the id is a promise while the store is asked for the day's salt, and undefined while it cannot be had.
 */
export function anonymousVisitor(
	options: AnonymousVisitorOptions & { readonly counter: SaltKeeper },
): (request: VisitorRequest) => MaybePromise<string | undefined>
export function anonymousVisitor(
	options?: AnonymousVisitorOptions & { readonly counter?: undefined },
): (request: VisitorRequest) => string | undefined
export function anonymousVisitor(options: AnonymousVisitorOptions = {}): (request: VisitorRequest) => MaybePromise<string | undefined> {
	const source = new AnonymousSource(options)
	return Object.assign((request: VisitorRequest) => source.identify(request, plainReader), { [visitorSource]: source })
}

/**
 * Makes a function from an id that a client chose (a cookie of the application's own, a user's name) to a visitor's id that nobody can forge: the hash
 * behind `uniques` is public, and who can choose what goes into it can choose the count. `secret`: at least 16 bytes, the same in every process.
 */
export function keyedVisitor(secret: string | Uint8Array): (id: string) => string {
	const key = keyFrom(secret)
	return (id) => idFrom(key, id)
}

/** 128 bits of the text's keyed hash, as 22 characters. */
export function idFrom(key: KeyObject, text: string): string {
	return createHmac('sha256', key).update(text).digest().toString('base64url', 0, idBytes)
}

/** Checks a secret. */
export function keyFrom(secret: unknown): KeyObject {
	const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
	// The value itself is not shown: an error ends up in a log.
	if (!(bytes instanceof Uint8Array)) throw expected('ERR_TALLYMARK_OPTION', 'secret', 'a string or bytes', typeof secret)
	if (bytes.length < 16) throw expected('ERR_TALLYMARK_OPTION', 'secret', 'at least 16 bytes long', bytes.length)
	return createSecretKey(bytes)
}
