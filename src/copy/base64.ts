/** Bytes as text, where there is no Buffer. */

/** Arguments in one call. */
const SLICE = 8_192

export function toBase64(bytes: Uint8Array): string {
	let binary = ''
	for (let at = 0; at < bytes.length; at += SLICE) binary += String.fromCharCode(...bytes.subarray(at, at + SLICE))
	return globalThis.btoa(binary)
}

/** Throws for a text that is none. */
export function fromBase64(text: string): Uint8Array {
	const binary = globalThis.atob(text)
	const bytes = new Uint8Array(binary.length)
	for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
	return bytes
}
