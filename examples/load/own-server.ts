/** An example server of the tool's own, in a process of its own, so that neither takes the other's processor time. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface OwnServer {
	readonly url: URL
	/** Resolves when the process has ended. */
	stop(): Promise<void>
}

const program = fileURLToPath(new URL('../server/main.ts', import.meta.url))

/** Rejects when it ends before it listens; why, it says itself. */
export async function startServer(): Promise<OwnServer> {
	const child = spawn(process.execPath, ['--import', 'tsx', program], {
		// What else the environment says holds for it too: REDIS_URL, API_KEY.
		env: { ...process.env, PORT: '0', HOST: '127.0.0.1', RATE_LIMIT: '' },
		stdio: ['ignore', 'pipe', 'inherit'],
	})
	// Whoever ends this process does not leave the server behind.
	const kill = () => child.kill('SIGKILL')
	process.once('exit', kill)
	const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
	const url = await new Promise<URL>((resolve, reject) => {
		createInterface(child.stdout).on('line', (line) => {
			const found = /http:\/\/\S+:\d+/.exec(line)
			if (found) resolve(new URL(found[0]))
		})
		void ended.then(() => reject(new Error('The server ended before it listened')))
	})
	return {
		url,
		async stop() {
			child.kill('SIGTERM')
			await ended
			process.off('exit', kill)
		},
	}
}
