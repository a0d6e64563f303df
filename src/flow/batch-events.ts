/** What is told of batches on their way. */
import type { TallymarkError } from '../errors.ts'

/** A batch was stored. */
export interface FlushEvent {
	readonly partition: number
	readonly keys: number
	readonly hits: number
	/** 1 when the first attempt was answered. */
	readonly attempts: number
	/** From the first attempt to the answer. */
	readonly durationMs: number
}

/** An attempt failed; the same batch is sent again after `delayMs`. */
export interface RetryEvent {
	readonly partition: number
	readonly attempt: number
	readonly delayMs: number
	readonly error: TallymarkError
}

/** Hits that are not counted: refused because too much waits (`overflow`), or by the store for good (`refused`). */
export interface DropEvent {
	/** undefined when a whole batch was refused. */
	readonly key: string | undefined
	readonly hits: number
	readonly reason: 'overflow' | 'refused'
}
