import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { operations } from '../../examples/server/api/operations.ts'

const readme = readFileSync('examples/server/README.md', 'utf8')

describe("the server's README", () => {
	it('lists every endpoint, and none that is not', () => {
		const listed = [...readme.matchAll(/^\| `([A-Z]+) (\S+)` \|/gm)].map(([, method, path]) => `${method} ${path}`)
		expect(listed.sort()).toEqual(operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort())
	})

	it('lists every variable that the settings read', () => {
		const source = readFileSync('examples/server/settings.ts', 'utf8')
		const read = new Set([...source.matchAll(/'([A-Z]+(?:_[A-Z]+)*)'/g)].map((match) => match[1]!))
		expect(read.size).toBeGreaterThanOrEqual(9)
		const table = readme.slice(readme.indexOf('## Settings'))
		for (const name of read) expect(table).toContain(`\`${name}\``)
	})
})
