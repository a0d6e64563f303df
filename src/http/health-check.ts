/** The pages that machines ask for to see whether a server is up: no visits. */

const paths: ReadonlySet<string> = new Set([
	'/health',
	'/health/live',
	'/health/ready',
	'/healthcheck',
	'/healthz',
	'/live',
	'/liveness',
	'/livez',
	'/ready',
	'/readiness',
	'/readyz',
	'/-/healthy',
	'/-/ready',
	'/_health',
])
const longest = Math.max(...Array.from(paths, (path) => path.length))

/**
 * Whether a path (or a whole request target) is one of those that are customary for health checks: /health, /health/live, /health/ready, /healthcheck,
 * /healthz, /live, /liveness, /livez, /ready, /readiness, /readyz, /-/healthy, /-/ready, /_health, each also with a slash at the end.
 */
export function isHealthCheck(target: string): boolean {
	// Nearly every page is told by its second character.
	if (target.startsWith('/') && !'hlr-_'.includes(target.charAt(1))) return false
	let path = target.startsWith('/') ? target : target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i, '')
	const query = path.search(/[?#]/)
	if (query !== -1) path = path.slice(0, query)
	if (path.length > longest + 1) return false
	return paths.has(path.endsWith('/') ? path.slice(0, -1) : path)
}
