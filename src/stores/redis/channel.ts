/**
 * One writer and one partition: brings each batch to Redis exactly once.
 *
 * A batch becomes parts, one script for each set it touches, fixed for ever. Every set in Redis remembers the last position it has of this writer, in the
 * same write as the hits. A part says what it follows, so that a set answers APPLIED, DUPLICATE (it has it: an acknowledgement), GAP (it is further
 * back than the part's predecessor: the server lost what it had acknowledged) or EXPIRED. Therefore whatever goes wrong is answered by sending again,
 * and a GAP by sending again, in order, all that the set lacks: acknowledged parts are kept for that for a while. What is not kept any more is
 * reported, with the number of hits.
 *
 * Rules that are easy to miss:
 * - The server's clock decides whether a bucket is past its deadline, in the script; EXPIREAT is exactly that moment, or a bucket could be seen but no
 *   longer repaired in between.
 * - After a reconnection every set is asked whether it has what it acknowledged, before anything else is sent: a set that gets no more hits would
 *   otherwise be lost without a word.
 * - After the first answer of a set that is neither APPLIED nor DUPLICATE, the other answers of that set in the same pipeline mean nothing.
 */
import { StoreRefusedError, StoreUnavailableError, type TallymarkError } from '../../errors.ts'
import type { Batch, DeleteBatch, Outcome, SessionSettings } from '../store.ts'
import { type Command, command } from './client.ts'
import type { CountedSet, Part } from './counted-set.ts'
import { type DeletePlan, planDelete } from './delete-plan.ts'
import { Failure } from './failure.ts'
import { freezeDelete, freezeHits, freezeSet } from './freeze.ts'
import { type Deletion, type Frozen, frozenOf, outcomeOf } from './frozen.ts'
import type { Keys } from './keys.ts'
import { KnownVisitors } from './known-visitors.ts'
import { evaluate, type Reply } from './link.ts'
import { PartitionSets } from './partition-sets.ts'
import { sequenceOf } from './position.ts'
import { Retained } from './retained.ts'
import type { Way } from './route.ts'
import {
	APPLIED,
	addHash,
	addSorted,
	DUPLICATE,
	EXPIRED,
	GAP,
	lookAt,
	PAST,
	removeHash,
	removeSorted,
	type Script,
	setSorted,
} from './scripts.ts'
import type { TrendEpochs } from './trend-epoch.ts'
import { type VisitorCommand, VisitorFlush } from './visitor-flush.ts'
import { chunks } from './visitor-form.ts'

/** As whom a session writes. Changes only when the store has forgotten the one it was. */
export interface Identity {
	writer: string
}

export interface ChannelOptions {
	readonly partition: number
	readonly way: Way
	readonly keys: Keys
	readonly epochs: TrendEpochs
	readonly settings: SessionSettings
	readonly identity: Identity
	readonly retentionMs: number
	readonly retainedBytes: number
	/** Resolves when the server is known to be the right one; rejects otherwise. */
	readonly ready: () => Promise<void> | undefined
	/** The server has lost something. */
	readonly lost: () => void
}

/** Parts of one set in one pipeline. */
const PARTS = 8
/** Sets that are asked in one pipeline whether they have what they acknowledged. */
const PROBES = 500
/** Rounds without progress (scripts that vanish again and again, a set that goes back again and again) before the caller is told to come again. */
const ROUNDS = 10

export class Channel {
	readonly sets: PartitionSets
	readonly #options: ChannelOptions
	/** Sent, not acknowledged: by sequence. Almost always one at most. */
	readonly #open = new Map<number, Frozen>()
	/** Acknowledged. */
	readonly #retained: Retained
	/** The sets that have something to be sent (and some that had). */
	readonly #queued = new Set<CountedSet>()
	readonly #known: KnownVisitors
	/** Given out so far. */
	#marks = 0
	/** The highest sequence that was acknowledged, and how it ended. */
	#acked = 0
	#outcome: Outcome = { status: 'duplicate' }
	/** Whether the server may have lost something: every set is asked before anything else is sent. */
	#doubt = false
	/** Those that were not asked yet. */
	#doubtful = new Set<CountedSet>()
	/** Whether something that was acknowledged may have to be sent again apart from the sets: visitors, a sweep. */
	#stirred = false
	/** Whether the server has forgotten this writer. */
	#retired = false
	/** Who came last to do something here: one after the other. */
	#turn: Promise<unknown> = Promise.resolve()
	#busy = 0
	readonly #joined = new Map<number, Promise<Outcome>>()

