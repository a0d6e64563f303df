/**
 * The fault campaign: writers count through a network and on a Redis that both fail in every way we know, then all is counted again.
 * `npm run chaos -- --schedules 1000 --seed 1 --parallel 3`; `--faults torn,cut` for some kinds only, `--control naive` or `--control no-sequences` for
 * what must be seen failing. Ends with status 1 when a hit was lost or doubled, or a key stays for ever that should not. Schedule i of a campaign has the seed `<seed>:<i>`; `--only 17` runs that one.
 *
 * `--target cluster`: the schedules are of a Redis Cluster, each 20 slot moves, 2 failovers and 20 faults of links under load (`--moves`, `--failovers`,
 * `--link-faults`, `--load-ms`), so that `--schedules 10` are 200, 20 and 200; in some a writer dies with a master. `--target ring`: of a ring of three servers, whose partitions are moved by
 * one or two coordinators three times (`--moves`). The control of both is `--control no-sequences`.
 */
import { stderr } from 'node:process'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import { describe, runCampaign, type Totals } from '../test/chaos/campaign.ts'
import { clusterPlanOf } from '../test/chaos/cluster-plan.ts'
import { clusterKinds, type Kind, kinds, linkKinds, type Plan, planOf, ringKinds } from '../test/chaos/plan.ts'
import { levels } from '../test/chaos/recount.ts'
import { ringPlanOf } from '../test/chaos/ring-plan.ts'
import type { Target } from '../test/chaos/target.ts'

const { values } = parseArgs({
	options: {
		schedules: { type: 'string', default: '100' },
		seed: { type: 'string', default: '1' },
		parallel: { type: 'string', default: '2' },
		faults: { type: 'string' },
		control: { type: 'string' },
		only: { type: 'string' },
		target: { type: 'string', default: 'redis' },
		moves: { type: 'string' },
		failovers: { type: 'string', default: '2' },
		'link-faults': { type: 'string', default: '20' },
		'load-ms': { type: 'string' },
	},
})

function whole(name: string, value: string, least = 1): number {
	const number = Number(value)
	if (!Number.isInteger(number) || number < least) refuse(`Expected --${name} to be a whole number from ${least}, got ${value}`)
	return number
}

function refuse(message: string): never {
	console.error(message)
	process.exit(2)
}

const schedules = whole('schedules', values.schedules)
const parallel = whole('parallel', values.parallel)
const faults = values.faults?.split(',')
for (const kind of faults ?? [])
	if (!(kinds as readonly string[]).includes(kind)) refuse(`Expected --faults to be some of ${kinds.join(', ')}, got ${kind}`)
const { control } = values
if (control !== undefined && control !== 'naive' && control !== 'no-sequences')
	refuse(`Expected --control to be naive or no-sequences, got ${control}`)
if (values.target !== 'redis' && control === 'naive') refuse(`Expected --target redis with --control naive, got ${values.target}`)
if (values.target === 'cluster' && faults !== undefined) refuse('Expected --target cluster without --faults')
const target = targetOf(values.target, control)
const all: readonly Kind[] = (faults as Kind[] | undefined) ?? kinds

function targetOf(store: string, control: 'naive' | 'no-sequences' | undefined): Target {
	if (store === 'redis') return control ?? 'redis'
	if (store === 'cluster' || store === 'ring') return control === undefined ? store : `${store}-no-sequences`
	return refuse(`Expected --target to be redis, cluster or ring, got ${store}`)
}

