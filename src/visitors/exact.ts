/**
 * Visitors kept as what they are, in a `Set`: the true number, for 60 to 100 bytes a visitor and key. For small sites, tests, and audiences of known size.
 * Ids are stored as they come; whoever keeps them should not pass anything personal.
 */
import { expected } from '../errors.ts'
import type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from './tracker.ts'

/** Keeps every visitor: `exact` is always true. */
export class ExactTracker implements VisitorTracker {
	readonly kind = 'set'

	delta(): ExactDelta {
		return new ExactDelta()
	}

	sketch(): ExactSketch {
		return new ExactSketch()
	}

	load(bytes: Uint8Array): ExactSketch {
		const sketch = new ExactSketch()
		for (const visitor of decode(bytes)) sketch.visitors.add(visitor)
		return sketch
	}

	union(sketches: readonly VisitorSketch[]): ExactSketch {
		const union = new ExactSketch()
		for (const each of sketches) union.merge(each)
		return union
	}
}

/** Who came between two cuts; a store of ids reads `visitors`. */
export class ExactDelta implements VisitorDelta {
	readonly visitors = new Set<string>()

	add(visitor: string): boolean {
		const before = this.visitors.size
		this.visitors.add(visitor)
		return this.visitors.size !== before
	}
}

/** A visitor in a set, with an id of some twenty letters. */
const VISITOR_BYTES = 64

class ExactSketch implements VisitorSketch {
	readonly visitors = new Set<string>()

	get bytes(): number {
		return VISITOR_BYTES * this.visitors.size
	}

	apply(delta: VisitorDelta): void {
		if (!(delta instanceof ExactDelta)) throw expected('ERR_TALLYMARK_SKETCH', 'delta', "a delta of the 'set' tracker", delta)
		for (const visitor of delta.visitors) this.visitors.add(visitor)
	}

	merge(other: VisitorSketch): void {
		if (!(other instanceof ExactSketch)) throw expected('ERR_TALLYMARK_SKETCH', 'other', "a sketch of the 'set' tracker", other)
		for (const visitor of other.visitors) this.visitors.add(visitor)
	}

	estimate(): Estimate {
		return { value: this.visitors.size, exact: true, error: 0 }
	}

	save(): Uint8Array {
		return encode(this.visitors)
	}

	release(): void {}
}

/*
 * Bytes: for each visitor its length in bytes (4 bytes, little-endian), then its UTF-8. No visitors, no bytes.
 * A lone surrogate becomes U+FFFD, as every encoder writes it.
 */
const LENGTH_BYTES = 4

const encoder = new TextEncoder()

function encode(visitors: ReadonlySet<string>): Uint8Array {
	const texts = Array.from(visitors, (visitor) => encoder.encode(visitor))
	const bytes = new Uint8Array(texts.reduce((sum, text) => sum + LENGTH_BYTES + text.length, 0))
	const view = new DataView(bytes.buffer)
	let at = 0
	for (const text of texts) {
		view.setUint32(at, text.length, true)
		bytes.set(text, at + LENGTH_BYTES)
		at += LENGTH_BYTES + text.length
	}
	return bytes
}

/** All of the visitors in `bytes`, read to the end before the first is answered. Throws ERR_TALLYMARK_SKETCH for bytes that no set was saved as. */
function decode(bytes: Uint8Array): string[] {
	if (!(bytes instanceof Uint8Array)) throw malformed('the bytes of a saved set', bytes)
	// A byte order mark is part of an id like any other character, so that it must not be eaten.
	const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
	const visitors: string[] = []
	for (let at = 0; at < bytes.length; ) {
		const start = at + LENGTH_BYTES
		const end = start > bytes.length ? Number.POSITIVE_INFINITY : start + view.getUint32(at, true)
		if (end > bytes.length) throw malformed('a saved set that ends with a whole visitor', 'one that is cut')
		try {
			visitors.push(decoder.decode(bytes.subarray(start, end)))
		} catch {
			throw malformed('a saved set of UTF-8 texts', 'other bytes')
		}
		at = end
	}
	return visitors
}

function malformed(what: string, value: unknown) {
	return expected('ERR_TALLYMARK_SKETCH', 'bytes', what, value)
}
