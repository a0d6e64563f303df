import { defineConfig } from 'tsup'

/** The benchmarks are bundled, not run through tsx: its transform wraps every inner function to keep its name, and would be measured with the rest. */
export default defineConfig({
	entry: ['bench/*.ts', '!bench/*.config.ts'],
	outDir: '.cache/bench',
	format: 'esm',
	target: 'node20',
	splitting: true,
	clean: true,
	silent: true,
	skipNodeModulesBundle: true,
})
