/**
 * `npm run collection [-- file]`: writes a collection (Postman's format, which Insomnia, Bruno and Hoppscotch import too) of every endpoint, made from the
 * OpenAPI document. Its variable `baseUrl` is where the server is.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import converter from 'openapi-to-postmanv2'
import { documentOf } from './api/document.ts'
import { operations } from './api/operations.ts'

const fallbackFile = '.cache/tallymark.postman_collection.json'

/** The collection as JSON can hold it. */
export function collection(baseUrl = 'http://localhost:3000'): Promise<object> {
	const data = { ...documentOf(operations), servers: [{ url: baseUrl }] }
	return new Promise((resolve, reject) => {
		converter.convert({ type: 'json', data }, { folderStrategy: 'Tags', requestParametersResolution: 'Example' }, (error, result) => {
			const made = result?.output?.[0]?.data
			if (error !== null || made === undefined) reject(error ?? new Error(`The collection could not be made: ${result?.reason}`))
			else resolve(made)
		})
	})
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const file = process.argv[2] ?? fallbackFile
	mkdirSync(dirname(file), { recursive: true })
	writeFileSync(file, `${JSON.stringify(await collection(), null, '\t')}\n`)
	console.log(`Wrote ${operations.length} requests to ${file}`)
}
