/** What a rebalance will do, how far it has come, and what came of it. */
import type { TallymarkError } from '../../../errors.ts'
import type { Move } from '../../../hash/placement-plan.ts'
import type { MoveStep, MoveTask } from './move.ts'

export interface RebalancePlan {
	readonly partitions: number
	/** Partitions of each, in the order in which the nodes were given, `from` before `to`. */
	readonly nodes: readonly { readonly name: string; readonly before: number; readonly after: number }[]
	/** Moves that were begun earlier, to be finished first. */
	readonly begun: readonly Move[]
	readonly moves: readonly Move[]
}

export interface RebalanceProgress {
	/** Partitions to be moved, those begun earlier included. */
	readonly total: number
	readonly moved: number
	readonly failed: number
	/** Copied so far. */
	readonly keys: number
	readonly bytes: number
	readonly elapsedMs: number
	/** As long as it took so far for each partition; undefined before the first one is there. */
	readonly leftMs: number | undefined
	/** What is being done just now. */
	readonly doing: { readonly step: MoveStep; readonly task: MoveTask } | undefined
}

export interface RebalanceReport {
	readonly plan: RebalancePlan
	/** Partitions that arrived, those begun earlier included. */
	readonly moved: number
	readonly failed: readonly { readonly move: Move; readonly error: TallymarkError }[]
	/** By the signal, with moves left to do. */
	readonly stopped: boolean
	readonly keys: number
	readonly bytes: number
	/** The longest that writers of a partition were held up, milliseconds; 0 when none was. */
	readonly longestHoldMs: number
}

export class Progress {
	readonly #listen: ((progress: RebalanceProgress) => void) | undefined
	readonly #startedAt = performance.now()
	readonly #failed: { readonly move: Move; readonly error: TallymarkError }[] = []
	#total = 0
	#moved = 0
	#keys = 0
	#bytes = 0
	#longestHoldMs = 0
	#doing: RebalanceProgress['doing']

	constructor(listen: ((progress: RebalanceProgress) => void) | undefined) {
		this.#listen = listen
	}

	begin(total: number): void {
		this.#total = total
		this.#tell()
	}

	step(step: MoveStep, task: MoveTask): void {
		this.#doing = { step, task }
		this.#tell()
	}

	copied(keys: number, bytes: number): void {
		this.#keys += keys
		this.#bytes += bytes
		this.#tell()
	}

	held(ms: number): void {
		this.#longestHoldMs = Math.max(this.#longestHoldMs, ms)
	}

	moved(): void {
		this.#moved++
		this.#tell()
	}

	failed({ partition, from, to }: MoveTask, error: TallymarkError): void {
		this.#failed.push({ move: { partition, from, to }, error })
		this.#tell()
	}

	report(plan: RebalancePlan, stopped: boolean): RebalanceReport {
		const [moved, failed, keys, bytes, longestHoldMs] = [this.#moved, this.#failed, this.#keys, this.#bytes, this.#longestHoldMs]
		return { plan, moved, failed, stopped, keys, bytes, longestHoldMs }
	}

	#tell(): void {
		if (this.#listen === undefined) return
		const elapsedMs = performance.now() - this.#startedAt
		const ended = this.#moved + this.#failed.length
		const leftMs = this.#moved === 0 ? undefined : (elapsedMs / ended) * Math.max(0, this.#total - ended)
		const [total, moved, failed, keys, bytes, doing] = [this.#total, this.#moved, this.#failed.length, this.#keys, this.#bytes, this.#doing]
		this.#listen({ total, moved, failed, keys, bytes, elapsedMs, leftMs, doing })
	}
}
