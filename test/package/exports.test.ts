import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { entries } from '../../tsup.config.ts'
import { checkout } from './support/pack.ts'

const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
const subpaths = entries.filter((name) => name !== 'index')

test('package.json exports every entry of tsup.config.ts, each with types for import and for require, and nothing else', () => {
	const wanted = entries.map((name) => [
		name === 'index' ? '.' : `./${name}`,
		{
			import: { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` },
			require: { types: `./dist/${name}.d.cts`, default: `./dist/${name}.cjs` },
		},
	])
	expect(manifest.exports).toEqual({ ...Object.fromEntries(wanted), './package.json': './package.json' })
})

test('the old ways of finding an entry lead to the same files', () => {
	expect(manifest).toMatchObject({ main: './dist/index.cjs', module: './dist/index.js', types: './dist/index.d.cts' })
	expect(manifest.typesVersions).toEqual({ '*': Object.fromEntries(subpaths.map((name) => [name, [`./dist/${name}.d.cts`]])) })
})

test('development dependencies are pinned, and every peer is optional and tested at a version in its range', () => {
	for (const [name, version] of Object.entries(manifest.devDependencies)) expect(version, name).toMatch(/^(?:npm:[@\w/-]+@)?\d+\.\d+\.\d+$/)
	expect(Object.keys(manifest.peerDependenciesMeta)).toEqual(Object.keys(manifest.peerDependencies))
	for (const name of Object.keys(manifest.peerDependencies)) {
		expect(manifest.peerDependenciesMeta[name]).toEqual({ optional: true })
		expect(manifest.devDependencies).toHaveProperty(name)
	}
})

test('every face in src is an entry', () => {
	expect(readdirSync(join(checkout, 'src'))).toEqual(expect.arrayContaining(entries.map((name) => `${name}.ts`)))
})
