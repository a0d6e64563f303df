declare module 'openapi-to-postmanv2' {
	interface Conversion {
		readonly reason?: string
		readonly output?: readonly { readonly data: object }[]
	}
	const converter: {
		convert(
			input: { readonly type: 'json'; readonly data: object },
			options: Readonly<Record<string, unknown>>,
			done: (error: Error | null, result: Conversion | undefined) => void,
		): void
	}
	export default converter
}
