/**
 * How the visitors of each kind of tracker lie in Redis: what a delta sends (sent twice it changes nothing, so visitors need no sequences), and how they
 * are read and counted. A further kind is a further entry of `forms`.
 */
import { expected } from '../../errors.ts'
import { Bloom } from '../../sketches/bloom.ts'
import { PREIMAGE_BYTES, preimagesOf } from '../../sketches/coupon.ts'
import { HashSet } from '../../sketches/hash-set.ts'
import { HyperLogLog } from '../../sketches/hyperloglog.ts'
import { type BloomDelta, BloomTracker } from '../../visitors/bloom.ts'
import { CouponSet } from '../../visitors/coupon-set.ts'
import type { ExactDelta } from '../../visitors/exact.ts'
import type { HyperLogLogDelta } from '../../visitors/hyperloglog.ts'
import type { VisitorDelta, VisitorSketch, VisitorTracker } from '../../visitors/tracker.ts'
import { type Command, command } from './client.ts'
import { evaluate } from './link.ts'
import { addPacked } from './scripts.ts'

/** Sends commands and answers their replies; throws when one failed. */
export type Ask = (commands: readonly Command[]) => Promise<readonly unknown[]>

export interface VisitorForm {
	/** What deltas together send, but for what the server is `known` to have, where the form can tell. */
	prepare(deltas: readonly VisitorDelta[], known: () => CouponSet): Prepared
	/** Roughly what a delta takes in memory. */
	bytes(delta: VisitorDelta): number
	/** A sketch of each Redis key that has any visitors, by key. */
	read(keys: readonly string[], tracker: VisitorTracker, ask: Ask): Promise<ReadonlyMap<string, VisitorSketch>>
	/** The distinct visitors of Redis keys together, for each list of them; undefined when the server cannot say. */
	count(lists: readonly (readonly string[])[]): Command[] | undefined
}

/** Visitors ready to be sent. */
export interface Prepared {
	/** To each of some Redis keys of one partition: one write for each, never several in one script (see `scripts.ts`). */
	send(keys: readonly string[], temporary: () => string): Command[]
	/** Something was left out, as known. */
	readonly trusting: boolean
	/** Enters what was sent among the known, once it was acknowledged. */
	learn(): void
}

/** Of a form that does not tell what is known. */
const everything = { trusting: false, learn: () => {} }

/**
 * Registers above which a whole sketch is sent and merged. It takes 0.15 ms of the server's time, where an element costs a sparse sketch up to 0.9 us.
 * It also makes the stored sketch dense, 12 KB instead of some 3 bytes a register; but who gets so many new visitors in one flush is soon dense
 * anyway, which Redis makes a sketch from some 1,600 registers on. So no script has more elements than it can unpack.
 */
const MANY_REGISTERS = 512
/** Elements that go as arguments; more go as one, to be cut on the server, for an argument costs the client more than all else about it. */
const FEW_ELEMENTS = 12
/** Visitors in one SADD. */
const MEMBERS = 500
/** Sketches of 12 KB in one answer. */
const SKETCHES = 500
/** Seconds after which the sketch that was to be merged goes by itself, should nobody have taken it away. */
const TEMPORARY_SECONDS = 60

const hyperloglog: VisitorForm = {
	prepare(deltas, knownOf) {
		const known = knownOf()
		const { coupons, trusting } = unknownOf(deltas as readonly HyperLogLogDelta[], known)
		const learn = () => {
			for (const coupon of coupons) known.add(coupon)
		}
		return { trusting, learn, send: sendCoupons(coupons) }
	},

	bytes(delta) {
		return 100 + (delta as HyperLogLogDelta).registers.bytes
	},

	async read(keys, tracker, ask) {
		const sketches = new Map<string, VisitorSketch>()
		for (const some of chunks(keys, SKETCHES)) {
			const images = await ask(some.map((key) => ({ name: 'get', args: [key], binary: true })))
			for (const [i, image] of images.entries()) if (image !== null) sketches.set(some[i]!, tracker.load(image as Uint8Array))
		}
		return sketches
	},

	count(lists) {
		// Counting many at once blocks the server and is never cached there.
		if (lists.some((keys) => keys.length > 100)) return undefined
		return lists.map((keys) => command('pfcount', ...keys))
	},
}

const set: VisitorForm = {
	prepare(deltas) {
		const together = new Set<string>()
		for (const { visitors } of deltas as readonly ExactDelta[]) for (const visitor of visitors) together.add(visitor)
		const visitors = chunks([...together], MEMBERS)
		return { ...everything, send: (keys) => keys.flatMap((key) => visitors.map((some) => command('sadd', key, ...some))) }
	},

	bytes(delta) {
		return 250 + 100 * (delta as ExactDelta).visitors.size
	},

	async read(keys, tracker, ask) {
		const deltas = new Map<string, VisitorDelta>()
		let open = keys.map((key) => ({ key, cursor: '0' }))
		while (open.length > 0) {
			const pages = await ask(open.map(({ key, cursor }) => command('sscan', key, cursor, 'COUNT', 1_000)))
			open = open.flatMap(({ key }, i) => {
				const [cursor, visitors] = pages[i] as [string, string[]]
				if (visitors.length > 0) {
					const delta = deltas.get(key) ?? tracker.delta()
					for (const visitor of visitors) delta.add(visitor)
					deltas.set(key, delta)
				}
				return String(cursor) === '0' ? [] : [{ key, cursor: String(cursor) }]
			})
		}
		return new Map([...deltas].map(([key, delta]) => [key, sketchOf(delta, tracker)]))
	},

	count(lists) {
		return lists.every((keys) => keys.length === 1) ? lists.map((keys) => command('scard', keys[0]!)) : undefined
	},
}

