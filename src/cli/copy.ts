/** `tallymark copy`: numbers from one place to another, or into a file and back. */
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createGunzip, createGzip } from 'node:zlib'
import { type CompareReport, compare } from '../copy/compare.ts'
import { type CopyReport, copy } from '../copy/copy.ts'
import type { NumbersOptions } from '../copy/opened.ts'
import type { CopyProgress } from '../copy/progress.ts'
import { restore } from '../copy/restore.ts'
import { snapshot } from '../copy/snapshot.ts'
import { BadInputError, isTallymarkError } from '../errors.ts'
import type { StoredSettings } from '../stores/redis/meta.ts'
import type { Store } from '../stores/store.ts'
import { trackerOfKind } from '../visitors/trackers.ts'
import type { Io } from './io.ts'
import { type Place, placeOf, places, type StorePlace } from './place.ts'

export const help = `tallymark copy --from PLACE --to PLACE [options]

  Copies hits, visitors and trends. The settings are read from the source; nobody may count in the target meanwhile.
  Interrupted, the same command goes on; into a file it begins anew. Exact when nobody counts in the source; otherwise each
  number is one that it had.

PLACE is one of
${places.replaceAll(/^/gm, '  ')}

  --namespace NAME      of the counters (default tm)
  --to-namespace NAME   in the target (default the same)
  --partitions N        of the target, where it has no numbers yet
  --overwrite           forget what the target has
  --no-verify           do not compare both sides at the end
`

const options = {
	from: { type: 'string' },
	to: { type: 'string' },
	namespace: { type: 'string', default: 'tm' },
	'to-namespace': { type: 'string' },
	partitions: { type: 'string' },
	overwrite: { type: 'boolean', default: false },
	'no-verify': { type: 'boolean', default: false },
	help: { type: 'boolean', default: false },
} as const

/** Exit codes: done; something is wrong, or the numbers differ; interrupted, run it again. */
const OK = 0
const WRONG = 1
const INTERRUPTED = 130

interface Task {
	readonly namespace: string
	readonly toNamespace: string
	readonly partitions: number | undefined
	readonly overwrite: boolean
	readonly verify: boolean
	readonly signal: AbortSignal
	readonly io: Io
}

/** Answers the exit code. */
export async function copyCommand(argv: readonly string[], io: Io): Promise<number> {
	const stop = new AbortController()
	const forget = io.onInterrupt(() => stop.abort())
	let interrupted = 'Interrupted: the same command goes on'
	try {
		const { values } = parseArgs({ args: [...argv], options })
		if (values.help) {
			io.print(help)
			return OK
		}
		if (values.from === undefined || values.to === undefined)
			throw new BadInputError('ERR_TALLYMARK_OPTION', `Expected --from and --to\n\n${help}`)
		const { namespace } = values
		const task: Task = {
			namespace,
			toNamespace: values['to-namespace'] ?? namespace,
			partitions: values.partitions === undefined ? undefined : Number(values.partitions),
			overwrite: values.overwrite,
			verify: !values['no-verify'],
			signal: stop.signal,
			io,
		}
		const [from, to] = [placeOf('from', values.from), placeOf('to', values.to)]
		if (to.kind === 'file') interrupted = 'Interrupted: nothing is saved, and the same command begins anew'
		return await run(from, to, task)
	} catch (error) {
		if (stop.signal.aborted) {
			io.complain(interrupted)
			return INTERRUPTED
		}
		const isOurs = isTallymarkError(error) || (error as { code?: unknown } | undefined)?.code !== undefined
		io.complain(isOurs ? (error as Error).message : String((error as Error)?.stack ?? error))
		return WRONG
	} finally {
		forget()
	}
}

async function run(from: Place, to: Place, task: Task): Promise<number> {
	if (from.kind === 'file' && to.kind === 'file')
		throw new BadInputError('ERR_TALLYMARK_OPTION', 'Expected `--from` or `--to` to be a store, got two files')
	if (from.kind === 'file') return fromFile(from.path, to as StorePlace, task)
	const settings = await from.settings(task.namespace)
	if (settings === undefined)
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', `Expected ${from.name} to have a namespace '${task.namespace}', got none`)
	const source = from.open(settings.partitions)
	if (to.kind === 'file') return toFile(source, numbersOf(settings), to.path, task)
	const { io, namespace, toNamespace, overwrite, signal } = task
	const target = await openTarget(to, task)
	const sides = { ...numbersOf(settings), from: source, to: target, namespace, toNamespace, signal }
	tell(io, `${from.name} to ${to.name}`, await copy({ ...sides, overwrite, onProgress: progressTo(io, 'copied') }))
	if (!task.verify) return OK
	return verdict(io, await compare({ ...sides, onProgress: progressTo(io, 'compared') }))
}

