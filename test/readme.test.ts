import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { trackerNames } from '../src/visitors/trackers.ts'
import { RedisCluster } from './support/redis-cluster.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = join(root, '.cache', 'readme')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const snippets = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!)

/** A snippet as a program: its imports from the sources, and each `expression // => value` an assertion. */
function programOf(snippet: string): string {
	const body = snippet
		.replace(/from 'tallymark(?:\/(\w+))?'/g, (_, entry: string | undefined) => `from '../../src/${entry ?? 'index'}.ts'`)
		.replace(/^(.*?) \/\/ => (.*)$/gm, (_, expression: string, value: string) => `deepEqual(${expression}, ${value})`)
	return `import { deepStrictEqual as deepEqual } from 'node:assert'\n${body}`
}

describe('README', () => {
	let redis: RedisServer
	let cluster: RedisCluster
	beforeAll(async () => {
		redis = await startRedis()
		cluster = await RedisCluster.start({ replicas: 0 })
	}, 30_000)
	afterAll(async () => {
		await redis?.stop()
		await cluster?.stop()
		rmSync(folder, { recursive: true, force: true })
	})

	it('has snippets that assert something', () => {
		expect(snippets.length).toBeGreaterThanOrEqual(4)
		expect(snippets.join().match(/\/\/ => /g)?.length).toBeGreaterThan(15)
	})

	it.each(snippets.map((snippet, index) => [index + 1, snippet] as const))(
		'snippet %i runs and gives what it says',
		async (index, snippet) => {
			mkdirSync(folder, { recursive: true })
			const file = join(folder, `snippet-${index}.mts`)
			const here = snippet
				.replace(/redis:\/\/(?:localhost|one):6379/g, redis.url)
				.replace('redis://two:6379', `${redis.url}/1`)
				.replace('port: 7000', `port: ${cluster.members[0]!.port}`)
			writeFileSync(file, programOf(here))
			await promisify(execFile)(process.execPath, ['--import', 'tsx', file], { cwd: root })
		},
	)

	it('lists every error code with its cure', () => {
		const codes = readFileSync(join(root, 'src', 'errors.ts'), 'utf8').match(/ERR_TALLYMARK_\w+/g)!
		for (const code of new Set(codes)) expect(readme, code).toMatch(new RegExp(`^\\| \`${code}\` \\| .+ \\| .+ \\| .+ \\|$`, 'm'))
	})

	it('lists every option and every tracker', () => {
		const options = readFileSync(join(root, 'src', 'options.ts'), 'utf8').match(/interface CounterOptions \{(.*?)^\}/ms)![1]!
		for (const [, name] of options.matchAll(/readonly (\w+)\?/g)) expect(readme).toContain(`| \`${name}\` |`)
		for (const name of trackerNames) expect(readme).toContain(`| \`${name}\` |`)
	})

	it.each(['hit-counter', 'lane-of', 'fetch-counting', 'visitor', 'cookie-visitor'])('lists every option of http/%s', (file) => {
		const [, options] = /interface \w*Options\b[^\n]*\{\n(.*?)^\}/ms.exec(readFileSync(join(root, 'src', 'http', `${file}.ts`), 'utf8'))!
		const names = [...options!.matchAll(/^\treadonly (\w+)\??:/gm)].map(([, name]) => name)
		expect(names.length).toBeGreaterThan(1)
		for (const name of names) expect(readme, name).toMatch(new RegExp(`^\\| \`${name}\` \\|`, 'm'))
	})
})
