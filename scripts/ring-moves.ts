/**
 * The long run of moving partitions: `npm run ring:moves -- [minutes]` (default 10). On three real servers with append-only files, three writers count
 * without pause, three coordinators move partitions to nodes picked at random and are killed before a step picked at random, and every few seconds a
 * server is killed, its file torn back to what a loss of power would leave. In the end every key must have the hits it was given, no more and no less; and
 * a run of ten minutes or more must have had as much to bear as `floors` says.
 */
import type { MoveStep, MoveTask } from '../src/stores/redis/ring/move.ts'
import { ShardedRedisStore } from '../src/stores/redis/ring/sharded-store.ts'
import type { StoreEvent } from '../src/stores/store.ts'
import { Desk } from '../src/testing/contract/desk.ts'
import { RingBench } from '../test/stores/redis/ring/support.ts'
import { sleep, until } from '../test/stores/redis/support.ts'

const steps: readonly MoveStep[] = ['prepare', 'seal', 'awaitSeal', 'copy', 'activate', 'awaitActivation', 'publish', 'tombstone', 'remove']
const NODES = 3
const PARTITIONS = 24
const KEYS = 400
const VISITORS = 50
/** Besides the time that it takes a server to come back, one to two seconds. */
const CRASH_EVERY_MS = 3_000
/** Below the second that is waited for. */
const TORN_MS = 950

const FULL_MINUTES = 10
/** Of a full run. */
const floors = { moves: 300, nodeKills: 100, coordinatorKills: 100 }

const minutes = Number(process.argv[2] ?? FULL_MINUTES)
if (!(minutes > 0)) {
	console.error(`Expected a number of minutes above 0, got ${process.argv[2]}`)
	process.exit(2)
}
const end = Date.now() + minutes * 60_000
const random = (below: number) => Math.floor(Math.random() * below)

async function main(): Promise<boolean> {
	const bench = await RingBench.start(NODES, { partitions: PARTITIONS, fsync: 'everysec' })
	const nodes = bench.nodes.map(({ name }, i) => ({ name, client: bench.clients[i]! }))
	const limits = { partitions: PARTITIONS, readTimeoutMs: 1_000, writeTimeoutMs: 1_000 }
	const desk = new Desk(new ShardedRedisStore({ nodes, ...limits }), 'hyperloglog', false)
	const truth = new Map<string, number>()
	const events: StoreEvent[] = []
	const seen = { hits: 0, moves: 0, coordinatorKills: 0, nodeKills: 0, tornBytes: 0, longestHoldMs: 0 }
	const moved = new Set<string>()
	/** A move that comes as far as to be published has moved, whoever brings it to its end; one that was given up never does. */
	const note = (step: MoveStep, { partition, epoch }: MoveTask) => {
		if (step === 'publish') moved.add(`${partition} ${epoch}`)
		seen.moves = moved.size
	}
	const going = () => Date.now() < end

	const write = async () => {
		const writer = desk.open({ report: (event) => void events.push(event) })
		while (going()) {
			const hits = Array.from({ length: 20 }, () => ({
				key: `/${random(KEYS)}`,
				hits: 1 + random(3),
				visitors: [`visitor ${random(VISITORS)}`],
			}))
			await Promise.all(writer.batches(hits).map((batch) => until(async () => writer.session.apply(batch), 120_000)))
			for (const { key, hits: by } of hits) truth.set(key, (truth.get(key) ?? 0) + by)
			seen.hits += hits.reduce((sum, { hits: by }) => sum + by, 0)
			await sleep(10)
		}
	}
	const coordinate = async () => {
		while (going()) {
			const to = bench.nodes.filter(() => Math.random() < 0.6)
			if (to.length === 0) continue
			const killedBefore = Math.random() < 0.6 ? steps[random(steps.length)] : undefined
			let killed = false
			const onStep = (step: MoveStep, task: MoveTask) => {
				note(step, task)
				if (!killed && step !== killedBefore) return
				killed = true
				throw new Error('killed')
			}
			try {
				const report = await bench.rebalance(to, { namespace: desk.namespace, timeoutMs: 1_000, onStep })
				seen.longestHoldMs = Math.max(seen.longestHoldMs, report.longestHoldMs)
			} catch {
				// No node answered, for a moment.
				await sleep(200)
			}
			if (killed) seen.coordinatorKills++
		}
	}
	const crash = async () => {
		while (going()) {
			await sleep(CRASH_EVERY_MS / 2 + random(CRASH_EVERY_MS))
			seen.tornBytes += await bench.crash(random(NODES), random(TORN_MS))
			seen.nodeKills++
		}
	}
	const finish = () =>
		until(async () => {
			const { failed } = await bench.rebalance(bench.nodes, { namespace: desk.namespace, onStep: note })
			if (failed[0] !== undefined) throw failed[0].error
		}, 60_000)
	const ticker = setInterval(() => console.log(JSON.stringify(seen)), 30_000)
	// Writers whose partition was left sealed wait for somebody to finish.
	const disturbed = Promise.all([coordinate(), coordinate(), coordinate(), crash()]).then(finish)
	await Promise.all([write(), write(), write(), disturbed])
	clearInterval(ticker)

	const reader = desk.open()
	let lost = 0
	let doubled = 0
	for (const [key, hits] of truth) {
		const difference = (await reader.count(key)) - hits
		if (difference < 0) lost -= difference
		else doubled += difference
	}
	const all = await reader.all()
	const visitors = await reader.uniques('all')
	const rollbacks = events.filter(({ type }) => type === 'rollback').length
	const longestHoldMs = Math.round(seen.longestHoldMs)
	console.log(JSON.stringify({ ...seen, longestHoldMs, lost, doubled, all, visitors, rollbacks }))
	await desk.close()
	await bench.stop()
	const complaints: string[] = []
	if (lost > 0 || doubled > 0) complaints.push(`${lost} hits were lost and ${doubled} doubled`)
	if (all !== seen.hits) complaints.push(`All keys together have ${all} hits of ${seen.hits}`)
	if (visitors !== VISITORS) complaints.push(`${visitors} visitors were found of ${VISITORS}`)
	if (rollbacks > 0) complaints.push(`${rollbacks} times hits were reported as lost`)
	if (minutes >= FULL_MINUTES) {
		for (const [what, least] of Object.entries(floors)) {
			const number = seen[what as keyof typeof floors]
			if (number < least) complaints.push(`Too few ${what} to say anything: ${number} of at least ${least}`)
		}
	}
	for (const complaint of complaints) console.error(complaint)
	return complaints.length === 0
}

process.exitCode = (await main()) ? 0 : 1
process.exit()
