import { type ChildProcess, spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'

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
	/** Resolves when the process has ended and all that it printed was read. */
	readonly ended: Promise<{ readonly code: number | null; readonly totals: { hits: number; pages: number; unstored: number } | undefined }>
}

/** Runs a TypeScript program of the project in a process of its own, with nothing in between that would swallow a signal. */
export function runProgram(file: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): ChildProcess {
	const { PORT, HOST, ...inherited } = process.env
	const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], {
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

/** The example server on a free port, once it listens. */
export async function exampleServer(env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Promise<ExampleServer> {
	const child = runProgram('examples/server/main.ts', args, { PORT: '0', ...env })
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
	const url = /http:\/\/\S+:\d+/.exec(greeting)![0]
	return { port: Number(new URL(url).port), url, process: child, greeting, output: () => text, ended }
}