/** First beside its name, so that there is never a file that is cut. */
async function toFile(store: Store, numbers: NumbersOptions, path: string, { namespace, signal, io }: Task): Promise<number> {
	const begun = performance.now()
	let last: CopyProgress | undefined
	const show = progressTo(io, 'saved')
	const bytes = snapshot({
		...numbers,
		store,
		namespace,
		signal,
		onProgress: (progress) => {
			last = progress
			show(progress)
		},
	})
	const part = `${path}.part`
	const file = createWriteStream(part)
	try {
		await (path.endsWith('.gz') ? pipeline(bytes, createGzip({ level: 4 }), file) : pipeline(bytes, file))
		await rename(part, path)
	} catch (error) {
		await rm(part, { force: true })
		throw error
	}
	const { size } = await stat(path)
	io.print(`saved ${numbersIn(last!)} in ${seconds(performance.now() - begun)} s: ${path}, ${megabytes(size)}`)
	return OK
}

async function fromFile(path: string, to: StorePlace, task: Task): Promise<number> {
	const { io, toNamespace: namespace, overwrite, signal } = task
	// Told before a target is asked for.
	await stat(path)
	const store = await openTarget(to, task)
	const file = createReadStream(path)
	const chunks = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
	file.on('error', (error) => chunks.destroy(error))
	// By its partitions: the file is read ahead.
	const onProgress = progressTo(io, 'restored')
	tell(io, `${path} to ${to.name}`, await restore({ store, snapshot: chunks, namespace, overwrite, signal, onProgress }))
	return OK
}

async function openTarget(place: StorePlace, { toNamespace, partitions }: Task): Promise<Store> {
	const stored = await place.settings(toNamespace)
	return place.open(stored?.partitions ?? partitions)
}

function numbersOf({ uniques, uniquesPer, retention, trendHalfLifeMs }: StoredSettings): NumbersOptions {
	const tracker = uniques === 'off' ? false : trackerOfKind(uniques)
	if (tracker === undefined)
		throw new BadInputError('ERR_TALLYMARK_ARGUMENT', `Expected a tracker that comes with tallymark, got '${uniques}'`)
	return { uniques: tracker, uniquesPer, retention, trendHalfLifeMs }
}

function progressTo(io: Io, done: string): (progress: CopyProgress) => void {
	const begun = performance.now()
	/** What an earlier run did is not this one's pace. */
	let before: number | undefined
	return (progress) => {
		before ??= progress.partitionsDone
		const whole = progress.partitions - before
		const part = whole === 0 ? 1 : (progress.partitionsDone - before) / whole
		const elapsed = performance.now() - begun
		const left = part > 0 && part < 1 ? `, ${seconds((elapsed / part) * (1 - part))} s left` : ''
		const bar = '#'.repeat(Math.round(part * 20)).padEnd(20, '.')
		io.progress(`[${bar}] ${done} ${progress.partitionsDone}/${progress.partitions} partitions, ${numbersIn(progress)}${left}`)
	}
}

function tell(io: Io, what: string, report: CopyReport): void {
	if (report.resumed && report.numbers + report.sketches === 0) io.print(`${what}: was copied before; --overwrite copies it anew`)
	else io.print(`${what}: ${numbersIn(report)}${report.resumed ? ', the rest of an interrupted copy' : ''}`)
}

function verdict(io: Io, report: CompareReport): number {
	if (report.different === 0) {
		io.print(`the same on both sides: ${numbersIn(report)}`)
		return OK
	}
	io.complain(`${report.different} differ of ${numbersIn(report)}; nobody may count meanwhile. For example:`)
	for (const example of report.examples) io.complain(`  ${example}`)
	return WRONG
}

function numbersIn({ keys, numbers, sketches, bytes }: CopyProgress): string {
	return `${keys.toLocaleString('en')} keys, ${numbers.toLocaleString('en')} numbers, ${sketches.toLocaleString('en')} sketches, ${megabytes(bytes)}`
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
const seconds = (ms: number) => (ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)
