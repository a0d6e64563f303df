/** Which methods the operations have at a path. */
import type { Operation } from './operation.ts'

/** As Express matches: without regard to case, with or without a slash at the end. */
export function matcherOf(operations: readonly Operation[]): (path: string) => string[] {
	const patterns = operations.map(({ method, path }) => ({
		methods: method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()],
		pattern: new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:\w+/g, '[^/]+?')}/?$`, 'i'),
	}))
	return (path) => patterns.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)
}
