import { expect, it } from 'vitest'
import { nodeHeader } from '../../src/http/request.ts'

it('a header of a request by its name in any case; of several the first; of this request, not of the one before', () => {
	const rawHeaders = ['Connection', 'close', 'User-Agent', 'one', 'USER-AGENT', 'two', 'x-own', 'three', 'X-Own', 'four', 'DNT', '1']
	const asked = () => ['user-agent', 'x-own', 'dnt', 'sec-gpc', 'x-other'].map((name) => nodeHeader({ headers: {}, rawHeaders }, name))
	expect(asked()).toEqual(['one', 'three', '1', undefined, undefined])
	expect(nodeHeader({ headers: {}, rawHeaders: ['Sec-GPC', '1'] }, 'dnt')).toBeUndefined()
	expect(nodeHeader({ headers: {}, rawHeaders: ['Sec-GPC', '1'] }, 'sec-gpc')).toBe('1')
	expect(asked()).toEqual(['one', 'three', '1', undefined, undefined])
})
