/** Runs one schedule: a server, a proxy, some writers, and what befalls them; then everything heals and is counted again. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lastingImmortals } from './immortals.ts'
import type { Fault, Plan, Track, WriterPlan } from './plan.ts'
import { type Recount, recount } from './recount.ts'
import { ringStand } from './ring-stand.ts'
import { type CleanUp, clusterStand, type Stand, serverStand } from './stand.ts'
import { isCluster, isComplete, isRing, type Place, type Target } from './target.ts'
import { truthOf } from './truth.ts'
import { readLog, type WriterStory } from './writer-log.ts'
import { WriterProcess } from './writer-process.ts'

export interface ScheduleResult {
	readonly plan: Plan
	/** undefined where it could not be run to its end, which is bad as well. */
	readonly recount: Recount | undefined
	readonly hits: number
	/** Attempts to store a batch that failed, and answers that it was there already. */
	readonly retries: number
	readonly duplicates: number
	/** In a ring: partitions that moved. */
	readonly moves: number
	/** Everything that makes it bad, in words; empty for a good one. */
	readonly complaints: readonly string[]
	readonly ms: number
}

/** From the first look at the clock to the start of the load. */
const headStartMs = 50
const longestMs = 60_000

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export async function runSchedule(plan: Plan, target: Target, script: string): Promise<ScheduleResult> {
	const began = Date.now()
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-chaos-logs-'))
	const cleanUp: CleanUp = [() => rmSync(dir, { recursive: true, force: true })]
	let timer: NodeJS.Timeout | undefined
	try {
		const late = new Promise<never>((_, reject) => {
			const ms = (plan.lasting === true ? 2 : 1) * longestMs + 3 * plan.loadMs
			timer = setTimeout(() => reject(new Error(`The schedule was not through after ${ms} ms`)), ms)
		})
		const run = runOn(plan, target, script, dir, cleanUp)
		const { recount, stories, truth, moves } = await Promise.race([run, late])
		const sum = (field: 'retries' | 'duplicates') => stories.reduce((all, { summary }) => all + (summary?.[field] ?? 0), 0)
		return {
			plan,
			recount,
			hits: truth.hits,
			retries: sum('retries'),
			duplicates: sum('duplicates'),
			moves,
			complaints: complaintsOf(plan, recount, stories),
			ms: Date.now() - began,
		}
	} catch (error) {
		const complaint = error instanceof Error ? (error.stack ?? error.message) : String(error)
		return { plan, recount: undefined, hits: 0, retries: 0, duplicates: 0, moves: 0, complaints: [complaint], ms: Date.now() - began }
	} finally {
		clearTimeout(timer)
		for (const each of cleanUp.reverse()) await each()
	}
}

async function runOn(plan: Plan, target: Target, script: string, dir: string, cleanUp: CleanUp) {
	const writers = plan.writers.map(({ name }) => new WriterProcess(script, join(dir, name)))
	cleanUp.push(() => Promise.all(writers.map((writer) => writer.kill())))
	const isKilled = (i: number) => plan.writers[i]!.killedAtMs !== undefined
	const killWriter = async () => {
		await Promise.all(writers.filter((_, i) => isKilled(i)).map((writer) => writer.kill()))
	}
	const stand = await standOf(plan, target, killWriter, cleanUp)
	await Promise.all(writers.map((writer) => writer.ready()))

	const start = Date.now() + headStartMs
	for (const [i, writer] of writers.entries()) writer.start({ target, plan, writer: i, place: known(stand.place, plan.writers[i]!), start })
	const survivors = writers.filter((_, i) => !isKilled(i))
	const faulty = faults(stand, plan.faults, start).then(() => {
		for (const writer of survivors) writer.enough()
	})
	await Promise.all([faulty, ...survivors.map((writer) => writer.counted())])

	await stand.heal()
	const immortal = isComplete(target) ? await lastingImmortals(stand.healthy()) : []
	await Promise.all(survivors.map((writer) => writer.close()))
	const stories = writers.map(({ log }) => readLog(log))
	const truth = truthOf(plan, start, stories, isComplete(target))
	const rollbacks = stories.flatMap(({ rollbacks }) => rollbacks)
	const ended = stories.flatMap(({ summary }) => summary?.writer ?? [])
	const counted = await recount({ target, plan, start, place: stand.healthy(), truth, rollbacks, survivors: ended, immortal })
	return { stories, truth, recount: counted, moves: stand.moves?.() ?? 0 }
}

function standOf(plan: Plan, target: Target, killWriter: () => Promise<void>, cleanUp: CleanUp): Promise<Stand> {
	if (isCluster(target)) return clusterStand(plan, killWriter, cleanUp)
	return isRing(target) ? ringStand(plan, killWriter, cleanUp) : serverStand(plan, killWriter, cleanUp)
}

/** What a writer is told: of a ring, not always all of it. */
function known(place: Place, { knows }: WriterPlan): Place {
	return typeof place === 'object' && 'ring' in place ? { ring: place.ring.slice(0, knows) } : place
}

/** Those of the link, of the server, of the writers and of the coordinators: each in a row, one after the other. */
async function faults(stand: Stand, all: readonly Fault[], start: number): Promise<void> {
	const inARow = async (some: readonly Fault[]) => {
		for (const fault of some) {
			await wait(Math.max(0, start + fault.atMs - Date.now()))
			await stand.befall(fault)
		}
	}
	const tracks: readonly Track[] = ['link', 'server', 'writer', 'mover']
	await Promise.all(tracks.map((track) => inARow(all.filter((fault) => fault.track === track))))
}

function complaintsOf(plan: Plan, { differences, details }: Recount, stories: readonly WriterStory[]): string[] {
	const complaints: string[] = []
	if (Object.values(differences).some(({ lost, doubled }) => lost > 0 || doubled > 0)) complaints.push(...details)
	for (const [i, { summary, errors }] of stories.entries()) {
		const { name, killedAtMs } = plan.writers[i]!
		if (killedAtMs === undefined && summary === undefined) complaints.push(`writer ${name} did not come to its end`)
		if (summary !== undefined && summary.unstored > 0) complaints.push(`writer ${name} could not store ${summary.unstored} hits`)
		// The last one may say why nothing could be stored.
		for (const error of new Set([...errors.slice(0, 4), ...errors.slice(-1)])) complaints.push(`writer ${name}: ${error}`)
	}
	return complaints
}
