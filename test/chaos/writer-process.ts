/** A writer as the campaign sees it: a process of its own. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import type { Orders } from './writer.ts'

/** The writer as one file: it starts in a fraction of the time. Answers its path and how to remove it. */
export async function bundleWriter(): Promise<{ script: string; remove: () => void }> {
	const outDir = mkdtempSync(join(tmpdir(), 'tallymark-chaos-writer-'))
	await build({
		config: false,
		entry: { writer: fileURLToPath(new URL('./writer.ts', import.meta.url)) },
		outDir,
		format: 'cjs',
		target: 'node20',
		platform: 'node',
		noExternal: [/.*/],
		silent: true,
	})
	return { script: join(outDir, 'writer.cjs'), remove: () => rmSync(outDir, { recursive: true, force: true }) }
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
	for (const child of running) child.kill('SIGKILL')
})

export class WriterProcess {
	readonly log: string
	readonly #child: ChildProcess
	readonly #gone: Promise<unknown>
	#isGone = false
	#heard = new Set<string>()
	#errors = ''
	#end = ''

	constructor(script: string, log: string) {
		this.log = log
		this.#child = fork(script, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] })
		running.add(this.#child)
		this.#child.stderr?.on('data', (chunk) => {
			this.#errors = (this.#errors + chunk).slice(-2_000)
		})
		this.#child.on('message', (message) => this.#heard.add(String(message)))
		// Not 'exit': what it said last may come after that.
		this.#gone = once(this.#child, 'close').then(([code, signal]) => {
			this.#isGone = true
			this.#end = `${signal ?? code}`
			running.delete(this.#child)
		})
	}

	ready(): Promise<void> {
		return this.#hear('ready')
	}

	start(orders: Omit<Orders, 'log'>): void {
		this.#child.send({ ...orders, log: this.log })
	}

	/** The load need not last longer. */
	enough(): void {
		this.#child.send('enough')
	}

	/** Everything in the plan is counted. */
	counted(): Promise<void> {
		return this.#hear('counted')
	}

	async close(): Promise<void> {
		this.#child.send('close')
		await this.#hear('closed')
		await this.#gone
	}

	async kill(): Promise<void> {
		this.#child.kill('SIGKILL')
		await this.#gone
	}

	async #hear(message: string): Promise<void> {
		while (!this.#heard.has(message)) {
			if (this.#isGone) throw new Error(`A writer ended (${this.#end}) instead of saying '${message}': ${this.#errors}`)
			await Promise.race([once(this.#child, 'message'), this.#gone])
		}
	}
}