	constructor(options: ChannelOptions) {
		this.#options = options
		this.#retained = new Retained(options.retentionMs, options.retainedBytes)
		this.#known = new KnownVisitors(options.retainedBytes)
		this.sets = new PartitionSets(options.partition, options.keys, options.settings, options.epochs)
	}

	/** The last sequence that was acknowledged. */
	get acked(): number {
		return this.#acked
	}

	/** The same batch, while it is under way, joins; when an attempt failed, it resumes; when it is through, it is a duplicate. */
	apply(batch: Batch): Promise<Outcome> {
		const joined = this.#joined.get(batch.sequence)
		if (joined !== undefined) return joined
		const attempt = this.#inTurn(() => this.#apply(batch)).finally(() => this.#joined.delete(batch.sequence))
		this.#joined.set(batch.sequence, attempt)
		return attempt
	}

	/** The connection was lost and made again. */
	suspect(): void {
		this.#doubt = true
		this.#doubtful = new Set(this.sets)
		this.#stirred = true
		this.#known.clear()
		// Of visitors that were acknowledged apart from the hits they came with, no set can tell that they are lost.
		const waiting = new Set([...this.#queued].flatMap(({ queue }) => queue))
		for (const { batch, visitors, deletion, parts } of this.#everything()) {
			// ... nor of a sweep whose marks hits have taken the place of.
			if (deletion?.again === true) deletion.swept = false
			if (visitors === undefined) continue
			if (this.#open.has(batch.sequence) || parts.some((part) => waiting.has(part))) visitors.done = false
			else if (visitors.again) visitors.doubted = true
		}
		for (const set of this.sets) set.expires = set.deadline === 0
	}

	/** Asks the server about every set when there is doubt, and sends again what it lacks. Rejects when it cannot be done now. */
	settle(): Promise<void> {
		return this.#inTurn(async () => {
			await this.#options.ready()
			await this.#settle()
			await this.#drain()
			this.#acknowledge()
		})
	}

	/** Asks about the sets of which something could be sent again; in doubt, about all. Does nothing while something else is under way, which asks by itself. */
	async check(): Promise<void> {
		if (this.#busy > 0) return
		if (this.#doubt) return this.settle()
		this.#prune()
		const sets = new Set<CountedSet>()
		for (const { parts } of this.#retained) for (const { set } of parts) sets.add(set)
		await this.#inTurn(async () => {
			const lost = await this.#probe(sets)
			// A way to the server that holds while the server is replaced: as after a reconnection.
			if (lost) this.suspect()
			else await this.#probeSweeps()
			await this.#drain()
			this.#acknowledge()
		})
	}

	/** What the writer left behind on the server is gone, and with it the answer to whether what was under way is there. */
	retire(): void {
		this.#retired = true
		this.#doubt = true
	}

	#forget(): void {
		this.#retired = false
		const error = new StoreRefusedError(
			'This writer was away so long that the store has forgotten it: whether what was under way is stored cannot be told, so it is not sent again',
		)
		for (const frozen of this.#open.values()) {
			for (const part of frozen.parts) {
				if (part.state !== 'open') continue
				part.set.drop(part)
				frozen.refusals.push([part, error])
			}
		}
		for (const set of this.sets) this.sets.forget(set)
		this.#queued.clear()
		this.#retained.clear()
		this.#doubtful.clear()
		this.#doubt = false
	}

	#inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
		this.#busy++
		const turn = this.#busy === 1 ? act() : this.#turn.then(act, act)
		const done = turn.finally(() => {
			this.#busy--
		})
		this.#turn = done.catch(() => {})
		return done
	}

