/** Newer versions of Node, from npm: kept in .cache/nodes/<major> of the checkout, fetched when they are absent. */

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkout } from './pack.ts'
import { run } from './run.ts'

/** The path of the Node of that major version, or the reason why there is none. */
export type NodeBinary = { readonly path: string } | { readonly reason: string }

const running = Number(process.versions.node.split('.')[0])

export function findNode(major: number): NodeBinary {
	if (major === running) return { path: process.execPath }
	const name = `node-${process.platform}-${process.arch}`
	const home = join(checkout, '.cache/nodes', String(major))
	const path = join(home, 'node_modules', name, 'bin', 'node')
	if (!existsSync(path)) {
		const failure = fetchNode(`${name}@${major}`, home)
		if (!existsSync(path)) return { reason: failure ?? `${name}@${major} holds no bin/node` }
	}
	const version = run(path, ['--version'], checkout).trim()
	return version.startsWith(`v${major}.`) ? { path } : { reason: `${path} is ${version}` }
}

function fetchNode(spec: string, home: string): string | undefined {
	const parent = join(home, '..')
	mkdirSync(parent, { recursive: true })
	// Fetched aside and renamed: a run beside this one never sees half a Node.
	const aside = mkdtempSync(join(parent, 'fetch-'))
	try {
		run('npm', ['install', '--prefix', aside, '--no-audit', '--no-fund', '--prefer-offline', spec], aside)
		rmSync(home, { recursive: true, force: true })
		renameSync(aside, home)
		return undefined
	} catch (error) {
		return `npm cannot install ${spec}: ${String(error).slice(0, 500)}`
	} finally {
		rmSync(aside, { recursive: true, force: true })
	}
}
