import { isTallymarkError } from '../../src/errors.ts'

/** The code of the tallymark error that `action` throws; else what happened instead. */
export function codeOf(action: () => unknown): string {
	try {
		action()
	} catch (error) {
		return isTallymarkError(error) ? error.code : `not ours: ${error}`
	}
	return 'nothing thrown'
}
