/**
 * `object[name]`, for the requests and responses of frameworks that give each of them a prototype, as Express does. V8 keeps a type for each such object,
 * so that code which is compiled for the types that it has met has never met this one, and a plain `request.method` takes the slow way, up to a
 * microsecond, and takes room from what Express itself has looked up. With a name that varies the property is looked for in the object, in some 50 ns.
 */
export function look<Subject extends object, Name extends keyof Subject>(object: Subject, name: Name): Subject[Name] {
	return object[name]
}
