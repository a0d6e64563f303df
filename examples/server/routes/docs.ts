/**
 * What the API is: `/openapi.json`, to try out at `/docs` (Swagger UI), to read at `/redoc` (Redoc). Every file is this server's own, out of npm
 * packages; a browser is allowed to load nothing else.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import express, { type RequestHandler, Router } from 'express'
import { documentOf } from '../api/document.ts'
import { operations } from '../api/operations.ts'
import { type Fixed, fixed, sendFixed } from '../fixed.ts'

const require = createRequire(import.meta.url)
const swagger = dirname(require.resolve('swagger-ui-dist/package.json'))
/** Without the one picture that it would load from its maker. */
const redoc = fixed(
	'js',
	readFileSync(require.resolve('redoc/bundles/redoc.standalone.js'), 'utf8').replaceAll(
		'https://cdn.redoc.ly/redoc/logo-mini.svg',
		'data:,',
	),
)
const keptMs = 3_600_000

/** Styles are the one thing that both make themselves; without script in it, a style sends nothing anywhere. */
const policy = [
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self' 'unsafe-inline'",
	"img-src 'self' data:",
	"connect-src 'self'",
	"worker-src 'self' blob:",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'none'",
].join('; ')

export function docs(): Router {
	const router = Router()
	router.get('/openapi.json', sends(fixed('json', JSON.stringify(documentOf(operations)))))

	router.get(
		'/docs',
		page('API: try it', ['/docs/swagger-ui.css'], '<div id="docs"></div>', ['/docs/swagger-ui-bundle.js', '/docs/start.js']),
	)
	router.get('/docs/start.js', sends(startSwagger))
	router.use('/docs', only(['swagger-ui.css', 'swagger-ui-bundle.js']), express.static(swagger, { maxAge: keptMs, index: false }))

	router.get('/redoc', page('API: read it', [], '<div id="docs"></div>', ['/redoc/redoc.standalone.js', '/redoc/start.js']))
	router.get('/redoc/start.js', sends(startRedoc))
	router.get('/redoc/redoc.standalone.js', sends(redoc, { 'Cache-Control': `public, max-age=${keptMs / 1_000}` }))
	return router
}

const startSwagger = fixed('js', `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null })\n`)
const startRedoc = fixed('js', `Redoc.init('/openapi.json', { hideDownloadButton: true }, document.getElementById('docs'))\n`)

function sends(what: Fixed, headers: Readonly<Record<string, string>> = {}): RequestHandler {
	return (_request, response) => sendFixed(response.set(headers), what)
}

/** The packages have more files than the pages need. */
function only(names: readonly string[]): RequestHandler {
	return (request, _response, next) => (names.includes(request.path.slice(1)) ? next() : next('router'))
}

function page(title: string, styles: readonly string[], body: string, scripts: readonly string[]): RequestHandler {
	const html = [
		'<!doctype html>',
		'<html lang="en">',
		'<meta charset="utf-8">',
		'<meta name="viewport" content="width=device-width, initial-scale=1">',
		'<link rel="icon" href="data:,">',
		`<title>${title}</title>`,
		'<style>body { margin: 0 }</style>',
		...styles.map((path) => `<link rel="stylesheet" href="${path}">`),
		body,
		...scripts.map((path) => `<script defer src="${path}"></script>`),
		'</html>\n',
	].join('\n')
	return sends(fixed('html', html), { 'Content-Security-Policy': policy })
}
