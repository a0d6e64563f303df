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

const require = createRequire(import.meta.url)
const swagger = dirname(require.resolve('swagger-ui-dist/package.json'))
/** Without the one picture that it would load from its maker. */
const redoc = readFileSync(require.resolve('redoc/bundles/redoc.standalone.js'), 'utf8').replaceAll(
	'https://cdn.redoc.ly/redoc/logo-mini.svg',
	'data:,',
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
	const document = documentOf(operations)
	router.get('/openapi.json', (_request, response) => void response.json(document))

	router.get(
		'/docs',
		page('API: try it', ['/docs/swagger-ui.css'], '<div id="docs"></div>', ['/docs/swagger-ui-bundle.js', '/docs/start.js']),
	)
	router.get('/docs/start.js', (_request, response) => void response.type('js').send(startSwagger))
	router.use('/docs', only(['swagger-ui.css', 'swagger-ui-bundle.js']), express.static(swagger, { maxAge: keptMs, index: false }))

	router.get('/redoc', page('API: read it', [], '<div id="docs"></div>', ['/redoc/redoc.standalone.js', '/redoc/start.js']))
	router.get('/redoc/start.js', (_request, response) => void response.type('js').send(startRedoc))
	router.get(
		'/redoc/redoc.standalone.js',
		(_request, response) =>
			void response
				.set('Cache-Control', `public, max-age=${keptMs / 1_000}`)
				.type('js')
				.send(redoc),
	)
	return router
}

const startSwagger = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null })\n`
const startRedoc = `Redoc.init('/openapi.json', { hideDownloadButton: true }, document.getElementById('docs'))\n`

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
	return (_request, response) => void response.set('Content-Security-Policy', policy).type('html').send(html)
}
