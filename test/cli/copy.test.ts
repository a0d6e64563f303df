import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyCommand } from '../../src/cli/copy.ts'
import type { Io } from '../../src/cli/io.ts'
import { compare } from '../../src/copy.ts'
import { Counter, type CounterOptions, MemoryStore, type Store } from '../../src/index.ts'
import { RedisStore, ShardedRedisStore } from '../../src/redis.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

let servers: RedisServer[]
let folder: string

beforeAll(async () => {
	servers = await Promise.all([startRedis(), startRedis(), startRedis()])
	folder = mkdtempSync(join(tmpdir(), 'tallymark-cli-'))
})

afterAll(async () => {
	rmSync(folder, { recursive: true, force: true })
	await Promise.all(servers.map((server) => server.stop()))
})

let last = 0
const fresh = () => `cli-${++last}`

/** `keys` keys, counted at once. Answers a store of the same. */
async function filled(url: string, namespace: string, keys: number, options: CounterOptions = {}): Promise<Store> {
	const memory = new MemoryStore()
	// One moment for both, or a minute could end in between.
	const at = Date.now()
	for (const store of [new RedisStore(url), memory]) {
		const counter = new Counter({ ...options, store, namespace })
		for (let i = 0; i < keys; i++) for (const visitor of ['ada', `v${i % 7}`]) await counter.hit(`/${i}`, { visitor, at })
		await counter.close()
	}
	return memory
}

interface Said {
	readonly code: number
	readonly out: string
	readonly errors: string
	readonly progress: readonly string[]
}

/** Runs the command in this process; `during` is told each line of progress, with a way to interrupt. */
async function run(line: string, during: (progress: string, interrupt: () => void) => void = () => {}): Promise<Said> {
	const out: string[] = []
	const errors: string[] = []
	const progress: string[] = []
	let interrupt = () => {}
	const io: Io = {
		print: (text) => void out.push(text),
		complain: (text) => void errors.push(text),
		progress: (text) => {
			progress.push(text)
			during(text, interrupt)
		},
		onInterrupt: (act) => {
			interrupt = act
			return () => {
				interrupt = () => {}
			}
		},
	}
	const code = await copyCommand(line.split(' '), io)
	return { code, out: out.join('\n'), errors: errors.join('\n'), progress }
}

