/** What a writer does in a tick: hits, and now and then a correction or a deletion. From the seed alone: who knows which ticks ran knows every hit. */
import type { Lane } from '../../src/stores/store.ts'
import type { Plan, WriterPlan } from './plan.ts'
import { Random } from './random.ts'

export interface PlannedHit {
	readonly key: string
	readonly lane: Lane
	readonly by: number
	readonly visitor: string | undefined
	/** The minute, counted from that of the start; undefined: now. */
	readonly minute: number | undefined
	/** For a hit with an idempotency id. */
	readonly id: string | undefined
}

/** On a key that no other writer touches, so that the order of what happens to it is known. */
export type Operation =
	| { readonly kind: 'set'; readonly key: string; readonly hits: number }
	| { readonly kind: 'delete'; readonly key: string }

export interface Tick {
	readonly hits: readonly PlannedHit[]
	/** After the hits. */
	readonly operations: readonly Operation[]
}

const perTick = 25
/** From one crowd of a writer to its next. */
const crowdTicks = 40
/** Names that a careless store takes for something else. */
const oddKeys = ['__proto__', '{a}b', 'a:b*', '#a', '*', '=a', 'hits', 'line\nbreak', 'é', '\u{1f600}', ' ']
const keys = [...oddKeys, ...Array.from({ length: 200 - oddKeys.length }, (_, i) => `/page/${i}`)]

/** Minutes of the past; the first is the one that ends its life while the schedule runs. */
export const endingMinute = -2
const lateMinutes = [endingMinute, -1, -61, -25 * 60]

export function tickOf(plan: Plan, writer: WriterPlan, tick: number): Tick {
	const random = new Random(`${plan.seed} ${writer.name} ${tick}`)
	// A batch has a part for each lane and bucket: to meet many in one tick would be many scripts and little else.
	const late = random.pick(lateMinutes)
	const lane = random.pick<Lane>(['bot', 'ai'])
	const own = writer.killedAtMs === undefined ? [`own/${writer.name}/1`, `own/${writer.name}/2`] : []
	const hits = Array.from({ length: perTick }, (_, i): PlannedHit => {
		const kind = random.next()
		const key = own.length > 0 && random.chance(0.04) ? random.pick(own) : keys[Math.floor(keys.length * random.next() ** 2)]!
		return {
			key,
			lane: kind < 0.05 ? lane : 'human',
			by: random.chance(0.05) ? random.whole(2, 5) : 1,
			visitor: random.chance(0.5) ? `visitor ${random.whole(1, 400)}` : undefined,
			minute: kind > 0.92 ? late : undefined,
			id: i === 0 && tick % 2 === 0 && !own.includes(key) ? `${writer.name} ${tick}` : undefined,
		}
	})
	if (plan.crowd !== undefined && tick % crowdTicks === writer.name.charCodeAt(0) % crowdTicks)
		for (let i = 0; i < plan.crowd; i++)
			hits.push({ key: `/crowd/${i}`, lane: 'human', by: 1, visitor: undefined, minute: undefined, id: undefined })
	const operations: Operation[] = []
	if (plan.operations && own.length > 0 && tick % 20 === 7)
		operations.push(
			random.chance(0.5) ? { kind: 'set', key: own[0]!, hits: random.whole(0, 1_000) } : { kind: 'delete', key: random.pick(own) },
		)
	return { hits, operations }
}
