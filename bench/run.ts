/** `npm run bench -- core sketches` runs bench/core.ts and bench/sketches.ts; without a name, every benchmark. */

import { readdirSync } from 'node:fs'
import { failedGates, machineLine } from './harness.ts'

const names = readdirSync('bench')
	.filter((file) => file.endsWith('.ts') && !/^(run|harness|.*\.config)\.ts$/.test(file))
	.map((file) => file.slice(0, -3))

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !names.includes(name))
if (unknown.length > 0) {
	console.error(`No benchmark is named ${unknown.join(', ')}; there are: ${names.join(', ')}`)
	process.exit(2)
}

console.log(machineLine())
for (const name of names.filter((name) => wanted.length === 0 || wanted.includes(name))) {
	console.log(`\n=== ${name}`)
	// Bundled beside this file under the same name.
	const { run } = (await import(new URL(`${name}.js`, import.meta.url).href)) as { run(): Promise<void> }
	await run()
}
if (failedGates() > 0) {
	console.log(`\n${failedGates()} aims missed`)
	process.exitCode = 1
}
