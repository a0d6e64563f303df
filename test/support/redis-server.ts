/**
 * A real redis-server for tests: started on a free port, without persistence unless asked for, and gone when the test process is. REDIS_SERVER=/path/to/one
 * in the environment starts another than that of the PATH: another version, or a Valkey.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface RedisServerOptions {
	/** More words for the command line, such as `['--maxmemory', '10mb']`; a later word wins over an earlier one. Its log must stay on stdout. */
	readonly args?: readonly string[]
	/** The port to listen on; a free one by default. Give the old port (and `dir`) to start a stopped server again. */
	readonly port?: number
	/** Working directory of the server, left in place on stop. By default a fresh one under the system's, removed on stop. */
	readonly dir?: string
	/** More for its environment. */
	readonly env?: Readonly<Record<string, string>>
	/** How long to wait until it is ready. @default 10_000 */
	readonly readyMs?: number
}

export interface RedisServer {
	readonly port: number
	readonly url: string
	readonly dir: string
	readonly pid: number
	/** Ends the server with `signal` (default SIGKILL: nothing in a test needs a graceful end) and resolves when it is gone. Safe to call twice. */
	stop(signal?: NodeJS.Signals): Promise<void>
	/** Stops the server from answering (SIGSTOP) without closing its connections, as a hung machine would. */
	pause(): void
	/** Undoes {@link pause}. */
	resume(): void
}

const program = process.env['REDIS_SERVER'] || 'redis-server'
const running = new Set<ChildProcess>()
process.on('exit', () => {
	for (const child of running) child.kill('SIGKILL')
})

/** Starts a redis-server and resolves when it is ready for connections. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
	const { args = [], dir, env = {}, readyMs = 10_000 } = options
	// Between finding a port and listening on it another process can take it: then the server exits, and another port is tried.
	for (let attempt = 1; ; attempt++) {
		const port = options.port ?? (await freePort())
		try {
			return await launch(port, dir, args, env, readyMs)
		} catch (error) {
			if (options.port !== undefined || attempt === 5 || !/exited/.test(String(error))) throw error
		}
	}
}

async function launch(
	port: number,
	givenDir: string | undefined,
	args: readonly string[],
	env: Readonly<Record<string, string>>,
	readyMs: number,
): Promise<RedisServer> {
	const dir = givenDir ?? mkdtempSync(join(tmpdir(), 'tallymark-redis-'))
	const removeDir = () => {
		if (givenDir === undefined) rmSync(dir, { recursive: true, force: true })
	}
	const words = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no', ...args]
	const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
	let log = ''
	let failure: Error | undefined
	let sayReady = () => {}
	// The server's own word, not a PONG: on a port that is taken, a stranger would give the PONG.
	const ready = new Promise<void>((resolve) => {
		sayReady = resolve
	})
	const keep = (chunk: Buffer) => {
		log = (log + chunk.toString()).slice(-4_000)
		if (log.includes('Ready to accept connections')) sayReady()
	}
	child.stdout.on('data', keep)
	child.stderr.on('data', keep)
	const gone = new Promise<void>((resolve) => {
		child.once('error', (error: NodeJS.ErrnoException) => {
			failure =
				error.code === 'ENOENT'
					? new Error(`${program} is not there, and these tests need a real one: apt-get install redis-server`)
					: error
			resolve()
		})
		child.once('exit', (code, signal) => {
			failure ??= new Error(`${program} on port ${port} exited (${signal ?? code}): ${log}`)
			running.delete(child)
			resolve()
		})
	})
	running.add(child)
	const stop = async (signal: NodeJS.Signals = 'SIGKILL') => {
		if (failure === undefined) {
			child.kill(signal)
			if (signal !== 'SIGKILL') child.kill('SIGCONT')
			await gone
		}
		removeDir()
	}
	let timer: NodeJS.Timeout | undefined
	const late = new Promise<void>((resolve) => {
		timer = setTimeout(() => {
			failure ??= new Error(`${program} did not get ready within ${readyMs} ms: ${log}`)
			resolve()
		}, readyMs)
	})
	await Promise.race([ready, gone, late])
	clearTimeout(timer)
	if (failure !== undefined) {
		running.delete(child)
		child.kill('SIGKILL')
		removeDir()
		throw failure
	}
	return {
		port,
		url: `redis://127.0.0.1:${port}`,
		dir,
		pid: child.pid as number,
		stop,
		pause: () => void child.kill('SIGSTOP'),
		resume: () => void child.kill('SIGCONT'),
	}
}

/**
 * A port nobody listens on at this moment, and none that the system gives to connections that go out (on Linux from 32,768 on): a server that is started
 * again must find its port free.
 */
export async function freePort(): Promise<number> {
	for (let attempt = 1; ; attempt++) {
		const port = 15_000 + Math.floor(Math.random() * 17_000)
		if (await isFree(port)) return port
		if (attempt === 100) throw new Error('no free port from 15,000 to 32,000')
	}
}

function isFree(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = createServer()
		probe.once('error', () => resolve(false))
		probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
	})
}
