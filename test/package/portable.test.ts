import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { build } from 'tsup'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { importsOf } from '../../scripts/check-layers.ts'
import { type Consumer, createConsumer } from './support/consumer.ts'

let consumer: Consumer
beforeAll(() => {
	consumer = createConsumer(inject('packed'), 'module')
})
afterAll(() => consumer?.remove())

/** What every JavaScript runtime of the web has; no process, no Buffer, no require, no module of Node's. */
const webGlobals = { setTimeout, clearTimeout, TextEncoder, TextDecoder, performance, AbortController, AbortSignal, crypto, console }

test('the core counts where there is no Node: bundled for a browser, in a context of its own', async () => {
	consumer.write(
		'main.js',
		`
		import { Counter } from 'tallymark'
		import { HyperLogLog } from 'tallymark/sketches'
		const counter = new Counter()
		globalThis.answer = counter.hit('/home', { visitor: 'ada' }).then(() => counter.stats('/home'))
		globalThis.sketch = HyperLogLog
		`,
	)
	await build({
		config: false,
		silent: true,
		entry: [join(consumer.dir, 'main.js')],
		outDir: join(consumer.dir, 'bundle'),
		format: 'iife',
		platform: 'browser',
		noExternal: [/./],
	})
	const code = readFileSync(join(consumer.dir, 'bundle/main.global.js'), 'utf8')
	expect(code).not.toMatch(/["']node:/)
	const context = createContext({ ...webGlobals })
	runInContext(code, context)
	expect(await context['answer']).toMatchObject({ key: '/home', hits: 1, servedBy: 'memory' })
})

test.each(['index', 'sketches', 'testing', 'badge'])('no file behind %s names a module of Node, in either format', (entry) => {
	for (const extension of ['js', 'cjs']) {
		const seen = new Set<string>()
		const visit = (file: string): void => {
			if (seen.has(file)) return
			seen.add(file)
			const text = readFileSync(join(consumer.dir, 'node_modules/tallymark/dist', file), 'utf8')
			for (const name of importsOf(file, text)) {
				if (name.includes('chunk-')) visit(name)
				else expect(name, `imported by ${file}`).toBe('lru-cache')
			}
		}
		visit(`${entry}.${extension}`)
	}
})
