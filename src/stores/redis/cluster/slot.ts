/** The slot of a key in a Redis Cluster: CRC16 (XMODEM) of its hash tag, or of all of it, modulo 16,384. */

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
	let crc = byte << 8
	for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
	return crc
})

const encoder = new TextEncoder()

/** 0 to 16,383. */
export function slotOf(key: string): number {
	let crc = 0
	for (const byte of encoder.encode(tagOf(key))) crc = ((crc << 8) & 0xffff) ^ table[(crc >>> 8) ^ byte]!
	return crc % 16_384
}

/** What is between the first brace and the next closing one; all of the key where that is nothing. */
export function tagOf(key: string): string {
	const open = key.indexOf('{')
	const close = open === -1 ? -1 : key.indexOf('}', open + 1)
	return close > open + 1 ? key.slice(open + 1, close) : key
}