	async #apply(batch: Batch): Promise<Outcome> {
		if (batch.sequence <= this.#acked) return this.#again(batch)
		const waiting = this.#options.ready()
		if (waiting !== undefined) await waiting
		if (this.#doubt) await this.#settle()
		let frozen = this.#open.get(batch.sequence)
		if (frozen === undefined) {
			frozen = batch.kind === 'delete' ? await this.#freezeDelete(batch) : this.#freeze(batch)
			this.#open.set(batch.sequence, frozen)
			for (const { set } of frozen.parts) this.#queued.add(set)
		}
		await this.#drain()
		this.#acknowledge()
		return this.#outcome
	}

	#again({ sequence }: Batch): Outcome {
		if (sequence < this.#acked) return { status: 'duplicate' }
		return this.#outcome.status === 'refused' ? this.#outcome : { ...this.#outcome, status: 'duplicate' }
	}

	#freeze(batch: Exclude<Batch, DeleteBatch>): Frozen {
		const { settings, epochs, keys } = this.#options
		const { tracker } = settings
		if (batch.kind === 'set') return frozenOf(batch, freezeSet(batch, this.sets))
		const parts = freezeHits(batch, this.sets, settings, epochs)
		const tracked = tracker !== undefined && batch.groups.some(({ deltas }) => deltas.some(({ visitors }) => visitors !== undefined))
		return frozenOf(batch, parts, tracked ? new VisitorFlush(batch, tracker, settings, keys) : undefined)
	}