/** Visitors of a flush above which a whole bitmap is sent, in bytes of bitmap for each: a visitor's bits cost about as much on the wire. */
const BITMAP_BYTES_A_VISITOR = 100
/** Bits in one BITFIELD. */
const BITS = 500

/** A Bloom filter is a bitmap; a bit that is set again is set. */
function bloom(tracker: BloomTracker): VisitorForm {
	const { shape } = tracker
	/** Asked for places only. */
	const filter = new Bloom(shape)
	return {
		prepare(deltas) {
			const together = new HashSet()
			for (const { hashes } of deltas as readonly BloomDelta[]) hashes.each((lo, hi) => together.add(lo, hi))
			if (together.size * BITMAP_BYTES_A_VISITOR > shape.bits / 8) {
				const crowd = new Bloom(shape)
				together.each((lo, hi) => crowd.addHash(lo, hi))
				const image = asBuffer(crowd.toBitmap())
				const send: Prepared['send'] = (keys, temporary) => {
					const merge = (name: string) => keys.map((key) => command('bitop', 'OR', key, key, name))
					return asTemporary(image, temporary(), merge)
				}
				return { ...everything, send }
			}
			const places = new Set<number>()
			together.each((lo, hi) => {
				for (const place of filter.placesOf(lo, hi)) places.add(place)
			})
			const some = chunks([...places], BITS)
			const set = (key: string) => some.map((bits) => command('bitfield', key, ...bits.flatMap((bit) => ['SET', 'u1', bit, 1])))
			return { ...everything, send: (keys) => keys.flatMap(set) }
		},

		bytes(delta) {
			return 150 + (delta as BloomDelta).hashes.bytes
		},

		async read(keys, _tracker, ask) {
			const sketches = new Map<string, VisitorSketch>()
			for (const some of chunks(keys, Math.max(1, Math.floor((SKETCHES * 12_304 * 8) / shape.bits)))) {
				const bitmaps = await ask(some.map((key) => ({ name: 'get', args: [key], binary: true })))
				for (const [i, bitmap] of bitmaps.entries()) if (bitmap !== null) sketches.set(some[i]!, tracker.fromBitmap(bitmap as Uint8Array))
			}
			return sketches
		},

		// How many visitors there are follows from how many bits are set, and that only by a logarithm.
		count: () => undefined,
	}
}

const forms: Readonly<Record<string, VisitorForm>> = { hyperloglog, set }

/** Throws ERR_TALLYMARK_OPTION for a tracker that is of no kind known here. */
export function visitorForm(tracker: VisitorTracker): VisitorForm {
	if (tracker instanceof BloomTracker) return bloom(tracker)
	const form = Object.hasOwn(forms, tracker.kind) ? forms[tracker.kind] : undefined
	if (form === undefined) {
		const known = [...Object.keys(forms), 'bloom'].map((kind) => `'${kind}'`)
		throw expected('ERR_TALLYMARK_OPTION', 'uniques', `of a kind that the Redis store can keep (${known.join(', ')})`, tracker.kind)
	}
	return form
}

/** What deltas raise together that is not raised at the server, in no order. `trusting`: something was left out. */
function unknownOf(deltas: readonly HyperLogLogDelta[], known: CouponSet): { coupons: Uint32Array; trusting: boolean } {
	if (deltas.length === 1) {
		const all = deltas[0]!.registers.list()
		let kept = 0
		for (const coupon of all) if (!known.has(coupon)) all[kept++] = coupon
		return { coupons: all.subarray(0, kept), trusting: kept < all.length }
	}
	// One after the other, not their union: of many visitors few are news.
	const together = new CouponSet()
	let trusting = false
	for (const { registers } of deltas) {
		registers.each((coupon) => {
			if (known.has(coupon)) trusting = true
			else together.add(coupon)
		})
	}
	return { coupons: together.list(), trusting }
}

function sendCoupons(coupons: Uint32Array): Prepared['send'] {
	if (coupons.length === 0) return () => []
	if (coupons.length > MANY_REGISTERS) {
		const image = asBuffer(HyperLogLog.fromCoupons(coupons).toRedis())
		return (keys, temporary) => asTemporary(image, temporary(), (name) => keys.map((key) => command('pfmerge', key, name)))
	}
	const bytes = asBuffer(preimagesOf(coupons))
	if (coupons.length > FEW_ELEMENTS) return (keys) => keys.map((key) => evaluate(addPacked, key, [bytes]))
	const elements = Array.from(coupons, (_, i) => bytes.subarray(i * PREIMAGE_BYTES, (i + 1) * PREIMAGE_BYTES))
	return (keys) => keys.map((key) => command('pfadd', key, ...elements))
}

/** Sends a value once, to be merged on the server. */
function asTemporary(value: Buffer, name: string, merge: (name: string) => Command[]): Command[] {
	return [command('set', name, value, 'EX', TEMPORARY_SECONDS), ...merge(name), command('unlink', name)]
}

function sketchOf(delta: VisitorDelta, tracker: VisitorTracker): VisitorSketch {
	const sketch = tracker.union([])
	sketch.apply(delta)
	return sketch
}

function asBuffer(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

export function chunks<Item>(items: readonly Item[], size: number): (readonly Item[])[] {
	if (items.length <= size) return items.length === 0 ? [] : [items]
	return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))
}
