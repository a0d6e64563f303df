/** What an error of Redis, or of the way to it, means for what was sent. Told by its first word: the rest of the text quotes others. */
import { isTallymarkError, StoreRefusedError, StoreUnavailableError, type TallymarkError } from '../../errors.ts'

/**
 * `noscript`: load the scripts and send again. `refused`: this will never be taken. `denied`: the server is there, but not for us.
 * `moved`: the partition is not there (any more, or yet): send the same to its owner.
 * `unknown`: everything else. It may have been applied or not; send the same again.
 */
export type FailureKind = 'noscript' | 'refused' | 'denied' | 'moved' | 'unknown'

/** A command that was not answered, or with an error. */
export class Failure {
	readonly kind: FailureKind
	readonly message: string
	readonly cause: unknown

	constructor(cause: unknown) {
		this.cause = cause
		this.message = cause instanceof Error ? cause.message : String(cause)
		const reason = cause instanceof Error ? cause.cause : undefined
		// Whoever is not let in while connecting has no connection, for that reason.
		this.kind = reason instanceof Error && kindOf(reason.message) === 'denied' ? 'denied' : kindOf(this.message)
	}

	/** As the error that a caller sees. */
	toError(servedBy: string): TallymarkError {
		const { cause, message, kind } = this
		if (isTallymarkError(cause)) return cause
		if (kind === 'refused') return new StoreRefusedError(`${servedBy} refused: ${message}`, { cause })
		if (kind === 'denied') return new StoreUnavailableError(`${servedBy} does not let this client in: ${message}`, { cause })
		if (kind === 'moved') return new StoreUnavailableError(`A partition is moving from or to ${servedBy}: ${message}`, { cause })
		return new StoreUnavailableError(`${servedBy} is not available: ${message}`, { cause })
	}
}

const denied = /^(NOAUTH|NOPERM|WRONGPASS)\b/
/** What the server says of the user, or of itself being too old, when it happens inside a script. */
const deniedInScript = /can't run this command|can't access at least one|no permissions|unknown (redis )?command|NOPERM|NOAUTH/i
/** Before Redis 7 an error inside a script is wrapped: the word that counts is in the middle. */
const wrapped = /-?\b(OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|LOADING|BUSY|TRYAGAIN)\b/

function kindOf(message: string): FailureKind {
	const word = message.slice(0, message.search(/\s|$/))
	if (word === 'NOSCRIPT') return 'noscript'
	if (word === 'NOTOWNER') return 'moved'
	// Of another type, or damaged: nobody can add to it.
	if (word === 'WRONGTYPE' || word === 'INVALIDOBJ') return 'refused'
	if (denied.test(word)) return 'denied'
	if (word !== 'ERR') return 'unknown'
	if (deniedInScript.test(message)) return 'denied'
	// A slot that moves while a script runs in it: the script has not written yet.
	if (wrapped.test(message) || message.includes('non local key')) return 'unknown'
	return /user_script|running script/.test(message) ? 'refused' : 'unknown'
}