	/** Looks where the key is; nothing is written yet. */
	async #freezeDelete(batch: DeleteBatch): Promise<Frozen> {
		let plan: DeletePlan
		do {
			// A set that lacks a hit of the key, which it is to be sent again, would not be found to have it; nor one that loses it meanwhile.
			await this.#drain()
			plan = await planDelete(batch.key, this.#options.partition, this.sets, this.#options, (commands) => this.#ask(commands))
		} while (this.#doubt)
		return frozenOf(batch, freezeDelete(batch.key, batch.sequence, plan.countingAll, plan.others), undefined, {
			...plan,
			swept: false,
			again: false,
		})
	}

	/** While in doubt, asks about every set. */
	async #settle(): Promise<void> {
		while (this.#doubt) {
			if (this.#retired) this.#forget()
			this.#doubt = false
			try {
				await this.#probe(this.#doubtful)
				await this.#probeSweeps()
				await this.#probeVisitors()
			} catch (error) {
				this.#doubt = true
				throw error
			}
		}
	}

	/**
	 * Asks sets whether they have what they acknowledged, and puts what they lack into their queues. Answers whether one lacked something. Takes those out of
	 * `sets` that have answered; throws when one did not. Some at a time: a writer may know tens of thousands, and there are other partitions.
	 */
	async #probe(sets: Set<CountedSet>): Promise<boolean> {
		let lost = false
		let together = PROBES
		for (let round = 0; ; ) {
			const some: Record<CountedSet['shape'], CountedSet[]> = { hash: [], sorted: [] }
			let asked = 0
			for (const set of sets) {
				if (set.last === 0 || this.sets.find(set.key) !== set) sets.delete(set)
				else {
					some[set.shape].push(set)
					if (++asked === PROBES) break
				}
			}
			if (asked === 0) return lost
			const groups = [...chunks(some.hash, together), ...chunks(some.sorted, together)]
			const replies = await this.#send(groups.map((group) => this.#look(group)))
			const mortal: CountedSet[] = []
			let unknown = false
			let failure: Failure | undefined
			for (const [i, group] of groups.entries()) {
				const reply = replies[i]
				if (reply instanceof Failure) {
					if (reply.kind === 'noscript') unknown = true
					else if (group.length > 1 && spoilsTheOthers(reply)) together = 1
					else if (reply.kind === 'refused') {
						// A set of the wrong type has lost what it had, and will not take it back.
						sets.delete(group[0]!)
						this.#rewind(group[0]!, 0)
					} else failure ??= reply
					continue
				}
				const answers = String(reply).split(' ')
				for (const [j, set] of group.entries()) {
					const [position, left] = answers.slice(2 * j, 2 * j + 2)
					sets.delete(set)
					if (position === PAST) this.sets.forget(set)
					else if (Number(position) < set.last) {
						this.#rewind(set, Number(position))
						lost = true
					} else if (set.deadline !== 0) {
						if (Number(left) >= 0) set.expires = true
						else mortal.push(set)
					}
				}
			}
			for (const [i, expired] of (await this.#send(mortal.map(expireAt))).entries()) if (isTold(expired)) mortal[i]!.expires = true
			if (failure !== undefined) throw failure.toError(this.#options.way.name)
			if (unknown) await this.#load(round++)
		}
	}

	/** The question for what sets of one shape have of this writer. */
	#look(sets: readonly CountedSet[]): Command {
		const [first, ...others] = sets.map(({ key }) => key)
		const read = sets[0]!.shape === 'hash' ? 'HGET' : 'ZSCORE'
		return evaluate(lookAt, first!, [read, `#${this.#options.identity.writer}`, ...sets.map(({ deadline }) => deadline)], others)
	}

	/** Asks whether deletions are swept still: the server may have gone back to a moment between their parts, which it has, and that. */
	async #probeSweeps(): Promise<void> {
		// The last deletion of each key in each lane: the mark there is that one's. A later one may have found the key in fewer lanes.
		const last = new Map<string, { deletion: Deletion; ask: Command }>()
		for (const { deletion } of this.#everything())
			if (deletion !== undefined) for (const ask of deletion.marked) last.set(ask.args.join(' '), { deletion, ask })
		const asked = [...last.values()].filter(({ deletion }) => deletion.swept)
		const replies = await this.#ask(asked.map(({ ask }) => ask))
		for (const [i, { deletion }] of asked.entries()) {
			if (replies[i] === null || Number(replies[i]) !== 0.5) continue
			deletion.swept = false
			this.#stirred = true
		}
	}

	/**
	 * Visitors that the server may have lost although it has their hits are sent again, unless something was deleted since: those of a deleted key would be
	 * back, and the sweep that follows them would take those who came after it.
	 */
	async #probeVisitors(): Promise<void> {
		const doubted: VisitorFlush[] = []
		for (const { visitors } of this.#everything()) if (visitors?.doubted === true) doubted.push(visitors)
		if (doubted.length === 0) return
		const { keys, partition } = this.#options
		const mark = markOf((await this.#ask([command('get', keys.deletions(partition))]))[0])
		for (const visitors of doubted) {
			visitors.doubted = false
			if (mark !== undefined && visitors.mark === mark) visitors.done = false
		}
	}

	/** Sends until nothing is left to be sent. Throws when something was not answered; everything else has gone on by then. */
	async #drain(): Promise<void> {
		for (let stalled = 0; ; ) {
			if (this.#doubt) await this.#settle()
			this.#keepOrder()
			for (const set of this.#queued) if (set.queue.length === 0) this.#queued.delete(set)
			const sets = [...this.#queued]
			const apart = this.#all().filter(
				({ visitors, deletion }) => visitors?.done === false || (sets.length === 0 && deletion?.swept === false),
			)
			if (sets.length === 0 && apart.length === 0) {
				this.#stirred = false
				return
			}
			const progress = await this.#round(apart, sets)
			stalled = progress ? 0 : stalled + 1
			if (stalled > ROUNDS) throw new StoreUnavailableError(`${this.#options.way.name} takes nothing: it forgets what it was sent`)
		}
	}

	/**
	 * Visitors know no sequence: what comes again must come in its order. A deletion is swept again after visitors from before it, and visitors are sent
	 * again after a deletion from before them.
	 */
	#keepOrder(): void {
		let joined = false
		let swept = false
		for (const { visitors, deletion } of this.#all()) {
			if (visitors !== undefined) {
				if (swept) {
					visitors.done = false
					visitors.again = true
				}
				joined ||= !visitors.done
			}
			if (deletion !== undefined) {
				if (joined || swept) deletion.swept = false
				swept ||= !deletion.swept
			}
		}
	}

	/** Everything that may have to be sent, or sent again, by rising sequence; of what was acknowledged nothing, while nothing of it is to be sent. */
	#all(): Frozen[] {
		return this.#stirred ? this.#everything() : [...this.#open.values()].sort(bySequence)
	}

	#everything(): Frozen[] {
		return [...this.#retained, ...this.#open.values()].sort(bySequence)
	}

	/** One pipeline: what is apart from the sets, in its order, then the sets. Sweeps wait until no set has anything to be sent. Answers whether anything came nearer to its end. */
	async #round(apart: readonly Frozen[], sets: readonly CountedSet[]): Promise<boolean> {
		const commands: Command[] = []
		const readers: ((replies: readonly Reply[], untouched: boolean, mark: string | undefined) => void)[] = []
		const state = { progress: false, noscript: false, failure: undefined as Failure | undefined }
		const failed = (failure: Failure) => {
			if (failure.kind === 'noscript') state.noscript = true
			else state.failure ??= failure
		}
		// Our own sweeps take the mark away: what goes with them goes in full, or it would have to go again.
		if (sets.length === 0 && apart.some(({ deletion }) => deletion?.swept === false)) this.#known.clear()
		const { keys, partition } = this.#options
		const tracked = apart.some(({ visitors }) => visitors?.done === false)
		const asks = tracked && this.#known.asks()
		if (asks) {
			const mark = `${this.#options.identity.writer}:${++this.#marks}`
			commands.push(command('set', keys.deletions(partition), mark, 'NX'), command('get', keys.deletions(partition)))
		}
		// Before the scripts: should the server lose the end of what it was sent, it loses the hits too, and with them all is sent again.
		for (const frozen of apart) {
			const { visitors, deletion } = frozen
			const from = commands.length
			if (visitors?.done === false) {
				const each = visitors.commands(this.#known)
				for (const { command } of each) commands.push(command)
				readers.push((replies, untouched, mark) =>
					this.#readVisitors(visitors, each, replies.slice(from, from + each.length), untouched, mark, failed),
				)
			} else if (deletion?.swept === false && sets.length === 0) {
				deletion.again ||= !this.#open.has(frozen.batch.sequence)
				const sweep = deletion.sweep()
				commands.push(...sweep)
				readers.push((replies) => {
					const answers = replies.slice(from, from + sweep.length)
					const failure = answers.find((reply) => reply instanceof Failure && reply.kind !== 'refused')
					if (failure instanceof Failure) failed(failure)
					else deletion.swept = state.progress = true
				})
			}
		}
		for (const set of sets) {
			const parts = set.queue.slice(0, PARTS)
			const from = commands.length
			let previous = set.last
			for (const part of parts) {
				commands.push(this.#part(part, previous))
				previous = part.position
			}
			const expires = set.expires ? undefined : commands.push(expireAt(set)) - 1
			readers.push((replies) => {
				const expired = expires !== undefined && replies[expires] instanceof Failure ? (replies[expires] as Failure) : undefined
				if (expired !== undefined) failed(expired)
				// Only what was said just now: a reconnection in the meantime has put it in doubt again.
				else if (expires !== undefined && isTold(replies[expires])) set.expires = true
				if (this.#readParts(set, parts, replies.slice(from, from + parts.length), expired !== undefined, failed)) state.progress = true
			})
		}
		// Last of all: what was left out as known was there until then.
		if (tracked) commands.push(command('get', keys.deletions(partition)))
		const replies = await this.#send(commands)
		if (asks) this.#known.marked(markOf(replies[1]))
		const last = tracked ? replies.at(-1) : undefined
		if (last instanceof Failure) this.#known.clear()
		const untouched = tracked && this.#known.isUntouched(markOf(last))
		for (const read of readers) read(replies, untouched, markOf(last))
		if (state.failure !== undefined) throw state.failure.toError(this.#options.way.name)
		if (state.noscript) await this.#load(0)
		return state.progress
	}

	#readVisitors(
		visitors: VisitorFlush,
		commands: readonly VisitorCommand[],
		replies: readonly Reply[],
		untouched: boolean,
		mark: string | undefined,
		failed: (failure: Failure) => void,
	): void {
		let refused: Failure | undefined
		let missing = false
		for (const [i, { expires }] of commands.entries()) {
			const reply = replies[i]
			if (reply instanceof Failure) {
				if (reply.kind === 'refused') refused = reply
				else {
					missing = true
					failed(reply)
				}
			} else if (expires !== undefined && untouched && isTold(reply)) this.#known.addDeadline(expires)
		}
		if (missing) return
		if (refused === undefined) visitors.acknowledge(untouched, mark)
		else {
			visitors.giveUp()
			const { partition, way } = this.#options
			this.#report(
				new StoreRefusedError(`${way.name} refused visitors of partition ${partition}: ${refused.message}`, { cause: refused.cause }),
			)
		}
	}

	/** Reads the answers to parts that were sent in a row; answers whether the set came nearer to its end. */
	#readParts(
		set: CountedSet,
		parts: readonly Part[],
		replies: readonly Reply[],
		immortal: boolean,
		failed: (failure: Failure) => void,
	): boolean {
		for (const [i, part] of parts.entries()) {
			const reply = replies[i]
			if (reply instanceof Failure) {
				if (reply.kind !== 'refused') {
					failed(reply)
					return i > 0
				}
				this.#quarantine(part, reply)
				return true
			}
			const [what, last] = numbersOf(reply)
			if (what === GAP) {
				// The others may lack something too, though the connection held.
				this.suspect()
				this.#rewind(set, last)
				return i > 0
			}
			if (what === EXPIRED) {
				for (const late of set.queue) late.state = 'dropped'
				set.queue = []
				this.sets.forget(set)
				return true
			}
			if (what !== APPLIED && what !== DUPLICATE) {
				failed(new Failure(new Error(`a script answered ${what}`)))
				return i > 0
			}
			set.last = part.position
			// Without its deadline the set must be told again; the script will answer DUPLICATE.
			if (immortal) return true
			part.state = 'stored'
			set.queue.shift()
		}
		return true
	}

	/** The server has nothing of the set above `position`. */
	#rewind(set: CountedSet, position: number): void {
		this.#options.lost()
		const known: Part[] = []
		const now = this.#options.settings.clock.now()
		// Nothing is kept of a set that got its last part before the oldest batch that is.
		const isKept = this.#retained.oldest !== undefined && sequenceOf(set.tail) >= this.#retained.oldest.batch.sequence
		this.#stirred = true
		for (const frozen of [...(isKept ? this.#retained : []), ...this.#open.values()]) {
			const theirs = frozen.parts.filter((part) => part.set === set)
			if (!theirs.some((part) => part.position > position)) continue
			known.push(...theirs)
			frozen.at = now
			// What came in the same go may be lost likewise.
			if (frozen.visitors !== undefined) frozen.visitors.done = false
			if (frozen.deletion !== undefined) frozen.deletion.swept = false
		}
		set.expires = set.deadline === 0
		this.#known.clear()
		const lost = set.rewind(position, known)
		this.#queued.add(set)
		if (lost === undefined) return
		this.#options.settings.report({
			type: 'rollback',
			partition: this.#options.partition,
			what: set.what,
			fromSequence: sequenceOf(lost.from) + 1,
			toSequence: sequenceOf(lost.to),
			hits: lost.hits,
		})
	}

	/** A part that its set will never take: it is left out, the rest goes on. */
	#quarantine(part: Part, failure: Failure): void {
		const { set, position, hits } = part
		const { way } = this.#options
		set.drop(part)
		const error = new StoreRefusedError(
			`${way.name} refused ${hits} hits (${set.what}) for ${JSON.stringify(set.key)}: ${failure.message}`,
			{
				cause: failure.cause,
			},
		)
		// Of a batch under way it is told when it is known whether anything of it was taken.
		const frozen = this.#open.get(sequenceOf(position))
		if (frozen === undefined) this.#tellRefusal(part, error)
		else frozen.refusals.push([part, error])
	}

	#tellRefusal({ set, position, hits }: Part, error: TallymarkError): void {
		const { partition, settings } = this.#options
		const sequence = sequenceOf(position)
		this.#report(error)
		settings.report({ type: 'rollback', partition, what: set.what, fromSequence: sequence, toSequence: sequence, hits })
	}

