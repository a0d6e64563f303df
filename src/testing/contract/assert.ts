/** The few assertions of the contract, for no test framework is known here. Each throws an Error that says what was promised. */

/** Throws unless both are the same value: numbers, texts, arrays (typed ones too) and plain objects of them. */
export function equal(actual: unknown, expected: unknown, promise: string): void {
	const is = shape(actual)
	const shouldBe = shape(expected)
	if (is !== shouldBe) throw new Error(`${promise}: expected ${shouldBe}, got ${is}`)
}

export function isTrue(condition: boolean, promise: string): void {
	if (!condition) throw new Error(promise)
}

/** Throws unless `actual` is `expected` to nine digits. */
export function near(actual: number | undefined, expected: number, promise: string): void {
	if (actual === undefined || !(Math.abs(actual - expected) <= Math.abs(expected) * 1e-9)) {
		throw new Error(`${promise}: expected ${expected}, got ${actual}`)
	}
}

/** Throws unless `actual` is off by at most a share of `expected`; a share of 0: unless they are equal. */
export function within(actual: number, expected: number, share: number, promise: string): void {
	if (!(Math.abs(actual - expected) <= expected * share)) throw new Error(`${promise}: expected ${expected}, got ${actual}`)
}

/** Throws unless the call throws, or rejects, with an error of this code. */
export async function fails(code: string, call: () => unknown, promise: string): Promise<void> {
	let result: unknown
	try {
		result = await call()
	} catch (error) {
		equal((error as { code?: unknown }).code, code, `${promise}: the code of the error (${error})`)
		return
	}
	throw new Error(`${promise}: expected ${code}, got ${shape(result)}`)
}

function shape(value: unknown): string {
	return JSON.stringify(value, (_, inner) => (ArrayBuffer.isView(inner) ? Array.from(inner as Float64Array) : inner)) ?? 'undefined'
}
