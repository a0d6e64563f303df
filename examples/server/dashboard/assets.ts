/** What the browser is sent: made once, when it is first asked for, of the files in client/ and uPlot from node_modules. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Fixed, fixed } from '../fixed.ts'

const fileOf = (name: string) => fileURLToPath(new URL(`client/${name}`, import.meta.url))

export type AssetName = 'overview' | 'page' | 'app.js' | 'app.css' | 'icon.svg'

let made: Promise<Readonly<Record<AssetName, Fixed>>> | undefined

export async function assetOf(name: AssetName): Promise<Fixed> {
	// A failure is not kept: the next request tries again.
	made ??= make().catch((error: unknown) => {
		made = undefined
		throw error
	})
	return (await made)[name]
}

async function make(): Promise<Record<AssetName, Fixed>> {
	const text = (file: string) => readFile(fileOf(file), 'utf8')
	const [layout, overview, page, icon, script, style] = await Promise.all([
		text('layout.html'),
		text('overview.html'),
		text('page.html'),
		text('icon.svg'),
		bundle('main.ts'),
		bundle('style.css'),
	])
	const html = (title: string, main: string) =>
		fixed(
			'html',
			layout.replace('{{title}}', () => title).replace('{{main}}', () => main),
		)
	return {
		overview: html('Overview – tallymark', overview),
		page: html('Page – tallymark', page),
		'app.js': fixed('js', script),
		'app.css': fixed('css', style),
		'icon.svg': fixed('svg', icon),
	}
}

async function bundle(entry: string): Promise<string> {
	const { outputFiles } = await build({
		entryPoints: [fileOf(entry)],
		bundle: true,
		minify: true,
		write: false,
		format: 'esm',
		target: ['es2022', 'chrome123', 'firefox120', 'safari17.5'],
		legalComments: 'none',
	})
	return outputFiles[0]!.text
}
