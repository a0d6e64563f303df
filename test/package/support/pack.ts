/** Builds and packs the package once for all package tests: in a folder of its own, so that a build in the checkout is neither used nor disturbed. */

import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { run } from './run.ts'

declare module 'vitest' {
	interface ProvidedContext {
		/** The packed package, ready for `npm install`. */
		tarball: string
	}
}

export const checkout = join(import.meta.dirname, '../../..')

export default function setup(project: TestProject): () => void {
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-pack-'))
	run('npm', ['run', 'build', '--silent', '--', '--silent', '--out-dir', join(dir, 'dist')], checkout)
	for (const file of ['package.json', 'README.md', 'LICENSE'])
		if (existsSync(join(checkout, file))) cpSync(join(checkout, file), join(dir, file))
	run('npm', ['pack', '--silent', '--ignore-scripts'], dir)
	const tarball = readdirSync(dir).find((file) => file.endsWith('.tgz'))
	if (tarball === undefined) throw new Error('npm pack wrote no tarball')
	project.provide('tarball', join(dir, tarball))
	return () => rmSync(dir, { recursive: true, force: true })
}
