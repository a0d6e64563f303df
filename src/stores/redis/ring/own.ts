/**
 * Who owns a partition, as each node has it on record under `{ns:p}:own`: a text, so that a script compares it as a whole.
 *
 *     A:<epoch>           active: the partition is here, and writers who know the epoch may write
 *     S:<epoch>:<node>    sealed: it is moving to that node; nobody writes
 *     I:<epoch>           importing: it is moving here
 *     G:<epoch>:<node>    gone: that node has it, or had it later
 *     absent              never here (or this node has lost everything)
 *
 * A move has an epoch of its own, an even number above that of the owner; an odd one is a move that was given up (see move.ts). The name of a node is
 * what an application chose, and comes last: it may hold anything.
 */

export type Own =
	| { readonly state: 'active' | 'importing'; readonly epoch: number }
	| { readonly state: 'sealed' | 'gone'; readonly epoch: number; readonly target: string }

const letters = { active: 'A', sealed: 'S', importing: 'I', gone: 'G' } as const

const states: Readonly<Record<string, Own['state']>> = { A: 'active', S: 'sealed', I: 'importing', G: 'gone' }

export function formatOwn(own: Own): string {
	const head = `${letters[own.state]}:${own.epoch}`
	return 'target' in own ? `${head}:${own.target}` : head
}

/** undefined for a record that is absent (null, or undefined), or that nobody here has written. */
export function parseOwn(text: unknown): Own | undefined {
	if (typeof text !== 'string') return undefined
	const [, letter, digits, target] = /^([ASIG]):(\d{1,15})(?::(.*))?$/s.exec(text) ?? []
	if (letter === undefined || digits === undefined) return undefined
	const state = states[letter]!
	const epoch = Number(digits)
	if (state === 'active' || state === 'importing') return target === undefined ? { state, epoch } : undefined
	return target === undefined ? undefined : { state, epoch, target }
}

/** The epoch of the next move of a partition that is active with `epoch`: the next even one, so that the odd one after it is free for giving it up. */
export function nextEpoch(epoch: number): number {
	return 2 * Math.floor(epoch / 2) + 2
}
