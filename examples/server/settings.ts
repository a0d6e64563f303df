/** What the environment says, checked: a wrong value is a sentence at start, not a surprise later. */
export interface Settings {
	readonly port: number
	readonly host: string
}

export function settingsFrom(env: Readonly<Record<string, string | undefined>>): Settings {
	const port = env['PORT'] || '3000'
	if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
		throw new Error(`Expected PORT to be a whole number from 0 (any free port) to 65535, got ${JSON.stringify(port)}`)
	}
	return { port: Number(port), host: env['HOST'] || '127.0.0.1' }
}
