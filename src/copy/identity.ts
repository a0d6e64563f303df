/** Which numbers a copy is of: two stores can have the same name, and the next run of a command has a store of its own. */
import type { MaybePromise, StoreTransfer } from '../stores/store.ts'
import type { Opened } from './opened.ts'

/** Of a transfer that knows its numbers again, whatever the address or the name of the store. Others are taken for the store object that they are of. */
interface Identified {
	/** The same for the same numbers, in every process. */
	identity(): MaybePromise<string>
}

const known = new WeakMap<object, string>()

export async function identityOf({ store, transfer }: Pick<Opened, 'store' | 'transfer'>): Promise<string> {
	const { identity } = transfer as StoreTransfer & Partial<Identified>
	if (identity !== undefined) return identity.call(transfer)
	const own = known.get(store) ?? globalThis.crypto.randomUUID()
	known.set(store, own)
	return own
}
