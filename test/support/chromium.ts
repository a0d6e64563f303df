/** The Chromium that the browser tests run: Debian's, or whichever is on the PATH. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

const names = ['chromium', 'chromium-browser', 'google-chrome']
const onMac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'

/** Its path; undefined where there is none. CHROMIUM names another one. */
export function chromiumPath(): string | undefined {
	const folders = (process.env['PATH'] ?? '').split(delimiter)
	const places = names.flatMap((name) => folders.map((folder) => join(folder, name)))
	return [process.env['CHROMIUM'], ...places, onMac].find((file) => file && isExecutable(file))
}

function isExecutable(file: string): boolean {
	try {
		accessSync(file, constants.X_OK)
		return true
	} catch {
		return false
	}
}
