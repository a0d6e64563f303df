/**
 * The namespace that is copied into. A note beside its numbers, written before the first of them, says whose copy it is and how many partitions of the
 * source are through, so that the same copy, run again, goes on there. It stays when all are: should the last answer be lost, all is known to be done.
 */
import { BadInputError } from '../errors.ts'
import type { SnapshotRecord, StoreTransfer } from '../stores/store.ts'

/** Records in one call. */
const RECORDS = 8

interface Note {
	readonly source: string
	readonly id: string
	readonly partitions: number
	readonly done: number
}

export interface TargetOptions {
	/** What is copied, in words. */
	readonly source: string
	/** By which it is known when it is tried again: of other numbers it is another one. */
	readonly id: string
	/** Partitions of the source. */
	readonly partitions: number
	/** The source, where it is a store: it may be the target by another name. */
	readonly from?: StoreTransfer | undefined
	/** What the target has is forgotten first, unless it is a part of the same copy. */
	readonly overwrite: boolean
}

export class Target {
	readonly #transfer: StoreTransfer
	readonly #options: TargetOptions
	#records: SnapshotRecord[] = []

	constructor(transfer: StoreTransfer, options: TargetOptions) {
		this.#transfer = transfer
		this.#options = options
	}

	/**
	 * Makes ready; answers how many partitions of the source are through. Throws ERR_TALLYMARK_NOT_EMPTY for a namespace that has numbers, unless they are of
	 * the same copy, or to be overwritten, and ERR_TALLYMARK_ARGUMENT where what would be overwritten is the source. `count`: partitions of the target.
	 */
	async begin(name: string, count: number, now: number): Promise<number> {
		const { source, id, partitions, overwrite } = this.#options
		const text = await this.#transfer.note()
		const note = parse(text)
		const isSame = note?.id === id && note.partitions === partitions
		if (isSame && !(overwrite && note.done === partitions)) return note.done
		if (overwrite) {
			await this.#assertOther(name, text)
			await this.#transfer.clear()
		} else if (await hasNumbers(this.#transfer, count, now)) {
			const other = note?.source === source ? `other numbers by the name of ${source}` : note?.source
			const what = note === undefined ? 'numbers' : `a copy of ${other}`
			throw new BadInputError(
				'ERR_TALLYMARK_NOT_EMPTY',
				`Expected ${name} to be empty, or to have a part of this copy (of ${source}), got ${what}: take another namespace, or overwrite it`,
			)
		}
		await this.#write(0)
		return 0
	}

	/** One server has many addresses, and its copy has its marks: what is written here and read there tells. `note`: the one that is kept meanwhile. */
	async #assertOther(name: string, note: string | undefined): Promise<void> {
		const { source, from } = this.#options
		if (from === undefined) return
		const probe = `probe ${globalThis.crypto.randomUUID()}`
		let read: string | undefined
		try {
			await this.#transfer.note(probe)
			read = await from.note()
		} finally {
			await this.#transfer.note(note ?? '')
		}
		if (read !== probe) return
		throw new BadInputError(
			'ERR_TALLYMARK_ARGUMENT',
			`Expected \`to\` to be another place than \`from\`, got one by two names: ${source} and ${name}. Overwriting it would lose its numbers`,
		)
	}

	async put(record: SnapshotRecord): Promise<void> {
		this.#records.push(record)
		if (this.#records.length >= RECORDS) await this.#flush()
	}

	/** All of the first `done` partitions has been put. */
	async reach(done: number): Promise<void> {
		await this.#flush()
		await this.#write(done)
	}

	async #flush(): Promise<void> {
		const records = this.#records
		this.#records = []
		if (records.length > 0) await this.#transfer.restore(records)
	}

	async #write(done: number): Promise<void> {
		const { source, id, partitions } = this.#options
		await this.#transfer.note(JSON.stringify({ source, id, partitions, done } satisfies Note))
	}
}

function parse(text: string | undefined): Note | undefined {
	if (text === undefined) return undefined
	try {
		return Object(JSON.parse(text)) as Note
	} catch {
		return undefined
	}
}

async function hasNumbers(transfer: StoreTransfer, partitions: number, now: number): Promise<boolean> {
	for (let partition = 0; partition < partitions; partition++) {
		for await (const _ of transfer.snapshot(partition, now)) return true
	}
	return false
}
