/** Builds and packs the package once for all package tests: in a folder of its own, so that a build in the checkout is neither used nor disturbed. */

import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { run } from './run.ts'

declare module 'vitest' {
	interface ProvidedContext {
		packed: Packed
	}
}

/** The packed package, ready for `npm install`; or why there is none. */
export type Packed = { readonly tarball: string } | { readonly failure: string }

export const checkout = join(import.meta.dirname, '../../..')

export default function setup(project: TestProject): () => void {
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-pack-'))
	project.provide('packed', packed(dir))
	return () => rmSync(dir, { recursive: true, force: true })
}

/** A failure is handed to the tests that need the package: thrown here, it would keep all others from running. */
function packed(dir: string): Packed {
	try {
		run('npm', ['run', 'build', '--silent', '--', '--silent', '--out-dir', join(dir, 'dist')], checkout)
		for (const file of ['package.json', 'README.md', 'LICENSE']) cpSync(join(checkout, file), join(dir, file))
		run('npm', ['pack', '--silent', '--ignore-scripts'], dir)
		const tarball = readdirSync(dir).find((file) => file.endsWith('.tgz'))
		return tarball === undefined ? { failure: 'npm pack wrote no tarball' } : { tarball: join(dir, tarball) }
	} catch (error) {
		return { failure: String(error) }
	}
}
