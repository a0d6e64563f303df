import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import type { Io } from '../../src/cli/io.ts'
import { rebalanceCommand } from '../../src/cli/rebalance.ts'
import { RingBench } from '../stores/redis/ring/support.ts'
import { until } from '../stores/redis/support.ts'

let bench: RingBench
const running = new Set<ChildProcess>()
afterEach(async () => {
	for (const child of running) child.kill('SIGKILL')
	await bench.stop()
})

function tallymark(...args: string[]) {
	const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli.ts', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
	running.add(child)
	const said = { out: '', err: '' }
	child.stdout.on('data', (chunk) => {
		said.out += chunk
	})
	child.stderr.on('data', (chunk) => {
		said.err += chunk
	})
	const ended = once(child, 'close').then(([code]) => {
		running.delete(child)
		return { code: code as number | null, ...said }
	})
	return { child, said, ended }
}

const nodes = (...names: string[]) =>
	names.map((name) => `${name}=redis://:secret@127.0.0.1:${bench.servers['abcd'.indexOf(name)]!.port}`).join(',')
const rebalance = (from: string, to: string, ...more: string[]) =>
	tallymark('rebalance', '--namespace', bench.desk.namespace, '--from', from, '--to', to, ...more)

/** The same in this process. */
async function run(...args: string[]) {
	const said = { out: '', err: '', progress: [] as string[] }
	const io: Io = {
		print: (line) => {
			said.out += `${line}\n`
		},
		complain: (line) => {
			said.err += `${line}\n`
		},
		progress: (line) => void said.progress.push(line),
		onInterrupt: () => () => {},
	}
	return { code: await rebalanceCommand(args, io), ...said }
}

const runRebalance = (from: string, to: string, ...more: string[]) =>
	run('--namespace', bench.desk.namespace, '--from', from, '--to', to, ...more)

it('prints the plan, then moves, and tells clients of the new nodes without their passwords', async () => {
	bench = await RingBench.start(3, { partitions: 6 })
	await bench.fill()
	const before = await bench.everything()
	const plan = [
		'node  before   after   gives   takes',
		'a          6       2       4       0',
		'b          0       2       0       2',
		'c          0       2       0       2',
	]
	const dry = await runRebalance(nodes('a'), nodes('a', 'b', 'c'), '--dry-run')
	expect(dry).toEqual({ code: 0, out: [...plan, '4 of 6 partitions are to be moved', ''].join('\n'), err: '', progress: [] })
	expect(await bench.everything()).toEqual(before)
	expect(await bench.contents(0)).toEqual(before)

	const done = await runRebalance(nodes('a'), nodes('a', 'b', 'c'))
	expect(done.code).toBe(0)
	expect(done.out).toContain([...plan, '4 of 6 partitions are to be moved', 'moved 4 partitions, '].join('\n'))
	expect(done.progress[0]).toBe('[....................] 0/4 partitions, 0 keys, 0.0 MB')
	expect(done.progress.at(-1)).toMatch(/^\[#{20}\] 4\/4 partitions, [\d,]+ keys, 0\.\d MB, 0\.0 s left$/)
	expect(await bench.everything()).toEqual(before)
	const published = JSON.parse((await bench.clients[2]!.hget(bench.keys.placement, 'nodes'))!.replace(/^\d+:/, ''))
	expect(published.nodes).toEqual(
		['a', 'b', 'c'].map((name, i) => ({ name, weight: 1, address: expect.stringMatching(`^redis://127.0.0.1:${bench.servers[i]!.port}`) })),
	)
	const again = await runRebalance(nodes('a', 'b', 'c'), nodes('a', 'b', 'c'), '--weight', 'a=1')
	expect(again).toMatchObject({ code: 0, out: expect.stringContaining('the 6 partitions are where they should be') })
})

it('on Ctrl-C brings to its end what is on its way; run again, it does the rest', async () => {
	bench = await RingBench.start(2, { partitions: 3, fsync: 'everysec' })
	await bench.fill()
	const before = await bench.everything()
	const { child, ended } = rebalance(nodes('a', 'b'), nodes('b'), '--parallel', '1')
	await until(async () => expect((await Promise.all([0, 1, 2].map((p) => bench.own(p)))).flat()).toContain('S:2:b'), 20_000)
	child.kill('SIGINT')
	const first = await ended
	expect(first.code).toBe(130)
	expect(first.out).toContain('moved 1 partition,')
	expect(first.err).toContain('Interrupted with 2 partitions left: the same command goes on')
	expect((await bench.owners()).toSorted()).toEqual(['a', 'a', 'b'])
	expect(await bench.everything()).toEqual(before)
	const second = await rebalance(nodes('a', 'b'), nodes('b')).ended
	expect(second).toMatchObject({ code: 0, out: expect.stringContaining('moved 2 partitions') })
	expect(await bench.contents(1)).toEqual(before)
}, 60_000)

it('killed with a partition sealed, it is finished by the next run', async () => {
	bench = await RingBench.start(2, { partitions: 2, fsync: 'everysec' })
	await bench.fill()
	const before = await bench.everything()
	const { child, ended } = rebalance(nodes('a', 'b'), nodes('b'))
	await until(async () => expect(await bench.own(1)).toContain('S:2:b'), 20_000)
	child.kill('SIGKILL')
	await ended
	const next = await rebalance(nodes('a', 'b'), nodes('b')).ended
	expect(next).toMatchObject({
		code: 0,
		out: expect.stringMatching(/\d moves? begun earlier, to be finished first.*moved 2 partitions/s),
	})
	expect(await bench.contents(1)).toEqual(before)
}, 60_000)

it('says what it cannot do, and fails', async () => {
	bench = await RingBench.start(2, { partitions: 2 })
	const cases = [
		[runRebalance(nodes('a'), nodes('b')), /has no placement on a, b/],
		[runRebalance('nonsense', nodes('b')), /Expected `--from` to be redis:\/\/host:port/],
		[run('--from', nodes('a')), /Expected --from and --to/],
		[runRebalance(nodes('a'), nodes('b'), '--weight', 'b'), /Expected `--weight` to be/],
		[runRebalance(nodes('a'), nodes('b'), '--parallel', '0'), /Expected `parallel` to be a whole number from 1 to 64/],
		[runRebalance(nodes('a'), nodes('b'), '--unknown'), /unknown/i],
	] as const
	for (const [result, message] of cases) {
		const { code, err } = await result
		expect([code, err]).toEqual([1, expect.stringMatching(message)])
		expect(err).not.toContain('secret')
	}
	expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('--dry-run') })
	await bench.fill()
	await bench.servers[1]!.kill()
	const down = await runRebalance(nodes('a'), nodes('b'))
	expect(down.code).toBe(1)
	expect(down.err).toMatch(/^partition 0 from a to b: b is not available: .*ECONNREFUSED/m)
	expect(await bench.own(0).catch(() => bench.clients[0]!.get(bench.keys.own(0)))).toBe(bench.active(1))
}, 60_000)
