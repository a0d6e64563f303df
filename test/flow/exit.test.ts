/** What only a process of its own can show: that nothing of ours keeps it alive, and that nothing of ours ends it. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const src = new URL('../../src/', import.meta.url).href

/** Runs `lines` as a module; answers what it printed when it has ended by itself. Rejects when it ends with another code than 0, or not in time. */
async function ran(lines: string): Promise<string> {
	const script = `
		import { Counter } from '${src}counter.ts'
		import { MemoryStore } from '${src}stores/memory.ts'
		import { FaultyStore } from '${src}testing/faulty-store.ts'
		${lines}`
	const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
		cwd: fileURLToPath(new URL('../..', import.meta.url)),
		timeout: 20_000,
	})
	return stdout
}

test('a process with hits that wait for a store that cannot be reached ends by itself', async () => {
	expect(
		await ran(`
			const store = new FaultyStore(new MemoryStore())
			store.down = true
			const counter = new Counter({ store, batch: { maxWaitMs: 50 } })
			for (let n = 0; n < 100; n++) counter.hit('/' + n)
			counter.flush().catch(() => {})
			setTimeout(() => console.log(store.calls('apply') > 0, store.calls('apply') < 20), 300)
		`),
	).toBe('true true\n')
})

test('a process whose store never answers ends by itself, reads and marks under way or not', async () => {
	expect(
		await ran(`
			const store = new FaultyStore(new MemoryStore(), { plan: () => 'hang' })
			const counter = new Counter({ store, cooldownMs: 1000, maxKeys: 5 })
			counter.hit('/a')
			counter.hit('/a', { visitor: 'ada' })
			counter.flush()
			counter.count('/a')
			counter.health()
			console.log('done')
		`),
	).toBe('done\n')
})

test('a hit that is refused, and that nobody looks at, does not end the process', async () => {
	expect(
		await ran(`
			const counter = new Counter()
			counter.hit('')
			counter.hit('/a', { by: -1 })
			counter.hit('/a', null)
			const down = new FaultyStore(new MemoryStore())
			down.down = true
			const marked = new Counter({ store: down, cooldownMs: 1000, onError() { throw new Error('of onError') } })
			marked.on('error', () => { throw new Error('of a listener') })
			marked.hit('/a', { visitor: 'ada' })
			marked.hit('/a', { id: '1', visitor: 'ada' })
			const unbatched = new Counter({ store: down, batch: false })
			unbatched.hit('/a')
			unbatched.close({ timeoutMs: 10 })
			const closed = new Counter()
			closed.close()
			closed.hit('/a')
			setTimeout(() => console.log('alive'), 200)
		`),
	).toBe('alive\n')
})

test('a listener and an onError that fail later do not end the process', async () => {
	expect(
		await ran(`
			const counter = new Counter({ onError: async () => { throw new Error('of onError') } })
			counter.on('error', async () => { throw new Error('of a listener') })
			counter.on('flush', async () => { throw new Error('of a listener') })
			counter.hit('')
			counter.hit('/a')
			await counter.flush()
			setTimeout(async () => console.log(await counter.count('/a')), 50)
		`),
	).toBe('1\n')
})
