/** `tallymark rebalance`: partitions of a ring from the nodes that have them to those that shall, while they are counted. */
import { parseArgs } from 'node:util'
import { BadInputError, expected, isTallymarkError } from '../errors.ts'
import { connect, type OwnClient } from '../stores/redis/connect.ts'
import { Link } from '../stores/redis/link.ts'
import type { RebalancePlan, RebalanceProgress, RebalanceReport } from '../stores/redis/ring/progress.ts'
import { type RebalanceNode, rebalance } from '../stores/redis/ring/rebalance.ts'
import type { Io } from './io.ts'

export const help = `tallymark rebalance --from NODES --to NODES [options]

  Moves partitions so that each node of --to has its share, as few of them as that needs; nodes that are not in --to are emptied.
  Counting goes on meanwhile. Interrupted, what is on its way is brought to its end (a second Ctrl-C leaves at once); the same command goes on.

NODES are redis://a:6379,name=redis://b:6379,... named as in the ring (by default host:port)

  --namespace NAME      of the counters (default tm)
  --dry-run             only print the plan
  --parallel N          partitions on their way at the same time, from one node to one other (default 8)
  --weight NAME=N       the share of a node relative to the others (default as it is stored, or 1); can be repeated
  --replicas N          replicas of a node that must have what a step relies on (default 0)
`

const options = {
	from: { type: 'string' },
	to: { type: 'string' },
	namespace: { type: 'string', default: 'tm' },
	'dry-run': { type: 'boolean', default: false },
	parallel: { type: 'string' },
	weight: { type: 'string', multiple: true, default: [] as string[] },
	replicas: { type: 'string' },
	help: { type: 'boolean', default: false },
} as const

/** Exit codes: done; something is wrong, or a partition did not get there; interrupted, run it again. */
const OK = 0
const WRONG = 1
const INTERRUPTED = 130

const CLIENT_TIMEOUT_MS = 60_000

/** Answers the exit code. */
export async function rebalanceCommand(argv: readonly string[], io: Io): Promise<number> {
	const stop = new AbortController()
	const forget = io.onInterrupt(() => {
		stop.abort()
		io.complain('Interrupted: bringing to its end what is on its way')
	})
	const clients: OwnClient[] = []
	try {
		const { values } = parseArgs({ args: [...argv], options })
		if (values.help) {
			io.print(help)
			return OK
		}
		if (values.from === undefined || values.to === undefined)
			throw new BadInputError('ERR_TALLYMARK_OPTION', `Expected --from and --to\n\n${help}`)
		const weights = weightsOf(values.weight)
		const links = new Map<string, Link>()
		const nodesOf = (option: string, text: string) =>
			text.split(',').map((each): RebalanceNode => {
				const { name, url, address } = parseNode(option, each)
				const link = links.get(name) ?? linkTo(name, url, clients)
				links.set(name, link)
				return { name, link, address, weight: weights.get(name) }
			})
		const report = await rebalance({
			from: nodesOf('from', values.from),
			to: nodesOf('to', values.to),
			namespace: values.namespace,
			dryRun: values['dry-run'],
			parallel: numberOf('parallel', values.parallel),
			replicasToWaitFor: numberOf('replicas', values.replicas),
			signal: stop.signal,
			onPlan: (plan) => {
				for (const line of planLines(plan)) io.print(line)
			},
			onProgress: (progress) => io.progress(progressLine(progress)),
		})
		if (values['dry-run']) return OK
		return tell(report, io)
	} catch (error) {
		const isOurs = isTallymarkError(error) || (error as { code?: unknown } | undefined)?.code !== undefined
		io.complain(isOurs ? (error as Error).message : String((error as Error)?.stack ?? error))
		return WRONG
	} finally {
		forget()
		for (const client of clients) client.disconnect()
	}
}

