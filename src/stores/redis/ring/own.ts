/**
 * Who owns a partition, as each node has it on record under `{ns:p}:own`: a text, so that a script compares it as a whole.
 *
 *     A:<epoch>:<ring>    active: the partition is here, and writers of that ring who know the epoch may write
 *     S:<epoch>:<node>    sealed: it is moving to that node; nobody writes
 *     I:<epoch>           importing: it is moving here
 *     G:<epoch>:<node>    gone: that node has it, or had it later
 *     absent              never here (or this node has lost everything)
 *
 * A move has an epoch of its own, an even number above that of the owner; an odd one is a move that was given up (see move.ts). The ring is the `id` of
 * its placement: epochs begin anew with each ring, and what is under way to a server while that becomes another ring's would be taken by it. The name of a
 * node is what an application chose, and comes last: it may hold anything.
 */

export type Own =
	| { readonly state: 'active'; readonly epoch: number; readonly ring: string }
	| { readonly state: 'importing'; readonly epoch: number }
	| { readonly state: 'sealed' | 'gone'; readonly epoch: number; readonly target: string }

const letters = { active: 'A', sealed: 'S', importing: 'I', gone: 'G' } as const

const states: Readonly<Record<string, Own['state']>> = { A: 'active', S: 'sealed', I: 'importing', G: 'gone' }

export function formatOwn(own: Own): string {
	const head = `${letters[own.state]}:${own.epoch}`
	if (own.state === 'importing') return head
	return `${head}:${own.state === 'active' ? own.ring : own.target}`
}

/** undefined for a record that is absent (null, or undefined), or that nobody here has written. */
export function parseOwn(text: unknown): Own | undefined {
	if (typeof text !== 'string') return undefined
	const [, letter, digits, last] = /^([ASIG]):(\d{1,15})(?::(.*))?$/s.exec(text) ?? []
	if (letter === undefined || digits === undefined) return undefined
	const state = states[letter]!
	const epoch = Number(digits)
	if (state === 'importing') return last === undefined ? { state, epoch } : undefined
	if (last === undefined) return undefined
	return state === 'active' ? { state, epoch, ring: last } : { state, epoch, target: last }
}

/** The epoch of the next move of a partition that is active with `epoch`: the next even one, so that the odd one after it is free for giving it up. */
export function nextEpoch(epoch: number): number {
	return 2 * Math.floor(epoch / 2) + 2
}