describe('tallymark copy', () => {
	it('from one Redis to another, and says that both sides are the same', async () => {
		const namespace = fresh()
		const memory = await filled(servers[0]!.url, namespace, 50, {
			uniques: 'bloom',
			uniquesPer: ['total', 'hour'],
			trendHalfLifeMs: 3_600_000,
		})
		const { code, out, progress } = await run(`--from ${servers[0]!.url} --to ${servers[1]!.url} --namespace ${namespace} --partitions 5`)
		expect(out).toContain(`redis://127.0.0.1:${servers[0]!.port} to redis://127.0.0.1:${servers[1]!.port}: 50 keys, 250 numbers`)
		expect(out).toContain('the same on both sides: 50 keys')
		expect(code).toBe(0)
		expect(progress).toContainEqual(
			expect.stringMatching(/^\[#{10}\.{10}\] copied 8\/16 partitions, \d+ keys, \d+ numbers, \d+ sketches, 0\.\d MB, \d+\.\d s left$/),
		)
		const settings = { uniques: 'bloom', uniquesPer: ['total', 'hour'], trendHalfLifeMs: 3_600_000 } as const
		const to = new RedisStore(servers[1]!.url, { partitions: 5 })
		expect(await compare({ ...settings, from: memory, to, namespace })).toMatchObject({ different: 0, keys: 50 })
	})

	it('goes on where it was interrupted, and has nothing to do when it is finished', async () => {
		const namespace = fresh()
		const memory = await filled(servers[0]!.url, namespace, 40)
		const line = `--from ${servers[0]!.url} --to ${servers[1]!.url} --namespace ${namespace}`
		const first = await run(line, (progress, interrupt) => {
			if (progress.includes('copied 9/16')) interrupt()
		})
		expect(first).toMatchObject({ code: 130, errors: 'Interrupted: the same command goes on' })
		const second = await run(line)
		expect(second.progress[0]).toContain('copied 9/16')
		expect(second.out).toMatch(/the rest of an interrupted copy\nthe same on both sides: 40 keys/)
		expect(second.code).toBe(0)
		expect(await compare({ from: memory, to: new RedisStore(servers[1]!.url), namespace })).toMatchObject({ different: 0 })
		const third = await run(line)
		expect(third.out).toContain('was copied before; --overwrite copies it anew')
		expect(third.code).toBe(0)
	})

	it('refuses another source where one was copied to: another database, another ring', async () => {
		const namespace = fresh()
		const [one, two] = [`${servers[0]!.url}/1`, `${servers[0]!.url}/2`]
		await filled(one, namespace, 5)
		await filled(two, namespace, 7)
		const to = `--to ${servers[1]!.url} --namespace ${namespace} --no-verify`
		expect(await run(`--from ${one} ${to}`)).toMatchObject({ code: 0 })
		const { code, errors } = await run(`--from ${two} ${to}`)
		expect(code).toBe(1)
		expect(errors).toContain(`of redis:127.0.0.1:${servers[0]!.port}/2/${namespace}), got a copy of redis:127.0.0.1:${servers[0]!.port}/1/`)
		const ring = (name: string, url: string) => `redis-ring:${name}=${url}`
		await run(`--from ${one} --to ${ring('x', `${servers[2]!.url}/1`)} --namespace ${namespace}`)
		await run(`--from ${two} --to ${ring('y', `${servers[2]!.url}/2`)} --namespace ${namespace}`)
		const second = `--to ${servers[1]!.url} --namespace ${namespace} --to-namespace ${namespace}-r`
		expect(await run(`--from ${ring('x', `${servers[2]!.url}/1`)} ${second}`)).toMatchObject({ code: 0 })
		const other = await run(`--from ${ring('y', `${servers[2]!.url}/2`)} ${second}`)
		expect(other).toMatchObject({ code: 1, errors: expect.stringContaining('got a copy of redis:ring x/') })
		const anew = await run(`--from ${ring('y', `${servers[2]!.url}/2`)} ${second} --overwrite`)
		expect(anew).toMatchObject({ code: 0, out: expect.stringContaining('the same on both sides: 7 keys') })
	})

	it.each(['backup.tmk', 'backup.tmk.gz'])('into %s, and out of it into a ring', async (name) => {
		const namespace = fresh()
		const memory = await filled(servers[0]!.url, namespace, 30)
		const file = join(folder, name)
		const saved = await run(`--from ${servers[0]!.url} --to file:${file} --namespace ${namespace}`)
		expect(saved).toMatchObject({ code: 0, out: expect.stringMatching(/^saved 30 keys, 150 numbers, .* MB$/) })
		const text = (name.endsWith('.gz') ? gunzipSync(readFileSync(file)) : readFileSync(file)).toString()
		expect(text).toMatch(/^{"tallymark":1,.*\n\["end"\]\n$/s)
		expect(existsSync(`${file}.part`)).toBe(false)
		const ring = `a=${servers[1]!.url},b=${servers[2]!.url}`
		const restored = await run(`--from file:${file} --to redis-ring:${ring} --to-namespace ${namespace}-r`)
		expect(restored).toMatchObject({
			code: 0,
			out: `${file} to redis-ring:a,b: 30 keys, 150 numbers, ${/\d+ sketches, .*/.exec(restored.out)}`,
		})
		const nodes = [
			{ name: 'a', url: servers[1]!.url },
			{ name: 'b', url: servers[2]!.url },
		]
		expect(await compare({ from: memory, to: new ShardedRedisStore({ nodes }), namespace, toNamespace: `${namespace}-r` })).toMatchObject({
			different: 0,
			keys: 30,
		})
		const back = await run(`--from redis-ring:${ring} --to ${servers[0]!.url} --namespace ${namespace}-r`)
		expect(back).toMatchObject({ code: 0, out: expect.stringContaining('the same on both sides: 30 keys') })
	})

	it('into a file leaves none when it is interrupted, and begins anew', async () => {
		const namespace = fresh()
		await filled(servers[0]!.url, namespace, 30)
		const file = join(folder, 'interrupted.tmk.gz')
		const line = `--from ${servers[0]!.url} --to file:${file} --namespace ${namespace}`
		const first = await run(line, (progress, interrupt) => {
			if (progress.includes('saved 9/16')) interrupt()
		})
		expect(first).toMatchObject({ code: 130, errors: 'Interrupted: nothing is saved, and the same command begins anew' })
		expect([existsSync(file), existsSync(`${file}.part`)]).toEqual([false, false])
		const second = await run(line)
		expect(second.progress[0]).toContain(' saved 0/16 ')
		expect(second).toMatchObject({ code: 0, out: expect.stringContaining('saved 30 keys') })
		expect((await run('--help')).out).toContain('into a file it begins anew')
	})

	it('out of a file is no further than what has been restored, and goes on where it was interrupted', async () => {
		const namespace = fresh()
		await filled(servers[0]!.url, namespace, 30)
		const file = join(folder, 'small.tmk')
		await run(`--from ${servers[0]!.url} --to file:${file} --namespace ${namespace}`)
		const line = `--from file:${file} --to ${servers[1]!.url} --to-namespace ${namespace}`
		const first = await run(line, (progress, interrupt) => {
			if (progress.includes('restored 12/16')) interrupt()
		})
		expect(first).toMatchObject({ code: 130, errors: 'Interrupted: the same command goes on' })
		for (const progress of first.progress) {
			const [, bar, done] = /^\[(#*)\.*\] restored (\d+)\/16 /.exec(progress)!
			expect(bar!.length).toBe(Math.round((Number(done) / 16) * 20))
		}
		const second = await run(line)
		expect(second.progress[0]).toContain('restored 12/16')
		expect(second.progress.at(-1)).toMatch(/^\[#{20}\] restored 16\/16 /)
		expect(second).toMatchObject({ code: 0, out: expect.stringContaining('the rest of an interrupted copy') })
	})

	it('refuses a file that is cut', async () => {
		const namespace = fresh()
		await filled(servers[0]!.url, namespace, 30)
		const file = join(folder, 'cut.tmk')
		await run(`--from ${servers[0]!.url} --to file:${file} --namespace ${namespace}`)
		truncateSync(file, 2_000)
		const { code, errors } = await run(`--from file:${file} --to ${servers[1]!.url} --to-namespace ${namespace}-r`)
		expect(errors).toMatch(/^Expected line \d+ of the snapshot to be .*cut/)
		expect(code).toBe(1)
	})

	it('says what differs when the target has been counted in', async () => {
		const namespace = fresh()
		await filled(servers[0]!.url, namespace, 5)
		const line = `--from ${servers[0]!.url} --to ${servers[1]!.url} --namespace ${namespace}`
		await run(`${line} --no-verify`)
		const counter = new Counter({ store: new RedisStore(servers[1]!.url), namespace })
		await counter.hit('/3', { by: 10 })
		await counter.close()
		const { code, errors } = await run(line)
		expect(code).toBe(1)
		expect(errors).toMatch(/^\d+ differ of 5 keys.*\n.*"\/3" \(human, /s)
		expect(await run(`${line} --overwrite`)).toMatchObject({ code: 0, out: expect.stringContaining('the same on both sides') })
	})

	it.each([
		['--overwrite', /^Expected --from and --to/],
		['--from redis://127.0.0.1:1', /^Expected --from and --to/],
		['--from http://x --to file:y', /^Expected `--from` to be one of/],
		['--from file:x --to file:y', /^Expected `--from` or `--to` to be a store/],
		['--from redis-ring:x --to file:y', /^Expected a node of a ring to be/],
		['--from file:/nowhere/x --to redis://127.0.0.1:1', /ENOENT/],
		['--nonsense', /nonsense/],
	])('refuses `%s`', async (line, why) => {
		const { code, errors } = await run(line)
		expect(errors).toMatch(why)
		expect(code).toBe(1)
	})

	it('tells that a namespace is not there, and prints no password', async () => {
		const { code, errors } = await run(`--from redis://user:secret@127.0.0.1:${servers[0]!.port} --to file:${folder}/x --namespace nobody`)
		expect(code).toBe(1)
		expect(errors).not.toContain('secret')
		const none = await run(`--from ${servers[0]!.url} --to file:${folder}/x --namespace nobody`)
		expect(none.errors).toBe(`Expected redis://127.0.0.1:${servers[0]!.port} to have a namespace 'nobody', got none`)
	})

	it.each([
		['redis://user:secret@127.0.0.1:1/2', 'redis://127.0.0.1:1/2 is not available: connect ECONNREFUSED 127.0.0.1:1'],
		['redis-ring:redis://user:secret@127.0.0.1:1', 'redis://127.0.0.1:1 is not available: connect ECONNREFUSED 127.0.0.1:1'],
		['redis-cluster:redis://user:secret@127.0.0.1:1', 'cluster redis://127.0.0.1:1 is not available: None of startup nodes is available'],
	])('says which server cannot be reached, and why, of %s', async (place, message) => {
		expect(await run(`--from ${place} --to file:${folder}/x`)).toMatchObject({ code: 1, errors: message })
	})

	it('prints its help', async () => {
		expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('redis-cluster:host:port') })
	})
})

describe('npx tallymark', () => {
	const start = (line: string): ChildProcess =>
		spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('../../src/cli.ts', import.meta.url)), ...line.split(' ')])
	const end = (child: ChildProcess) =>
		new Promise<{ code: number | null; text: string; errors: string }>((resolve) => {
			let [text, errors] = ['', '']
			for (const stream of [child.stdout!, child.stderr!]) {
				stream.on('data', (chunk: Buffer) => {
					text += chunk.toString()
					if (stream === child.stderr) errors += chunk.toString()
				})
			}
			child.on('close', (code) => resolve({ code, text, errors }))
		})

	it('copy stops on Ctrl-C and goes on', async () => {
		const namespace = fresh()
		const memory = await filled(servers[0]!.url, namespace, 500)
		const line = `copy --from ${servers[0]!.url} --to ${servers[2]!.url} --namespace ${namespace}`
		const child = start(line)
		child.stderr!.once('data', () => {
			// Held up at its first write, so that it cannot be through before the signal is there.
			servers[2]!.pause()
			child.kill('SIGINT')
			servers[2]!.resume()
		})
		expect(await end(child)).toMatchObject({ code: 130, text: expect.stringContaining('the same command goes on') })
		expect(await end(start(line))).toMatchObject({ code: 0, text: expect.stringContaining('the same on both sides: 500 keys') })
		expect(await compare({ from: memory, to: new RedisStore(servers[2]!.url), namespace })).toMatchObject({ different: 0 })
	})

	it('names its commands when it is given none', async () => {
		expect(await end(start('nonsense'))).toMatchObject({ code: 1, errors: expect.stringMatching(/^Usage: tallymark .*copy/) })
		expect(await end(start('--help'))).toMatchObject({ code: 0, text: expect.stringMatching(/^Usage: tallymark .*copy/), errors: '' })
	})
})
