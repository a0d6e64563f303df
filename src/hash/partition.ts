/** Which share of the keys a key belongs to. Recorded with the data: the answer for a key must never change. */
import { hashed, hashText } from './murmur64.ts'

/**
 * The partition of `key`, 0 .. `partitions` - 1: its {@link hashText | MurmurHash64A}, unsigned, modulo `partitions` (a whole number from 1 to 2^20).
 * One partition asks for no hash.
 */
export function partitionOf(key: string, partitions: number): number {
	if (partitions === 1) return 0
	hashText(key)
	const high = hashed[1]! >>> 0
	const low = hashed[0]! >>> 0
	// The 64-bit remainder from its halves: below 2^20 * 2^20 + 2^32, so exact in a double.
	return ((high % partitions) * (2 ** 32 % partitions) + low) % partitions
}
