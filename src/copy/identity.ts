/** Which numbers a copy is of: two stores can have the same name, and the next run of a command has a store of its own. */
import type { Opened } from './opened.ts'

const known = new WeakMap<object, string>()

export async function identityOf({ store, transfer }: Pick<Opened, 'store' | 'transfer'>): Promise<string> {
	if (transfer.identity !== undefined) return transfer.identity()
	const own = known.get(store) ?? globalThis.crypto.randomUUID()
	known.set(store, own)
	return own
}
