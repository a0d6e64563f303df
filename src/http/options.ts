import { expected } from '../errors.ts'

/** Throws for what is no object, and for a name in `options` that is not known: a misspelt option must not be ignored. */
export function refuseUnknown(options: unknown, known: readonly string[]): void {
	if (typeof options !== 'object' || options === null) throw expected('ERR_TALLYMARK_OPTION', 'options', 'an object', options)
	for (const name of Object.keys(options)) {
		if (!known.includes(name))
			throw expected('ERR_TALLYMARK_OPTION', 'options', `an object with no other names than ${known.join(', ')}`, name)
	}
}
