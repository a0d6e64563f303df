import { BadInputError, expected } from '../errors.ts'

/** Refuses options that nobody knows: a misspelt one would silently do nothing. `names` has every key of the type, which the compiler checks. */
export function refuseUnknown<Options extends object>(options: Options, names: Record<keyof Required<Options>, true>): void {
	const code = 'ERR_TALLYMARK_OPTION'
	if (typeof options !== 'object' || options === null) throw expected(code, 'options', 'an object', options)
	for (const name of Object.keys(options)) {
		if (Object.hasOwn(names, name)) continue
		throw new BadInputError(code, `Expected \`options\` to have known options (${Object.keys(names).join(', ')}), got \`${name}\``)
	}
}
