import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkout } from './support/pack.ts'

test('without what the tests run against and a way to install it, the set-up says in one line each which command does it, and fails', () => {
	const words = ['--import', 'tsx', join(checkout, 'scripts/setup-tests.ts')]
	const env = { ...process.env, PATH: join(checkout, 'no-such-folder'), CHROMIUM: '' }
	const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: checkout, env, encoding: 'utf8' })
	expect(status).toBe(1)
	expect(stdout).toBe('')
	expect(stderr).toMatch(
		/^The tests need a redis-server on the PATH, and there is none\. Install it with: .*redis.*\nThe tests need a chromium on the PATH, and there is none\. Install it with: .*chrom.*\n$/,
	)
})
