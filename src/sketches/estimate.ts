/**
 * From the registers of a HyperLogLog to a number of visitors: Otmar Ertl's improved raw estimator, which needs neither the bias tables nor the
 * switch-over of earlier ones. All it wants to know is how many registers hold each rank.
 *
 * Sources: O. Ertl, New cardinality estimation algorithms for HyperLogLog sketches, 2017 (arXiv:1702.01284), algorithm 6; Flajolet, Fusy, Gandouet
 * and Meunier, HyperLogLog, 2007; for small counts Whang, Vander-Zanden and Taylor, Linear counting, 1990.
 */

import { MAX_RANK, REGISTERS } from './coupon.ts'

/** 1 / (2 ln 2), the limit of Flajolet's constant for many registers. */
const ALPHA_INFINITY = 0.7213475204444817

/**
 * The number of distinct visitors, as PFCOUNT (Redis 5.0 or newer) answers for the same registers, to the last digit.
 * `histogram[rank]` is the number of registers of that rank, 0 for empty ones. Infinity when every register is saturated.
 */
export function estimate(histogram: ArrayLike<number>): number {
	let z = REGISTERS * tau((REGISTERS - histogram[MAX_RANK]!) / REGISTERS)
	for (let rank = MAX_RANK - 1; rank >= 1; rank--) z = (z + histogram[rank]!) * 0.5
	z += REGISTERS * sigma(histogram[0]! / REGISTERS)
	return Math.round((ALPHA_INFINITY * REGISTERS * REGISTERS) / z)
}

/** Correction for empty registers: x + the sum over k of x^(2^k) * 2^(k-1). */
function sigma(empty: number): number {
	if (empty === 1) return Number.POSITIVE_INFINITY
	let x = empty
	let y = 1
	let z = x
	for (let before = -1; before !== z; ) {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

/** Correction for saturated registers: (1 - x - the sum over k of (1 - x^(2^-k))^2 * 2^-k) / 3. */
function tau(unsaturated: number): number {
	if (unsaturated === 0 || unsaturated === 1) return 0
	let x = unsaturated
	let y = 1
	let z = 1 - x
	for (let before = -1; before !== z; ) {
		x = Math.sqrt(x)
		before = z
		y *= 0.5
		z -= (1 - x) ** 2 * y
	}
	return z / 3
}

/**
 * The standard error of {@link estimate} as a share of `count`, from theory: that of linear counting while few registers are in use (0.55 % near 0,
 * 0.61 % at 10,000), 1.04 / sqrt(16384) = 0.81 % from some 32,000 on; 0 for a count of 0. About two answers of three lie within it, 95 % within twice.
 */
export function relativeStandardError(count: number): number {
	if (!(count > 0)) return 0
	const load = count / REGISTERS
	// e^x - x - 1, by its series where the subtraction would leave no digits.
	const excess = load < 1e-3 ? (load * load) / 2 : Math.expm1(load) - load
	return Math.min(Math.sqrt(REGISTERS * excess) / count, 1.04 / Math.sqrt(REGISTERS))
}
