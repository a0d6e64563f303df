/** How the visitors of a snapshot are put back into Redis: one way for each kind of tracker, as in visitor-form.ts. Sent twice it changes nothing. */
import { preimagesOf } from '../../sketches/coupon.ts'
import { readImage } from '../../sketches/redis-image.ts'
import { BloomTracker } from '../../visitors/bloom.ts'
import { CouponSet } from '../../visitors/coupon-set.ts'
import type { ExactTracker } from '../../visitors/exact.ts'
import type { VisitorTracker } from '../../visitors/tracker.ts'
import type { Argument } from './client.ts'
import { oneCommand, restoreSketch, uniteBitmap } from './restore-scripts.ts'
import { chunks } from './visitor-form.ts'

/** A script with its arguments, for the name that the visitors have. */
export type Step = readonly [script: string, args: readonly Argument[]]

export interface SavedVisitors {
	/** What is sent first. */
	readonly first: readonly Step[]
	/** What is sent after it where `first` was answered 0: there are visitors already, to be united with these. */
	readonly union: readonly Step[]
}

/** Visitors, or registers, in one command. */
const ELEMENTS = 1_000
const PREIMAGE_BYTES = 8

/** `deadline`: epoch seconds, 0 for never. Throws ERR_TALLYMARK_SKETCH for bytes that no sketch of the tracker was saved as. */
export function savedVisitors(tracker: VisitorTracker, saved: Uint8Array, deadline: number): SavedVisitors {
	if (tracker instanceof BloomTracker) {
		const bitmap = asBuffer(tracker.toBitmap(saved))
		return { first: [[restoreSketch, [bitmap, deadline]]], union: [[uniteBitmap, [bitmap]]] }
	}
	if (tracker.kind === 'hyperloglog') {
		// Its bytes are those of Redis; read and written once more, so that a file can bring nothing that Redis would choke on.
		const registers = new CouponSet()
		readImage(saved, (index, rank) => registers.add((index << 6) | rank))
		const elements = asBuffer(preimagesOf(registers.coupons()))
		const each = Array.from({ length: elements.length / PREIMAGE_BYTES }, (_, i) =>
			elements.subarray(i * PREIMAGE_BYTES, (i + 1) * PREIMAGE_BYTES),
		)
		return {
			first: [[restoreSketch, [asBuffer(registers.toRedis()), deadline]]],
			union: chunks(each, ELEMENTS).map((some) => [oneCommand, ['pfadd', ...some]]),
		}
	}
	const { visitors } = (tracker as ExactTracker).load(saved)
	const added = chunks([...visitors], ELEMENTS).map((some): Step => [oneCommand, ['sadd', ...some]])
	const expires: readonly Step[] = deadline === 0 || added.length === 0 ? [] : [[oneCommand, ['expireat', deadline]]]
	return { first: [...added, ...expires], union: [] }
}

function asBuffer(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