	#report(error: TallymarkError): void {
		this.#options.settings.report({ type: 'error', error })
	}

	/** Everything that was open is through: it is kept for a while, and the callers may have their answer. */
	#acknowledge(): void {
		const now = this.#options.settings.clock.now()
		for (const [sequence, frozen] of this.#open) {
			this.#open.delete(sequence)
			frozen.at = now
			this.#retained.add(frozen)
			const outcome = outcomeOf(frozen)
			if (outcome.status !== 'refused') for (const [part, error] of frozen.refusals) this.#tellRefusal(part, error)
			if (sequence < this.#acked) continue
			this.#acked = sequence
			this.#outcome = outcome
		}
		this.#prune()
	}

	/** Lets go of batches past their retention, or of the oldest when they are too much. Never while something is in doubt or on its way again. */
	#prune(): void {
		for (const set of this.#queued) if (set.queue.length > 0) return
		if (this.#doubt) return
		const now = this.#options.settings.clock.now()
		this.#retained.prune(now)
		this.sets.prune(now)
	}

	#part({ set, act, members, values, position }: Part, previous: number): Command {
		const hash = set.shape === 'hash'
		const script = act === 'add' ? (hash ? addHash : addSorted) : act === 'set' ? setSorted : hash ? removeHash : removeSorted
		return this.#script(set, script, previous, position, [...members, ...values])
	}

	#script(set: CountedSet, script: Script, previous: number, position: number, args: readonly (string | number)[]): Command {
		return evaluate(script, set.key, [`#${this.#options.identity.writer}`, previous, position, set.deadline, ...args])
	}

	#send(commands: readonly Command[]): Promise<readonly Reply[]> {
		return this.#options.way.send(commands)
	}

	/** Sends commands of which none may fail. */
	async #ask(commands: readonly Command[]): Promise<readonly Reply[]> {
		const replies = await this.#send(commands)
		const failure = replies.find((reply) => reply instanceof Failure)
		if (failure instanceof Failure) throw failure.toError(this.#options.way.name)
		return replies
	}

	async #load(round: number): Promise<void> {
		const { way } = this.#options
		const failure = round > ROUNDS ? new Failure(new Error('it forgets its scripts')) : await way.load()
		if (failure !== undefined) throw failure.toError(way.name)
	}
}

/** Whether one of several sets that were asked about at once may be why none was answered: one of the wrong type, or on its way to another node of a cluster. */
function spoilsTheOthers({ kind, message }: Failure): boolean {
	return kind === 'refused' || message.startsWith('TRYAGAIN')
}

/** The mark of a partition, as it was answered; undefined: there is none, or nobody knows. */
function markOf(reply: Reply): string | undefined {
	return reply === null || reply === undefined || reply instanceof Failure ? undefined : String(reply)
}

/** What a script answers, however the client gives numbers. */
function numbersOf(reply: Reply): [what: number, last: number] {
	const [what, last] = reply as readonly (number | string)[]
	return [Number(what), Number(last)]
}

function bySequence(a: Frozen, b: Frozen): number {
	return a.batch.sequence - b.batch.sequence
}

/** Whether a key has its deadline, by the reply to EXPIREAT: one that was not there yet does not. */
function isTold(reply: Reply): boolean {
	return Number(reply) === 1
}

function expireAt({ key, deadline }: CountedSet): Command {
	return command('expireat', key, deadline)
}
