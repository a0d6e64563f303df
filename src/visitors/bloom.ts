/**
 * Visitors in a Bloom filter: who was seen can be told, not only how many there were, at about 10 bits a visitor.
 * Ids that a client chooses must pass a keyed hash first: the hash is public (see `HyperLogLog`).
 */
import { expected } from '../errors.ts'
import { hashed, hashText } from '../hash/murmur64.ts'
import { Bloom, type BloomOptions, type BloomShape } from '../sketches/bloom.ts'
import { HashSet } from '../sketches/hash-set.ts'
import type { Estimate, VisitorDelta, VisitorSketch, VisitorTracker } from './tracker.ts'

const defaultCapacity = 10_000
const defaultErrorRate = 0.01

/** The first byte of what is saved: hashes, or a filter. */
const HASHES = 0
const FILTER = 1
const HASH_BYTES = 8

/**
 * Counts distinct visitors by Bloom filters of one shape, `{ capacity, errorRate }` (default 10,000 and 1 %: 12 KB a key and level).
 *
 * A key with few visitors keeps their 64-bit hashes instead, until those would take more room than the filter (768 visitors at the default): until
 * then the count is exact but for two visitors of one hash (chance below n^2 / 2^64). Afterwards the error is that of an estimate by the share of bits
 * set, sqrt((e^t - t - 1) / m) / t at a load of t = k n / m (0.26 % at 10,000 of the default shape, 0.026 % at 1,000,000 of that capacity); it grows
 * slowly up to some eight times the capacity, and then fast.
 */
export class BloomTracker implements VisitorTracker {
	/** With the shape: filters of another cannot be united. */
	readonly kind: string
	/** Of every filter: a store of bitmaps sets its bits. */
	readonly shape: BloomShape

	constructor(options: Partial<BloomOptions> | BloomShape = {}) {
		const { bits, hashes } = new Bloom('bits' in options ? options : withDefaults(options))
		this.shape = { bits, hashes }
		this.kind = `bloom:${bits}:${hashes}`
	}

	delta(): BloomDelta {
		return new BloomDelta()
	}

	sketch(): BloomSketch {
		return new BloomSketch(this.shape)
	}

	load(bytes: Uint8Array): BloomSketch {
		const sketch = this.sketch()
		sketch.read(bytes)
		return sketch
	}

	/** The sketch of a bitmap of this shape, such as Redis holds; counted by its share of bits set. Throws ERR_TALLYMARK_SKETCH for a longer one. */
	fromBitmap(bitmap: Uint8Array): BloomSketch {
		const sketch = this.sketch()
		sketch.unite(Bloom.fromBitmap(bitmap, this.shape))
		return sketch
	}

	/** The bits of what a sketch was saved as. Throws ERR_TALLYMARK_SKETCH for bytes of another kind or shape. */
	toBitmap(saved: Uint8Array): Uint8Array {
		const sketch = this.load(saved)
		sketch.unite(new Bloom(this.shape))
		return sketch.bitmap()
	}

	union(sketches: readonly VisitorSketch[]): BloomSketch {
		const union = this.sketch()
		for (const each of sketches) union.merge(each)
		return union
	}
}

/** Who came between two cuts, as hashes; a store of bitmaps asks `Bloom` for their places. */
export class BloomDelta implements VisitorDelta {
	readonly hashes = new HashSet()

	add(visitor: string): boolean {
		hashText(visitor)
		return this.hashes.add(hashed[0]!, hashed[1]!)
	}
}

/** Hashes at first, a filter from where it is smaller. */
class BloomSketch implements VisitorSketch {
	readonly #shape: BloomShape
	#hashes: HashSet | undefined = new HashSet()
	#filter: Bloom | undefined

	constructor(shape: BloomShape) {
		this.#shape = shape
	}

	get bytes(): number {
		return this.#hashes?.bytes ?? this.#shape.bits / 8
	}

