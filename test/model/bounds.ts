/** What is explored, and with which of the protocol's rules: everything that the model takes as given. */

/** How much of everything there is. Each fault can strike at any moment, as often as its number says in one history. */
export interface Bounds {
	readonly writers: number
	/** Batches of each writer; each touches every set of the partition. */
	readonly batches: number
	/** Sets (keys that hold counts) of the partition, each with sequences of its own. */
	readonly sets: number
	readonly coordinators: number
	/** Moves, one after the other: to the target, back to the source, and so on. */
	readonly moves: number
	/** Crashes of nodes, of whichever. */
	readonly crashes: number
	/** Times that a writer gives up waiting: the request may still arrive later, the reply is lost. */
	readonly timeouts: number
	/** Coordinators that are killed and start again. */
	readonly kills: number
	/** Moves that a coordinator decides to give up. */
	readonly aborts: number
}

/** The rules of the protocol. Without any one of them but `abortIsDurable` the model must find a history that loses or doubles a batch, or never ends. */
export interface Rules {
	/** A set takes a batch of a writer only after the one before it, and once: the last sequence is kept with the counts. */
	readonly sequence: boolean
	/**
	 * The apply script asks whether this node owns the partition, with the epoch that the writer knows. (Within these bounds, whether it owns it is
	 * enough: no history was found that the epoch alone keeps from harm. It is kept, for it costs nothing and does not lean on the sequences.)
	 */
	readonly fence: boolean
	/** The copy begins when the seal can no longer be rolled back. */
	readonly sealIsDurable: boolean
	/** At the target, copying and activating demand that it is still importing for this epoch. */
	readonly activationCompares: boolean
	/** The source is given up when the target's ownership can no longer be rolled back. */
	readonly targetIsDurable: boolean
	/** A batch that finds older ones missing is refused, and the writer sends those again, from what it retained. */
	readonly replay: boolean
	/** Seal, copy and activation are one session: a coordinator whose connection broke (the node crashed) begins again. */
	readonly oneSession: boolean
	/** A node whose record is the seal of an older move may become a target: its tombstone was rolled back. */
	readonly oldSealYields: boolean
	/** A coordinator that finds the source open again waits until that is durable, before it takes the move for over. */
	readonly abortIsFinished: boolean
	/** An abort reopens the source when its refusal at the target can no longer be rolled back. */
	readonly abortIsDurable: boolean
	/** A writer believes a record of an earlier epoch than the one it knows, where that is active. */
	readonly followsBack: boolean
}

export const allRules: Rules = {
	sequence: true,
	fence: true,
	sealIsDurable: true,
	activationCompares: true,
	targetIsDurable: true,
	replay: true,
	oneSession: true,
	oldSealYields: true,
	abortIsFinished: true,
	abortIsDurable: true,
	followsBack: true,
}
