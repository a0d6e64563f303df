import type { KnipConfig } from 'knip'
import { entries } from './tsup.config.ts'

export default {
	entry: [...entries.map((name) => `src/${name}.ts!`), 'bench/*.ts', 'scripts/*.ts', 'examples/**/*.ts', 'test/types/*.ts'],
	project: ['src/**/*.ts!', 'bench/**/*.ts', 'scripts/**/*.ts', 'examples/**/*.ts', 'test/**/*.ts', '*.config.ts'],
	// A name that its own file uses and a test imports is no dead code.
	ignoreExportsUsedInFile: true,
	// Loaded with require: it is CommonJS without types.
	ignoreDependencies: ['redis-metrics'],
	ignoreBinaries: ['apt-get'],
} satisfies KnipConfig