function linkTo(name: string, url: string, clients: OwnClient[]): Link {
	const link: Link = new Link(name, async () => {
		const client = await connect(url, CLIENT_TIMEOUT_MS, (error) => link.noteError(error))
		clients.push(client)
		return client
	})
	return link
}

function parseNode(option: string, text: string): { name: string; url: string; address: string } {
	const [, name, url] = /^(?:([^/=]+)=)?(rediss?:\/\/.+)$/.exec(text) ?? []
	// Not quoted: a url can have a password in it.
	if (url === undefined || !URL.canParse(url))
		throw new BadInputError(
			'ERR_TALLYMARK_OPTION',
			`Expected \`--${option}\` to be redis://host:port or name=redis://host:port, and more after commas`,
		)
	const parsed = new URL(url)
	if (parsed.port === '') parsed.port = '6379'
	parsed.username = parsed.password = ''
	return { name: name ?? parsed.host, url, address: parsed.href }
}

function weightsOf(texts: readonly string[]): Map<string, number> {
	return new Map(
		texts.map((text): [string, number] => {
			const at = text.lastIndexOf('=')
			const weight = Number(text.slice(at + 1))
			if (at < 1 || !(weight > 0)) throw expected('ERR_TALLYMARK_OPTION', '--weight', 'a name, = and a number above 0', text)
			return [text.slice(0, at), weight]
		}),
	)
}

function numberOf(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined
	if (!/^\d+$/.test(text)) throw expected('ERR_TALLYMARK_OPTION', `--${option}`, 'a whole number', text)
	return Number(text)
}

function planLines({ partitions, nodes, begun, moves }: RebalancePlan): string[] {
	const rows = [
		['node', 'before', 'after', 'gives', 'takes'],
		...nodes.map(({ name, before, after }) => {
			const all = [...begun, ...moves]
			return [name, before, after, all.filter(({ from }) => from === name).length, all.filter(({ to }) => to === name).length].map(String)
		}),
	]
	const width = Math.max(...rows.map(([name]) => name!.length))
	const lines = rows.map(([name, ...numbers]) => name!.padEnd(width) + numbers.map((number) => number.padStart(8)).join(''))
	if (begun.length > 0) lines.push(`${counted(begun.length, 'move')} begun earlier, to be finished first`)
	lines.push(
		moves.length === 0
			? `the ${partitions} partitions are where they should be`
			: `${moves.length} of ${partitions} partitions are to be moved`,
	)
	return lines
}

function progressLine({ total, moved, failed, keys, bytes, leftMs }: RebalanceProgress): string {
	const bar = '#'.repeat(total === 0 ? 0 : Math.round(((moved + failed) / total) * 20)).padEnd(20, '.')
	const lost = failed === 0 ? '' : `, ${failed} failed`
	const left = leftMs === undefined ? '' : `, ${seconds(leftMs)} left`
	return `[${bar}] ${moved}/${total} partitions${lost}, ${sizes(keys, bytes)}${left}`
}

function tell({ moved, failed, stopped, keys, bytes, longestHoldMs, plan }: RebalanceReport, io: Io): number {
	if (moved > 0)
		io.print(`moved ${counted(moved, 'partition')}, ${sizes(keys, bytes)}; hits of a partition waited ${seconds(longestHoldMs)} at most`)
	for (const { move, error } of failed) io.complain(`partition ${move.partition} from ${move.from} to ${move.to}: ${error.message}`)
	if (stopped) {
		io.complain(`Interrupted with ${counted(plan.begun.length + plan.moves.length - moved, 'partition')} left: the same command goes on`)
		return INTERRUPTED
	}
	if (failed.length === 0) return OK
	io.complain('The same command tries them again')
	return WRONG
}

function counted(number: number, what: string): string {
	return `${number} ${what}${number === 1 ? '' : 's'}`
}

function sizes(keys: number, bytes: number): string {
	return `${keys.toLocaleString('en')} keys, ${(bytes / 1e6).toFixed(1)} MB`
}

function seconds(ms: number): string {
	return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`
}
