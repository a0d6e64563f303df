import { type ChildProcess, spawn } from 'node:child_process'
import { onTestFinished, vi } from 'vitest'

/** Headers of somebody who is counted as human. */
export const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' }

export interface ExampleServer {
	readonly port: number
	readonly url: string
	readonly process: ChildProcess
	/** The first line it printed. */
	readonly greeting: string
	/** What it printed so far, on both streams. */
	output(): string
	/** What it holds in memory when all garbage is collected, bytes. */
	held(): Promise<number>
	/** Resolves when the process has ended and all that it printed was read. */
	readonly ended: Promise<{ readonly code: number | null; readonly totals: { hits: number; pages: number; unstored: number } | undefined }>
}

/** Runs a TypeScript program of the project in a process of its own, with nothing in between that would swallow a signal. */
export function runProgram(
	file: string,
	args: readonly string[] = [],
	env: Readonly<Record<string, string>> = {},
	node: readonly string[] = [],
): ChildProcess {
	const { PORT, HOST, ...inherited } = process.env
	const child = spawn(process.execPath, [...node, '--import', 'tsx', file, ...args], {
		env: { ...inherited, ...env },
		stdio: ['ignore', 'pipe', 'pipe'],
	})
	onTestFinished(() => void child.kill('SIGKILL'))
	return child
}

/** All that a program printed, once it has ended. */
export async function outputOf(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
	let [stdout, stderr] = ['', '']
	child.stdout!.setEncoding('utf8').on('data', (text) => {
		stdout += text
	})
	child.stderr!.setEncoding('utf8').on('data', (text) => {
		stderr += text
	})
	const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
	return { code, stdout, stderr }
}

/** Runs in the server's process: collects the garbage and says what is left, when it is asked to by a signal. */
const tellsHeld = `process.on('SIGUSR2', () => {
	gc()
	gc()
	const { heapUsed, arrayBuffers } = process.memoryUsage()
	console.log('held ' + (heapUsed + arrayBuffers) + ' bytes')
})`

/** The example server on a free port, once it listens. */
export async function exampleServer(env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Promise<ExampleServer> {
	const node = ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(tellsHeld)}`]
	const child = runProgram('examples/server/main.ts', args, { PORT: '0', ...env }, node)
	let text = ''
	child.stderr!.setEncoding('utf8').on('data', (piece) => {
		text += piece
	})
	const ended = new Promise<number | null>((resolve) => child.once('close', resolve)).then((code) => {
		const found = /^hits total (\d+), pages (\d+), unstored (\d+)$/m.exec(text)
		return { code, totals: found ? { hits: Number(found[1]), pages: Number(found[2]), unstored: Number(found[3]) } : undefined }
	})
	const greeting = await new Promise<string>((resolve, reject) => {
		child.stdout!.setEncoding('utf8').on('data', (piece) => {
			text += piece
			const [first, ...more] = text.split('\n')
			if (more.length > 0) resolve(first!)
		})
		child.once('close', (code) => reject(new Error(`The server ended with ${code}: ${text}`)))
	})
	const held = async () => {
		const from = text.length
		child.kill('SIGUSR2')
		const said = () => /^held (\d+) bytes$/m.exec(text.slice(from))
		await vi.waitUntil(said, { timeout: 10_000 })
		return Number(said()![1])
	}
	const url = /http:\/\/\S+:\d+/.exec(greeting)![0]
	return { port: Number(new URL(url).port), url, process: child, greeting, output: () => text, held, ended }
}
