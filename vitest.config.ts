import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
	test: {
		testTimeout: 90_000,
		hookTimeout: 90_000,
		// Most tests wait, for servers, clocks and faults. Vitest leaves one processor free, which of two is one file at a time.
		maxWorkers: Math.max(2, availableParallelism() - 1),
		// What is waited for comes when it comes, on a machine that runs other tests beside.
		expect: { poll: { timeout: 10_000 } },
		coverage: {
			provider: 'v8',
			include: ['src/**'],
			reporter: ['text-summary', 'html'],
			thresholds: { lines: 90, branches: 85 },
		},
		projects: [
			{
				extends: true,
				test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/package/**'], sequence: { groupOrder: 0 } },
			},
			{
				extends: true,
				test: {
					name: 'package',
					include: ['test/package/**/*.test.ts'],
					globalSetup: ['test/package/support/pack.ts'],
					testTimeout: 120_000,
					// After the others: it measures nothing, and would take the processors from those that do.
					sequence: { groupOrder: 1 },
				},
			},
		],
	},
})
