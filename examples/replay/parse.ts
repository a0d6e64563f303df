/** One line of a web server's log in the combined (or common) format. */
export interface LogLine {
	readonly address: string
	/** Epoch milliseconds. */
	readonly at: number
	readonly method: string
	/** The request target as it was sent: path and query. */
	readonly target: string
	/** undefined where the line was cut off before it. */
	readonly status: number | undefined
	/** '' where the line was cut off before it, or the client sent none. */
	readonly agent: string
}

/** address identity user [time] "request" status size "referrer" "agent": from the request on, the line may be cut off anywhere. */
const combined =
	/^(\S+) \S+ [^[]*\[([^\]]+)\] "((?:[^"\\]|\\.)*)("?)(?: (\d{3}))?(?: (?:\d+|-))?(?: "(?:[^"\\]|\\.)*")?(?: "((?:[^"\\]|\\.)*))?/
/** The target ends where the protocol begins; HTTP/0.9 had none. A target with spaces is logged as it came. */
const wholeRequest = /^([A-Z]+) (.+?)(?: HTTP\/\d(?:\.\d)?)?$/
/** Of a request that is cut off itself, the target is known once a space follows it. */
const cutRequest = /^([A-Z]+) (\S+) /
const time = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Reads a line; undefined where address, time or request is not all there. */
export function parseLine(line: string): LogLine | undefined {
	const found = combined.exec(line)
	if (!found) return undefined
	const [, address = '', stamp = '', quoted = '', closing, status, agent = ''] = found
	const request = (closing ? wholeRequest : cutRequest).exec(quoted)
	const at = parseTime(stamp)
	if (!request || at === undefined) return undefined
	return {
		address,
		at,
		method: request[1]!,
		target: unescaped(request[2]!),
		status: status === undefined ? undefined : Number(status),
		agent: agent === '-' ? '' : unescaped(agent),
	}
}

/** `17/May/2015:10:05:03 +0200` as epoch milliseconds; undefined for what is no such moment. */
export function parseTime(text: string): number | undefined {
	const found = time.exec(text)
	if (!found) return undefined
	const [, day, name = '', year, hour, minute, second, sign, offsetHours, offsetMinutes] = found
	const local = Date.UTC(Number(year), months.indexOf(name), Number(day), Number(hour), Number(minute), Number(second))
	// Date.UTC takes 31 April for 1 May, hour 25 for the next day, and a month that is none for another year's: written out, it must read the same.
	const [written] = new Date(local).toISOString().split('.')
	const month = String(months.indexOf(name) + 1).padStart(2, '0')
	if (written !== `${year}-${month}-${day}T${hour}:${minute}:${second}`) return undefined
	const offsetMs = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000
	return sign === '-' ? local + offsetMs : local - offsetMs
}

/** Servers log `"` and `\` with a `\` before them, and bytes that are no printable ASCII as `\xHH`; those are written as a target would have them. */
function unescaped(text: string): string {
	return text.replace(/\\(?:x([\da-f]{2})|(.))/gi, (_, byte?: string, other = '') => (byte ? `%${byte}` : other))
}