function planFor(i: number): Plan {
	const seed = `${values.seed}:${i}`
	// In turns, so that each kind happens at least that often.
	const surely = [all[i % all.length]!]
	if (values.target === 'redis') return planOf(seed, { kinds: all, surely, crowds: true })
	const moves = values.moves === undefined ? undefined : whole('moves', values.moves, 0)
	const loadMs = values['load-ms'] === undefined ? undefined : whole('load-ms', values['load-ms'], 1_000)
	if (values.target === 'ring') return ringPlanOf(seed, { kinds: all, surely, rebalances: moves, loadMs })
	const failover = clusterKinds[1 + (i % (clusterKinds.length - 1))]
	return clusterPlanOf(seed, {
		moves,
		failovers: whole('failovers', values.failovers, 0),
		linkFaults: whole('link-faults', values['link-faults'], 0),
		loadMs,
		surely: failover,
		killsWriter: i % 8 < 4 && (failover === 'takeOver' || failover === 'killMaster'),
	})
}
const numbers = values.only === undefined ? Array.from({ length: schedules }, (_, i) => i) : [whole('only', values.only, 0)]
const plans = numbers.map(planFor)

// First of all: a campaign that does not come to its end can be had again too.
const which = plans.length === 1 ? `schedule ${plans[0]!.seed}` : `schedules ${plans[0]!.seed} to ${plans.at(-1)!.seed}`
console.log(`${target}, seed ${values.seed}: ${which}, ${parallel} at a time`)

/** Bad schedules; what is wrong with the first few says it. */
const worthPrinting = 20

const bar = new SingleBar({
	format: 'chaos [{bar}] {value}/{total}, {faults} faults, {hits} hits, lost {lost}, doubled {doubled}, bad {bad}, {eta_formatted} left',
	stream: stderr,
	noTTYOutput: true,
	notTTYSchedule: 10_000,
	etaBuffer: 20,
})
const figures = ({ faults, hits, lost, doubled, bad }: Totals) => ({ faults, hits, lost, doubled, bad })
bar.start(plans.length, 0, { faults: 0, hits: 0, lost: 0, doubled: 0, bad: 0 })
const { totals, byKind, ms } = await runCampaign({
	target,
	plans,
	parallel,
	onResult: (result, soFar) => {
		if (result.complaints.length > 0 && soFar.bad <= worthPrinting) console.log(`\n${describe(result)}\n`)
		bar.update(soFar.schedules, figures(soFar))
	},
})
bar.stop()

const cells = (...texts: (string | number)[]) =>
	texts.map((text, i) => (i === 0 ? String(text).padEnd(16) : String(text).padStart(12))).join('')
console.log(cells('schedules with', 'schedules', 'happened', 'hits', 'lost', 'doubled', 'bad'))
for (const kind of [...kinds, ...clusterKinds, ...ringKinds]) {
	const row = byKind.get(kind)
	if (row === undefined) continue
	const { schedules, hits, lost, doubled, bad } = row.totals
	console.log(cells(kind, schedules, row.happened, hits, lost, doubled, bad))
}
const { hits, lost, doubled, duplicates, retries, compared, reported } = totals
console.log(cells('all', totals.schedules, totals.faults, hits, lost, doubled, totals.bad))
console.log(`\nlost/doubled: ${levels.map((level) => `${level} ${totals.levels[level].lost}/${totals.levels[level].doubled}`).join(', ')}`)
console.log(
	`${compared} numbers compared; ${retries} attempts failed and were made again, ${duplicates} answered as duplicates; ${reported} hits lost and reported`,
)
const happened = (some: readonly Kind[]) => some.reduce((sum, kind) => sum + (byKind.get(kind)?.happened ?? 0), 0)
if (values.target === 'cluster')
	console.log(
		`under load: ${happened(['moveSlot'])} slot moves, ${happened(clusterKinds) - happened(['moveSlot'])} failovers, ${happened(linkKinds)} link faults`,
	)
if (values.target === 'ring') console.log(`${totals.moves} partitions moved, by ${happened(ringKinds)} rebalances under load`)
console.log(`${target}, seed ${values.seed}: ${totals.schedules} schedules in ${Math.round(ms / 1_000)} s, ${totals.bad} bad`)
process.exit(totals.bad > 0 ? 1 : 0)
