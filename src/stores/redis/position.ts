/**
 * Positions: what a set remembers of a writer. A batch of many keys is cut into chunks, each of them a script of its own, so a position is
 * the sequence of the batch and the chunk in it, as one number: sequence * 4,096 + chunk, the last chunk being 4,095 whatever their number.
 * Exact in a double up to 2^41 batches.
 */
export const CHUNKS = 4_096
/** Keys in a script: 0.8 ms of the server's time. */
export const CHUNK = 500

export function positionOf(sequence: number, chunk: number, chunks: number): number {
	return sequence * CHUNKS + (chunk === chunks - 1 ? CHUNKS - 1 : chunk)
}

export function sequenceOf(position: number): number {
	return Math.floor(position / CHUNKS)
}

/** Whether the batch is there as a whole. */
export function isWhole(position: number): boolean {
	return position % CHUNKS === CHUNKS - 1 || position === 0
}

/** Keys in each chunk of a batch of `keys`. */
export function chunkSize(keys: number): number {
	return Math.max(CHUNK, Math.ceil(keys / CHUNKS))
}
