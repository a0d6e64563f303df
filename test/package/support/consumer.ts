/** An empty project that installed the packed package, as a user's would. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { checkout, type Packed } from './pack.ts'
import { run } from './run.ts'

export interface Consumer {
	readonly dir: string
	write(file: string, text: string): void
	/** Runs a JavaScript file of the project, and answers what it printed. */
	node(file: string, binary?: string): string
	/** Compiles the TypeScript files listed; `options` on top of the strictest that a user may have. Throws with the compiler's complaints. */
	compile(name: string, files: readonly string[], options: Readonly<Record<string, unknown>>): void
	remove(): void
}

/** Makes the project; its JavaScript is of that kind. */
export function createConsumer(packed: Packed, type: 'module' | 'commonjs'): Consumer {
	if ('failure' in packed) throw new Error(`The package could not be built: ${packed.failure}`)
	const dir = mkdtempSync(join(tmpdir(), `tallymark-${type}-`))
	const write = (file: string, text: string) => {
		mkdirSync(dirname(join(dir, file)), { recursive: true })
		writeFileSync(join(dir, file), text)
	}
	write('package.json', JSON.stringify({ name: 'consumer', version: '1.0.0', private: true, type }))
	run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', packed.tarball], dir)
	return {
		dir,
		write,
		node: (file, binary = process.execPath) => run(binary, [file], dir).trim(),
		compile: (name, files, options) => {
			const compilerOptions = { ...strictest, outDir: name, rootDir: '.', ...options }
			write(`tsconfig.${name}.json`, JSON.stringify({ compilerOptions, files }))
			run(process.execPath, [join(checkout, 'node_modules/typescript/bin/tsc'), '-p', `tsconfig.${name}.json`], dir)
		},
		remove: () => rmSync(dir, { recursive: true, force: true }),
	}
}

/** No types but the language's own, and the package's declarations checked with the rest. */
const strictest = {
	target: 'ES2022',
	lib: ['ES2022'],
	types: [],
	strict: true,
	exactOptionalPropertyTypes: true,
	noUncheckedIndexedAccess: true,
	skipLibCheck: false,
}
