/**
 * A small log in the combined format, the same each time: three days, people who come back, crawlers, a feed reader, HEAD and POST requests, pages that
 * are not found, and one line that is cut off, as real logs have them. For whoever has no log at hand.
 */

const lineCount = 4_000
const firstMoment = Date.UTC(2026, 0, 12)
const spanMs = 3 * 86_400_000
const pages = [
	'/',
	'/about',
	'/blog/',
	'/blog/counting-hits',
	'/blog/hyperloglog',
	'/caf%C3%A9',
	'/search?q=hits',
	'/style.css',
	'/logo.png',
	'/feed.xml',
]
const browsers = [
	'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
	'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
	'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36',
]
const crawlers = ['Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)', 'UniversalFeedParser/6.0']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

export function sampleLog(): string[] {
	const random = mulberry32(20_260_112)
	const below = (bound: number) => Math.floor(random() * bound)
	const lines: string[] = []
	for (let i = 0; i < lineCount; i++) {
		const at = firstMoment + Math.floor((spanMs * (i + random())) / lineCount)
		// Squared: the first pages, and the first people, are the most frequent.
		const page = pages[Math.floor(random() ** 2 * pages.length)]!
		const chance = random()
		if (chance < 0.1) lines.push(line(at, `192.0.2.${1 + below(4)}`, 'GET', page, 200, crawlers[below(crawlers.length)]!))
		else {
			const person = Math.floor(random() ** 2 * 600)
			const address = person % 5 === 0 ? `2001:db8:0:${person.toString(16)}::1` : `198.51.${100 + (person >> 8)}.${person & 255}`
			const agent = browsers[person % browsers.length]!
			if (chance < 0.13) lines.push(line(at, address, 'HEAD', page, 200, agent))
			else if (chance < 0.15) lines.push(line(at, address, 'POST', '/contact', 303, agent))
			else if (chance < 0.19) lines.push(line(at, address, 'GET', `/wp-login.php?try=${below(50)}`, 404, agent))
			else lines.push(line(at, address, 'GET', page, chance < 0.25 ? 304 : 200, agent))
		}
	}
	const cut = lineCount >> 1
	lines[cut] = lines[cut]!.slice(0, lines[cut]!.lastIndexOf('"') - 8)
	return lines
}

function line(at: number, address: string, method: string, target: string, status: number, agent: string): string {
	const time = new Date(at)
	const day = `${two(time.getUTCDate())}/${months[time.getUTCMonth()]}/${time.getUTCFullYear()}`
	const clock = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}`
	return `${address} - - [${day}:${clock} +0000] "${method} ${target} HTTP/1.1" ${status} ${method === 'HEAD' ? '-' : 512} "-" "${agent}"`
}

function two(value: number): string {
	return String(value).padStart(2, '0')
}

/** Tommy Ettinger's generator (public domain): numbers in [0, 1), the same for the same seed. */
function mulberry32(seed: number): () => number {
	let state = seed
	return () => {
		state = (state + 0x6d2b79f5) | 0
		let mixed = Math.imul(state ^ (state >>> 15), state | 1)
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
	}
}
