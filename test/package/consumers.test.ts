import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { entries } from '../../tsup.config.ts'
import { type Consumer, createConsumer } from './support/consumer.ts'
import { findNode } from './support/nodes.ts'
import { checkout } from './support/pack.ts'

const names = entries.map((name) => (name === 'index' ? 'tallymark' : `tallymark/${name}`))

/** Counts a hit and prints what it reads back; written so that it is JavaScript and TypeScript alike. */
const program = `
const main = async () => {
	const counter = new Counter()
	await counter.hit('/home', { visitor: 'ada' })
	console.log(JSON.stringify([await counter.count('/home'), await counter.uniques('/home')]))
	await counter.close()
}
main()
`
const printed = JSON.stringify([1, { value: 1, exact: true, error: 0 }])

let esm: Consumer
let cjs: Consumer
beforeAll(() => {
	esm = createConsumer(inject('packed'), 'module')
	cjs = createConsumer(inject('packed'), 'commonjs')
	esm.write('main.js', `import { Counter } from 'tallymark'\n${program}`)
	cjs.write('main.js', `const { Counter } = require('tallymark')\n${program}`)
})
afterAll(() => {
	esm?.remove()
	cjs?.remove()
})

describe.each([20, 22, 24, 26])('on Node %i', (major) => {
	test('counts a hit as an ES module and as CommonJS', ({ skip }) => {
		const node = findNode(major)
		if ('reason' in node) {
			if (process.env['CI'] !== undefined) throw new Error(`There is no Node ${major} to test with: ${node.reason}`)
			return skip(node.reason)
		}
		expect(esm.node('main.js', node.path)).toBe(printed)
		expect(cjs.node('main.js', node.path)).toBe(printed)
	})
})

test('holds the build, the README and the license, and nothing else', () => {
	const installed = join(esm.dir, 'node_modules/tallymark')
	expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json'])
})

test('installs nothing but itself and lru-cache', () => {
	const installed = readdirSync(join(esm.dir, 'node_modules')).filter((name) => !name.startsWith('.'))
	expect(installed.sort()).toEqual(['lru-cache', 'tallymark'])
})

test('every entry loads with import and with require, without the optional peers, and offers the same names in both', () => {
	esm.write(
		'names.js',
		`${names.map((name, i) => `import * as e${i} from '${name}'`).join('\n')}\nconst all = [${names.map((_, i) => `e${i}`)}]\n${printNames}`,
	)
	cjs.write('names.js', `const all = [${names.map((name) => `require('${name}')`)}]\n${printNames}`)
	const offered = esm.node('names.js')
	expect(cjs.node('names.js')).toBe(offered)
	expect(JSON.parse(offered)).not.toContainEqual([])
})

const printNames = "console.log(JSON.stringify(all.map((entry) => Object.keys(entry).filter((name) => name !== '__esModule').sort())))"

describe('TypeScript without skipLibCheck counts a hit', () => {
	const source = `import { Counter } from 'tallymark'\ndeclare const console: { log(text: string): void }\n${program}`
	const everything = names.map((name, i) => `import * as e${i} from '${name}'`).join('\n')
	const cases = [
		['as an ES module under NodeNext', () => esm, { module: 'NodeNext' }],
		['as CommonJS under NodeNext', () => cjs, { module: 'NodeNext' }],
		['under moduleResolution bundler', () => esm, { module: 'ESNext', moduleResolution: 'bundler' }],
		['with the libraries of a browser', () => esm, { module: 'ESNext', moduleResolution: 'bundler', lib: ['ES2023', 'DOM'] }],
	] as const
	test.each(cases)('%s', (name, consumer, options) => {
		const out = name.replace(/\W+/g, '-')
		consumer().write(`${out}.ts`, `${source}${everything}\nexport const all = [${names.map((_, i) => `e${i}`)}]`)
		consumer().compile(out, [`${out}.ts`], options)
		expect(consumer().node(`${out}/${out}.js`)).toBe(printed)
	})
})

test('the published types stop the mistakes that those of the sources stop', () => {
	const dir = join(checkout, 'test/types')
	const files = readdirSync(dir).map((file) => `types/${file}`)
	for (const consumer of [esm, cjs]) {
		for (const file of files) {
			const source = readFileSync(join(checkout, 'test', file), 'utf8')
			consumer.write(
				file,
				source.replace(/'\.\.\/\.\.\/src\/(\w+)\.ts'/g, (_, name) => (name === 'index' ? "'tallymark'" : `'tallymark/${name}'`)),
			)
		}
		consumer.compile('types', files, { module: 'NodeNext', noEmit: true })
	}
})

describe('errors', () => {
	test('thrown by a counter that was made in a subpath are those of the root, in CommonJS too', () => {
		const check = `
			let caught
			try { sketches.HyperLogLog.fromRedis(new Uint8Array(3)) } catch (error) { caught = error }
			console.log(caught instanceof root.TallymarkError, caught instanceof root.BadInputError, caught && caught.code)
		`
		cjs.write('errors.js', `const root = require('tallymark')\nconst sketches = require('tallymark/sketches')\n${check}`)
		esm.write('errors.js', `import * as root from 'tallymark'\nimport * as sketches from 'tallymark/sketches'\n${check}`)
		expect(cjs.node('errors.js')).toBe('true true ERR_TALLYMARK_SKETCH')
		expect(esm.node('errors.js')).toBe('true true ERR_TALLYMARK_SKETCH')
	})

	test('are told by isTallymarkError across the ESM and the CommonJS copy', () => {
		esm.write(
			'copies.js',
			`
			import { createRequire } from 'node:module'
			import * as imported from 'tallymark'
			const required = createRequire(import.meta.url)('tallymark')
			const thrownBy = ({ Counter }) => { try { new Counter({ namespace: 5 }) } catch (error) { return error } }
			console.log(
				imported.Counter === required.Counter,
				imported.isTallymarkError(thrownBy(required)),
				required.isTallymarkError(thrownBy(imported)),
				imported.isTallymarkError(new Error('another')),
			)
			`,
		)
		expect(esm.node('copies.js')).toBe('false true true false')
	})
})
