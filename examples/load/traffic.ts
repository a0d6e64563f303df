/** Who asks for what: half of it visits, most of the rest readings of a page, some of the charts and lists. */

export interface TrafficOptions {
	readonly pages: number
	readonly users: number
}

export type Kind = 'visit' | 'visits' | 'analytics'

export interface Wanted {
	readonly kind: Kind
	readonly method: 'GET' | 'POST'
	readonly path: string
	/** Of a visit or a reading of visits: which page. */
	readonly page: number
	readonly user: number
}

const charts = ['/analytics/page_views_per_minute', '/analytics/top', '/analytics/trending']

/** Endless traffic; `random` gives numbers from 0 up to 1. Of the pages, the second is read half as much as the first, the third a third as much, ... */
export function trafficOf({ pages, users }: TrafficOptions, random: () => number = Math.random): (index: number) => Wanted {
	const pageOf = popularity(pages)
	return (index) => {
		const page = pageOf(random())
		const user = Math.floor(random() * users)
		// In turn, so that every run has the same shares.
		if (index % 2 === 0) return { kind: 'visit', method: 'POST', path: `/visit/${nameOf(page)}`, page, user }
		if (index % 10 === 9) return { kind: 'analytics', method: 'GET', path: charts[Math.floor(index / 10) % charts.length]!, page, user }
		return { kind: 'visits', method: 'GET', path: visitsPath(page), page, user }
	}
}

export function nameOf(page: number): string {
	return `load-${page + 1}`
}

export function visitsPath(page: number): string {
	return `/visits/${nameOf(page)}`
}

/** An address of its own for each user, in 10.0.0.0/8: the server takes it from X-Forwarded-For when it trusts this machine. */
export function addressOf(user: number): string {
	return `10.${(user >> 16) & 255}.${(user >> 8) & 255}.${user & 255}`
}

function popularity(pages: number): (share: number) => number {
	const upTo = new Float64Array(pages)
	let sum = 0
	for (let page = 0; page < pages; page++) {
		sum += 1 / (page + 1)
		upTo[page] = sum
	}
	return (share) => {
		const wanted = share * sum
		let [low, high] = [0, pages - 1]
		while (low < high) {
			const middle = (low + high) >> 1
			if (upTo[middle]! > wanted) high = middle
			else low = middle + 1
		}
		return low
	}
}
