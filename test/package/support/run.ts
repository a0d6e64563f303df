import { spawnSync } from 'node:child_process'

/** Runs a command to its end and answers its standard output; a failure throws with all that it printed. */
export function run(command: string, args: readonly string[], cwd: string): string {
	// What npm hands to its children (its configuration, the name of the running script) must not reach the npm that a test starts.
	const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) && name !== 'NODE_OPTIONS'))
	const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
	if (error !== undefined) throw error
	if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
	return stdout
}