	apply(delta: VisitorDelta): void {
		if (!(delta instanceof BloomDelta)) throw expected('ERR_TALLYMARK_SKETCH', 'delta', "a delta of the 'bloom' tracker", delta)
		delta.hashes.each((lo, hi) => this.#add(lo, hi))
	}

	merge(other: VisitorSketch): void {
		if (!(other instanceof BloomSketch)) throw expected('ERR_TALLYMARK_SKETCH', 'other', "a sketch of the 'bloom' tracker", other)
		if (other.#hashes !== undefined) other.#hashes.each((lo, hi) => this.#add(lo, hi))
		else this.unite(other.#filter!)
	}

	estimate(): Estimate {
		if (this.#hashes !== undefined) return { value: this.#hashes.size, exact: true, error: 0 }
		const { bits, hashes } = this.#filter!
		const value = this.#filter!.count()
		// Whose bits a single visitor's are is beyond doubt.
		if (value <= 1) return { value, exact: true, error: 0 }
		const load = (hashes * value) / bits
		return { value, exact: false, error: Math.sqrt((Math.expm1(load) - load) / bits) / load }
	}

	save(): Uint8Array {
		if (this.#filter !== undefined) {
			const filter = this.#filter.toBytes()
			const bytes = new Uint8Array(1 + filter.length)
			bytes[0] = FILTER
			bytes.set(filter, 1)
			return bytes
		}
		const hashes = this.#hashes!
		const bytes = new Uint8Array(1 + HASH_BYTES * hashes.size)
		bytes[0] = HASHES
		const view = new DataView(bytes.buffer)
		const pairs: [lo: number, hi: number][] = []
		hashes.each((lo, hi) => pairs.push([lo, hi]))
		// In order, so that the same visitors are the same bytes whoever came first.
		pairs.sort((a, b) => a[1] - b[1] || a[0] - b[0])
		pairs.forEach(([lo, hi], index) => {
			view.setInt32(1 + index * HASH_BYTES, lo, true)
			view.setInt32(5 + index * HASH_BYTES, hi, true)
		})
		return bytes
	}

	/** Adds what `save()` gave. */
	read(bytes: Uint8Array): void {
		if (!(bytes instanceof Uint8Array)) throw expected('ERR_TALLYMARK_SKETCH', 'bytes', 'what a sketch of this tracker saved', bytes)
		if (bytes[0] === HASHES && (bytes.length - 1) % HASH_BYTES === 0) {
			const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
			for (let at = 1; at < bytes.length; at += HASH_BYTES) this.#add(view.getInt32(at, true), view.getInt32(at + 4, true))
		} else if (bytes[0] === FILTER) this.unite(Bloom.fromBytes(bytes.subarray(1)))
		else throw expected('ERR_TALLYMARK_SKETCH', 'bytes', 'what a sketch of this tracker saved', `${bytes.length} other bytes`)
	}

	release(): void {}

	/** Of the filter, which it must have become. */
	bitmap(): Uint8Array {
		return this.#filter!.toBitmap()
	}

	#add(lo: number, hi: number): void {
		if (this.#hashes === undefined) {
			this.#filter!.addHash(lo, hi)
			return
		}
		this.#hashes.add(lo, hi)
		if (this.#hashes.bytes > this.#shape.bits / 8) this.#becomeFilter()
	}

	/** Adds everyone in a filter of the same shape. */
	unite(other: Bloom): void {
		if (this.#filter !== undefined) {
			this.#filter.union(other)
			return
		}
		// Hashes can be added to a copy of the filter, which counts better than the union of two filters.
		const filter = new Bloom(this.#shape)
		// Throws where the shapes differ.
		if (filter.bits !== other.bits || filter.hashes !== other.hashes) filter.union(other)
		this.#filter = Bloom.fromBytes(other.toBytes())
		this.#hashes!.each((lo, hi) => this.#filter!.addHash(lo, hi))
		this.#hashes = undefined
	}

	#becomeFilter(): void {
		const filter = new Bloom(this.#shape)
		this.#hashes!.each((lo, hi) => filter.addHash(lo, hi))
		this.#filter = filter
		this.#hashes = undefined
	}
}

function withDefaults({ capacity = defaultCapacity, errorRate = defaultErrorRate }: Partial<BloomOptions>): BloomOptions {
	return { capacity, errorRate }
}
