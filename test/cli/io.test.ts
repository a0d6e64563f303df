import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { processIo } from '../../src/cli/io.ts'

let written: string
let isTerminal: boolean

beforeEach(() => {
	written = ''
	const add = (chunk: unknown) => {
		written += String(chunk)
		return true
	}
	vi.spyOn(process.stdout, 'write').mockImplementation(add)
	vi.spyOn(process.stderr, 'write').mockImplementation(add)
	isTerminal = process.stderr.isTTY
})

afterEach(() => {
	vi.restoreAllMocks()
	process.stderr.isTTY = isTerminal
})

describe('progress without a terminal', () => {
	beforeEach(() => {
		process.stderr.isTTY = false
	})

	it('is a line now and then, and in the end the last one', () => {
		const io = processIo()
		for (const line of ['0 of 3', '1 of 3', '2 of 3', '3 of 3']) io.progress(line)
		expect(written).toBe('0 of 3\n')
		io.print('done')
		expect(written).toBe('0 of 3\n3 of 3\ndone\n')
		io.complain('twice')
		expect(written).toBe('0 of 3\n3 of 3\ndone\ntwice\n')
	})

	it('of the next task begins at once', () => {
		const io = processIo()
		io.progress('copied 1 of 1')
		io.print('copied')
		io.progress('compared 0 of 1')
		io.progress('compared 1 of 1')
		io.print('compared')
		expect(written).toBe('copied 1 of 1\ncopied\ncompared 0 of 1\ncompared 1 of 1\ncompared\n')
	})
})

describe('progress on a terminal', () => {
	beforeEach(() => {
		process.stderr.isTTY = true
		process.stderr.columns = 80
	})

	it('is one line that is written anew, the last one included', () => {
		const io = processIo()
		for (const line of ['0 of 3', '1 of 3', '3 of 3']) io.progress(line)
		io.print('done')
		// After the line was last made empty.
		expect(written.split('\x1b[2K').at(-1)).toBe('3 of 3\ndone\n')
	})
})
