import { defineConfig } from 'tsup'

/** One entry per face; `exports` in package.json lists the same names (test/package/exports.test.ts holds them together). */
export const entries = ['index', 'sketches', 'testing', 'express', 'koa', 'fastify', 'fetch', 'redis', 'copy', 'badge'] as const

export default defineConfig({
	entry: { ...Object.fromEntries(entries.map((name) => [name, `src/${name}.ts`])), cli: 'src/cli.ts' },
	format: ['esm', 'cjs'],
	// Shared chunks in CommonJS too: without them each entry inlines its own copy of the error classes and `instanceof` breaks between entries.
	splitting: true,
	clean: true,
	sourcemap: true,
	target: 'node20',
	platform: 'node',
	dts: { compilerOptions: { ignoreDeprecations: '6.0' }, banner: '/// <reference lib="esnext.disposable" />' },
})
