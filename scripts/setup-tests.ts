/**
 * Sees to it that the tests find what they run against: a real redis-server, a Chromium for the example's dashboard, and a C compiler for a server's
 * clock, without which a few tests are skipped. On Debian, as root, it installs what is missing by itself.
 */
import { spawnSync } from 'node:child_process'
import { chromiumPath } from '../test/support/chromium.ts'
import { compilers } from '../test/support/other-clock.ts'

interface Tool {
	readonly name: string
	readonly present: () => boolean
	/** What Debian calls it. */
	readonly debian: string
	/** Homebrew's command for it; undefined: the tests that need it are skipped without it. */
	readonly homebrew: string | undefined
}

const tools: readonly Tool[] = [
	{
		name: 'redis-server',
		present: () => works('redis-server', '--version'),
		debian: 'redis-server',
		homebrew: 'brew install redis',
	},
	{
		name: 'chromium',
		present: () => chromiumPath() !== undefined,
		debian: 'chromium',
		homebrew: 'brew install --cask google-chrome',
	},
	{
		name: 'C compiler',
		present: () => compilers.some((compiler) => works(compiler, '-v')),
		debian: 'tcc',
		homebrew: undefined,
	},
]

function works(command: string, ...args: string[]): boolean {
	return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

function aptGet(...args: string[]): void {
	// A package's own service must not be started by the installation: the tests start and stop their own servers.
	const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
	spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env })
}

const missing = () => tools.filter(({ present }) => !present())

const wanted = missing()
if (wanted.length > 0 && process.platform === 'linux' && process.getuid?.() === 0 && works('apt-get', '--version')) {
	console.log(`${wanted.map(({ name }) => name).join(' and ')} missing: installing with apt-get`)
	aptGet('update', '-qq')
	aptGet('install', '-qq', '-y', '--no-install-recommends', ...wanted.map(({ debian }) => debian))
}

for (const { name, debian, homebrew } of missing()) {
	if (homebrew === undefined) continue
	const command = process.platform === 'darwin' ? homebrew : `sudo apt-get update && sudo apt-get install -y ${debian}`
	console.error(`The tests need a ${name} on the PATH, and there is none. Install it with: ${command}`)
	process.exitCode = 1
}
