import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { checkLayers, readImports } from '../../scripts/check-layers.ts'

const made: string[] = []
afterEach(() => {
	for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true })
})

/** The problems of a source folder that holds these files. */
function problemsOf(files: Record<string, string>): string[] {
	const root = mkdtempSync(join(tmpdir(), 'tallymark-layers-'))
	made.push(root)
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true })
		writeFileSync(join(root, path), text)
	}
	return checkLayers(readImports(root))
}

describe('the layer check', () => {
	test('finds nothing wrong with this package', () => {
		expect(checkLayers(readImports(join(import.meta.dirname, '../../src')))).toEqual([])
	})

	test('lets a file import from its own floor and from every floor below', () => {
		const problems = problemsOf({
			'index.ts': "export { Counter } from './counter.ts'",
			'counter.ts': "import { a } from './flow/a.ts'\nimport type { Store } from './stores/store.ts'\nimport './errors.ts'",
			'flow/a.ts': "import { b } from './b.ts'",
			'flow/b.ts': "import { BadInputError } from '../errors.ts'",
			'stores/store.ts': "import { LRUCache } from 'lru-cache'",
			'errors.ts': '',
		})
		expect(problems).toEqual([])
	})

	test.each([
		['an import', "import { Counter } from '../counter.ts'"],
		['a type-only import', "import type { Counter } from '../counter.ts'"],
		['a re-export', "export { Counter } from '../counter.ts'"],
		['a dynamic import', "export const load = () => import('../counter.ts')"],
	])('catches %s that points up', (_, text) => {
		expect(problemsOf({ 'counter.ts': '', 'stores/memory.ts': text })).toEqual([
			'stores/memory.ts (stores/) imports counter.ts (counter*), above it',
		])
	})

	test('catches a bottom file that imports the floor of the options', () => {
		expect(problemsOf({ 'options.ts': '', 'errors.ts': "import type { Options } from './options.ts'" })).toHaveLength(1)
	})

	test('prints a circle as the path that leads back to its start', () => {
		const problems = problemsOf({
			'time/a.ts': "import './b.ts'",
			'time/b.ts': "import type { C } from './c.ts'",
			'time/c.ts': "import './b.ts'",
		})
		expect(problems).toEqual(['circle: time/b.ts -> time/c.ts -> time/b.ts'])
	})

	test('catches a file that imports itself', () => {
		expect(problemsOf({ 'time/a.ts': "import './a.ts'" })).toEqual(['circle: time/a.ts -> time/a.ts'])
	})

	test.each(['node:fs', 'crypto'])('catches %s behind the core entry, and shows the way to it', (name) => {
		const files = {
			'index.ts': "export * from './hash/a.ts'",
			'hash/a.ts': `import x from '${name}'`,
			'stores/redis.ts': `import x from '${name}'`,
		}
		expect(problemsOf(files)).toEqual([`index.ts must run without Node, and reaches ${name}: index.ts -> hash/a.ts -> ${name}`])
	})

	test('catches a file without a floor, and an import of the package by its own name', () => {
		expect(problemsOf({ 'helpers.ts': '', 'time/a.ts': "import { x } from 'tallymark'" })).toEqual([
			expect.stringContaining('helpers.ts has no floor'),
			'time/a.ts imports its own package by name: tallymark',
		])
	})
})
