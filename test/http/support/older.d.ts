/** The older frameworks have no types of their own here; what the tests use is the same. */

declare module 'express4' {
	import express from 'express'
	export default express
}

declare module 'koa2' {
	import Koa from 'koa'
	export default Koa
}
