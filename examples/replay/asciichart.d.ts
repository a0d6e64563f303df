declare module 'asciichart' {
	export function plot(series: readonly number[], options?: { height?: number; min?: number; format?: (value: number) => string }): string
}
