/**
 * Holds the layers of src together: a file imports from its own floor or from those below it, never in a circle, and the entries that must run
 * anywhere reach no module of Node's. Type-only imports count: a type that points up is a design that points up.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { entries } from '../tsup.config.ts'

/** Top floor first. A name without a slash is a file (`*` stands for any ending), a name with one is a folder and all it holds. */
const floors: readonly (readonly string[])[] = [
	[...entries, 'cli'],
	['cli/', 'testing/'],
	['copy/'],
	['http/', 'badge/'],
	['counter*'],
	['options', 'input', 'key-budget'],
	['flow/'],
	['stores/'],
	['visitors/'],
	['time/'],
	['sketches/'],
	['hash/'],
	['errors', 'clock', 'events'],
]

/** These run where there is no Node: in a browser, at the edge. */
const portable = ['index', 'sketches', 'testing', 'copy', 'badge']

/** Each file of a source folder with what it imports, both by path from that folder; packages and builtin modules by their name. */
export type Imports = ReadonlyMap<string, readonly string[]>

/** Reads every TypeScript file under `root`. */
export function readImports(root: string): Imports {
	const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
		.map((file) => file.replaceAll('\\', '/'))
		.filter((file) => file.endsWith('.ts'))
		.sort()
	return new Map(files.map((file) => [file, importsOf(file, readFileSync(join(root, file), 'utf8'))]))
}

/** The imports, re-exports and dynamic imports in `text`, the text of `file`. */
export function importsOf(file: string, text: string): string[] {
	const names = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
	return names.map((name) => (name.startsWith('.') ? join(dirname(file), name).replaceAll('\\', '/') : name))
}

/** One sentence for each thing that is wrong, none when all is well. */
export function checkLayers(imports: Imports): string[] {
	return [...upwardImports(imports), ...circles(imports), ...nodeImports(imports)]
}

function floorOf(file: string): number {
	const path = file.replace(/\.ts$/, '')
	return floors.findIndex((names) =>
		names.some((name) => {
			if (name.endsWith('/')) return path.startsWith(name)
			return name.endsWith('*') ? !path.includes('/') && path.startsWith(name.slice(0, -1)) : path === name
		}),
	)
}

function upwardImports(imports: Imports): string[] {
	const problems: string[] = []
	for (const [file, targets] of imports) {
		const floor = floorOf(file)
		if (floor === -1) {
			problems.push(
				`${file} has no floor: a face belongs in \`entries\` of tsup.config.ts, anything else in a folder of scripts/check-layers.ts`,
			)
			continue
		}
		for (const target of targets) {
			if (target === 'tallymark' || target.startsWith('tallymark/')) problems.push(`${file} imports its own package by name: ${target}`)
			if (!imports.has(target)) continue
			const below = floorOf(target)
			if (below !== -1 && below < floor)
				problems.push(`${file} (${floors[floor]?.join(', ')}) imports ${target} (${floors[below]?.join(', ')}), above it`)
		}
	}
	return problems
}

/** Each circle once, as the path that leads back to its start. */
function circles(imports: Imports): string[] {
	const problems: string[] = []
	const done = new Set<string>()
	const path: string[] = []
	const visit = (file: string): void => {
		const start = path.indexOf(file)
		if (start !== -1) problems.push(`circle: ${[...path.slice(start), file].join(' -> ')}`)
		if (start !== -1 || done.has(file)) return
		path.push(file)
		for (const target of imports.get(file) ?? []) if (imports.has(target)) visit(target)
		path.pop()
		done.add(file)
	}
	for (const file of imports.keys()) visit(file)
	return problems
}

/** The way from a portable entry to each module of Node's that it reaches. */
function nodeImports(imports: Imports): string[] {
	const problems: string[] = []
	for (const entry of portable.map((name) => `${name}.ts`)) {
		const seen = new Set<string>()
		const visit = (file: string, path: readonly string[]): void => {
			if (seen.has(file)) return
			seen.add(file)
			for (const target of imports.get(file) ?? []) {
				if (isBuiltin(target))
					problems.push(`${entry} must run without Node, and reaches ${target}: ${[...path, file, target].join(' -> ')}`)
				else if (imports.has(target)) visit(target, [...path, file])
			}
		}
		if (imports.has(entry)) visit(entry, [])
	}
	return problems
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const root = join(dirname(fileURLToPath(import.meta.url)), '..', 'src')
	const imports = readImports(root)
	const problems = checkLayers(imports)
	for (const name of entries) if (!existsSync(join(root, `${name}.ts`))) problems.push(`entry ${name} of tsup.config.ts has no ${name}.ts`)
	for (const problem of problems) console.error(problem)
	console.log(`layers: ${imports.size} files of ${relative(process.cwd(), root)}, ${problems.length} problems`)
	if (problems.length > 0) process.exitCode = 1
}
