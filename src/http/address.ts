/** Addresses as text: which part of one stands for a visitor, and which are the site's own. */
import { isIP } from 'node:net'
import { expected } from '../errors.ts'

/**
 * The part of an address that stands for a visitor: an IPv4 address whole, also one mapped into IPv6; of an IPv6 address the first `prefix` bits.
 * A port, brackets and a zone are left out. undefined for what is no address.
 */
export function addressOf(text: string | undefined, prefix: number): string | undefined {
	const bare = bareAddress(text)
	if (bare === undefined || isIP(bare) === 4) return bare
	const groups = groupsOf(bare)
	const kept = groups.map((group, index) => group & prefixMask(prefix - index * 16))
	return `${kept.map((group) => group.toString(16)).join(':')}/${prefix}`
}

/** The address without port, brackets and zone; IPv4 also where it is mapped into IPv6. undefined for what is no address. */
function bareAddress(text: string | undefined): string | undefined {
	if (text === undefined) return undefined
	const bare = withoutPort(text.trim()).replace(/%.*$/s, '')
	const version = isIP(bare)
	if (version !== 6) return version === 4 ? bare : undefined
	const groups = groupsOf(bare)
	if (groups.slice(0, 5).some((group) => group !== 0) || groups[5] !== 0xffff) return bare
	return [groups[6]! >> 8, groups[6]! & 0xff, groups[7]! >> 8, groups[7]! & 0xff].join('.')
}

/** Makes a function that tells whether an address is one of these, or in one of these networks (`10.0.0.0/8`). Throws `ERR_TALLYMARK_OPTION`. */
export function addressesIn(option: string, addresses: readonly string[]): (text: string | undefined) => boolean {
	const networks = addresses.map((each) => {
		const [address = '', prefix, ...more] = String(each).split('/')
		const version = isIP(address)
		const most = version === 4 ? 32 : 128
		const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
		if (version === 0 || more.length > 0 || !(bits <= most)) {
			throw expected('ERR_TALLYMARK_OPTION', option, 'addresses such as 192.0.2.1 and networks such as 10.0.0.0/8', each)
		}
		return { groups: groupsOf(address), bits }
	})
	return (text) => {
		const bare = bareAddress(text)
		if (bare === undefined) return false
		const groups = groupsOf(bare)
		return networks.some(
			(network) =>
				network.groups.length === groups.length &&
				groups.every((group, index) => ((group ^ network.groups[index]!) & prefixMask(network.bits - index * 16)) === 0),
		)
	}
}

/** `1.2.3.4:5` and `[::1]:5` without what is not the address; an IPv6 address without brackets cannot have a port. */
function withoutPort(text: string): string {
	const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(text)
	if (bracketed) return bracketed[1]!
	return /^([^:]*):\d*$/.exec(text)?.[1] ?? text
}

/** The groups of 16 bits of a valid address: two of IPv4, eight of IPv6. */
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
