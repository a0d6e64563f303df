/** Sees to it that the tests find a redis-server: many of them run against a real one. On Debian, as root, it installs a missing one by itself. */

import { spawnSync } from 'node:child_process'

const install = [
	['update', '-qq'],
	['install', '-qq', '-y', '--no-install-recommends', 'redis-server'],
]

function works(command: string, ...args: string[]): boolean {
	return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

const hasRedis = (): boolean => works('redis-server', '--version')

if (!hasRedis() && process.platform === 'linux' && process.getuid?.() === 0 && works('apt-get', '--version')) {
	console.log('redis-server is missing: installing it with apt-get')
	for (const args of install) {
		// A package's own service must not be started by the installation: the tests start and stop their own servers.
		const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
		spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env })
	}
}

if (!hasRedis()) {
	const command = process.platform === 'darwin' ? 'brew install redis' : 'sudo apt-get update && sudo apt-get install -y redis-server'
	console.error(`The tests need a redis-server on the PATH, and there is none. Install it with: ${command}`)
	process.exitCode = 1
}
