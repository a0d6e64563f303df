// Counts this page and, in a single-page application, each page after it. By hand: tally('/any/path')
;(() => {
	const pixel = new URL('pixel.gif', document.currentScript.src)
	let last
	const tally = (page = location.pathname) => {
		pixel.searchParams.set('page', page)
		// Arrives though its reader is gone at once.
		fetch(pixel, { mode: 'no-cors', keepalive: true }).catch(() => {})
	}
	const seen = () => {
		if (location.pathname === last) return
		last = location.pathname
		tally()
	}
	const { pushState } = history
	history.pushState = function (...args) {
		pushState.apply(this, args)
		seen()
	}
	addEventListener('popstate', seen)
	window.tally = tally
	// A page that is rendered ahead is seen when it is shown.
	if (document.prerendering) document.addEventListener('prerenderingchange', seen, { once: true })
	else seen()
})()
