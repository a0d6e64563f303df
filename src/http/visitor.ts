/**
 * Visitors without cookies and without anything personal: a keyed hash of the day, the address and the browser's name.
 *
 * What is told apart, and what is not: the people behind one address with the same browser are one visitor; a person is another visitor each day (UTC),
 * on another network and in another browser. Nobody can work back from the id to the address without the secret; who has the secret can try out all
 * addresses, so keep it as a password is kept, and change it when what was counted with it must stay unreadable for ever.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import { expected } from '../errors.ts'
import { refuseUnknown } from './options.ts'

/** What is read of a request: an Express, Koa or Fastify request has it under these names. */
export interface VisitorRequest {
	/** The client's address as the framework trusts it: without its trust setting, the peer of the connection. No header is read for it. */
	readonly ip?: string | undefined
	readonly headers?: { readonly [name: string]: string | readonly string[] | undefined }
	/** In place of `headers['user-agent']`. */
	readonly userAgent?: string | undefined
}

export interface AnonymousVisitorOptions {
	/**
	 * At least 16 bytes, the same in every process that counts together.
	 * @default random for each process: after a restart, and in each further process, everybody is counted as a new visitor once more
	 */
	readonly secret?: string | Uint8Array
	/** @default the system's */
	readonly clock?: Pick<Clock, 'now'>
	/** How many leading bits of an IPv6 address stand for one visitor: 64 is what one household or one server is given. From 1 to 128. @default 64 */
	readonly ipv6Prefix?: number
	/** With another site the same person is another visitor, though the secret is shared. @default '' */
	readonly site?: string
}

const dayMs = 86_400_000
/** What is longer is cut: a header may have 16 kB. */
const longestUserAgent = 512
/** 128 bits. */
const idBytes = 16

let ownSecret: KeyObject | undefined

/** Makes a function from a request to the visitor's id of today; undefined where no address is known, so that the hit counts without a visitor. */
export function anonymousVisitor(options: AnonymousVisitorOptions = {}): (request: VisitorRequest) => string | undefined {
	refuseUnknown(options, { secret: true, clock: true, ipv6Prefix: true, site: true })
	const { secret, clock = systemClock, ipv6Prefix = 64, site = '' } = options
	if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 1 || ipv6Prefix > 128) {
		throw expected('ERR_TALLYMARK_OPTION', 'ipv6Prefix', 'an integer from 1 to 128', ipv6Prefix)
	}
	if (typeof site !== 'string') throw expected('ERR_TALLYMARK_OPTION', 'site', 'a string', site)
	const key = secret === undefined ? secretOfThisProcess() : keyFrom(secret)
	return (request) => {
		const address = addressOf(request.ip, ipv6Prefix)
		if (address === undefined) return undefined
		const agent = request.userAgent ?? request.headers?.['user-agent']
		const day = Math.floor(clock.now() / dayMs)
		// As JSON, no two different lists read the same.
		const seen = JSON.stringify([day, site, address, typeof agent === 'string' ? agent.slice(0, longestUserAgent) : ''])
		return createHmac('sha256', key).update(seen).digest().subarray(0, idBytes).toString('base64url')
	}
}

/**
 * Makes a function from an id that a client chose (a cookie of the application's own, a user's name) to a visitor's id that nobody can forge: the hash
 * behind `uniques` is public, and who can choose what goes into it can choose the count. `secret`: at least 16 bytes, the same in every process.
 */
export function keyedVisitor(secret: string | Uint8Array): (id: string) => string {
	const key = keyFrom(secret)
	return (id) => createHmac('sha256', key).update(id).digest().subarray(0, idBytes).toString('base64url')
}

function secretOfThisProcess(): KeyObject {
	ownSecret ??= createSecretKey(randomBytes(32))
	return ownSecret
}

function keyFrom(secret: unknown): KeyObject {
	const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret
	// The value itself is not shown: an error ends up in a log.
	if (!(bytes instanceof Uint8Array)) throw expected('ERR_TALLYMARK_OPTION', 'secret', 'a string or bytes', typeof secret)
	if (bytes.length < 16) throw expected('ERR_TALLYMARK_OPTION', 'secret', 'at least 16 bytes long', bytes.length)
	return createSecretKey(bytes)
}

/**
 * The part of an address that stands for a visitor: an IPv4 address whole, also one mapped into IPv6; of an IPv6 address the first `prefix` bits.
 * A port, brackets and a zone are left out. undefined for what is no address.
 */
export function addressOf(text: string | undefined, prefix: number): string | undefined {
	if (text === undefined) return undefined
	const bare = withoutPort(text.trim()).replace(/%.*$/s, '')
	const version = isIP(bare)
	if (version === 4) return bare
	if (version !== 6) return undefined
	const groups = groupsOf(bare)
	if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
		return [groups[6]! >> 8, groups[6]! & 0xff, groups[7]! >> 8, groups[7]! & 0xff].join('.')
	}
	const kept = groups.map((group, index) => group & prefixMask(prefix - index * 16))
	return `${kept.map((group) => group.toString(16)).join(':')}/${prefix}`
}

/** `1.2.3.4:5` and `[::1]:5` without what is not the address; an IPv6 address without brackets cannot have a port. */
function withoutPort(text: string): string {
	const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(text)
	if (bracketed) return bracketed[1]!
	return /^([^:]*):\d*$/.exec(text)?.[1] ?? text
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
	const [head = '', tail] = address.split('::')
	const before = groupsIn(head)
	if (tail === undefined) return before
	const after = groupsIn(tail)
	return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

/** The groups written out in one side of `::`; the last may be an IPv4 address, which is two groups. */
function groupsIn(side: string): number[] {
	if (side === '') return []
	return side.split(':').flatMap((group) => {
		if (!group.includes('.')) return [Number.parseInt(group, 16)]
		const [a, b, c, d] = group.split('.').map(Number) as [number, number, number, number]
		return [(a << 8) | b, (c << 8) | d]
	})
}

/** The mask of a group of which the first `bits` bits are kept. */
function prefixMask(bits: number): number {
	if (bits >= 16) return 0xffff
	return bits <= 0 ? 0 : (0xffff << (16 - bits)) & 0xffff
}
