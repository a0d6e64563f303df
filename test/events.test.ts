import { expect, test } from 'vitest'
import { Emitter } from '../src/events.ts'

interface Events {
	said: string
	counted: number
}

function made() {
	const emitter = new Emitter<Events>()
	const heard: unknown[] = []
	const failed: unknown[] = []
	return { emitter, heard, failed, say: (word: string) => emitter.emit('said', word, (error) => failed.push(error)) }
}

test('every listener of a name is told, in the order they came, and no other', () => {
	const { emitter, heard, say } = made()
	emitter.on('said', (word) => heard.push(`1 ${word}`))
	emitter.on('said', (word) => heard.push(`2 ${word}`))
	emitter.on('counted', () => heard.push('counted'))
	say('hello')
	expect(heard).toEqual(['1 hello', '2 hello'])
})

test('an event that nobody listens to does nothing', () => {
	const { say, failed } = made()
	say('hello')
	expect(failed).toEqual([])
})

test('a listener that was taken off is told no more', () => {
	const { emitter, heard, say } = made()
	const listener = (word: string) => heard.push(word)
	emitter.on('said', listener)
	emitter.off('said', () => {})
	expect(emitter.hears('said')).toBe(true)
	emitter.off('said', listener)
	expect(emitter.hears('said')).toBe(false)
	say('hello')
	expect(heard).toEqual([])
})

test('a listener that throws, or rejects later, keeps no other from being told, and its error is handed on', async () => {
	const { emitter, heard, failed, say } = made()
	emitter.on('said', () => {
		throw new Error('at once')
	})
	emitter.on('said', async () => {
		throw new Error('later')
	})
	emitter.on('said', (word) => heard.push(word))
	say('hello')
	expect(heard).toEqual(['hello'])
	await Promise.resolve()
	expect(failed).toMatchObject([{ message: 'at once' }, { message: 'later' }])
})

test('listeners that come and go while an event is told do not change who is told of it', () => {
	const { emitter, heard, say } = made()
	const second = () => heard.push('second')
	emitter.on('said', () => {
		heard.push('first')
		emitter.on('said', () => heard.push('new'))
		emitter.off('said', second)
	})
	emitter.on('said', second)
	say('hello')
	expect(heard).toEqual(['first', 'second'])
	say('again')
	expect(heard).toEqual(['first', 'second', 'first', 'new'])
})
