import { expect, test } from 'vitest'
import { KeyBudget, otherKey } from '../src/key-budget.ts'

test('keys past the bound go to (other), those that were admitted stay', () => {
	const budget = new KeyBudget(2)
	expect(['/a', '/b', '/c', '/a', '/b', '/d'].map((key) => budget.admit(key))).toEqual(['/a', '/b', otherKey, '/a', '/b', otherKey])
})

test('(other) itself takes no place', () => {
	const budget = new KeyBudget(1)
	expect([otherKey, '/a', otherKey].map((key) => budget.admit(key))).toEqual([otherKey, '/a', otherKey])
	const learnt = new KeyBudget(1)
	learnt.learn([otherKey])
	expect(learnt.admit('/a')).toBe('/a')
})

test('what was stored before is never turned away, even past the bound, and leaves room for no more', () => {
	const budget = new KeyBudget(2)
	budget.learn(['/1', '/2', '/3'])
	expect(['/1', '/2', '/3', '/4'].map((key) => budget.admit(key))).toEqual(['/1', '/2', '/3', otherKey])
})

test('while stored keys are learnt, as many new ones have room beside them, and none takes two places', () => {
	const budget = new KeyBudget(2, true)
	budget.learn(['/1', '/2'])
	expect(['/3', '/new', '/4', '/3'].map((key) => budget.admit(key))).toEqual(['/3', '/new', otherKey, '/3'])
	budget.learn(['/3', '/4'])
	// What was admitted as new was stored: another one has its place.
	expect(['/newer', '/newest', '/3', '/4'].map((key) => budget.admit(key))).toEqual(['/newer', otherKey, '/3', '/4'])
	budget.forget('/new')
	expect(budget.admit('/newest')).toBe('/newest')
	budget.learnt()
	expect(['/1', '/4', '/newer', '/newest', '/5'].map((key) => budget.admit(key))).toEqual(['/1', '/4', '/newer', '/newest', otherKey])
})

test('the place of a key that was deleted is free', () => {
	const budget = new KeyBudget(1)
	budget.admit('/a')
	budget.forget('/a')
	expect([budget.admit('/b'), budget.admit('/a')]).toEqual(['/b', otherKey])
})

test('names that objects have are keys like any other', () => {
	const budget = new KeyBudget(2)
	expect(['__proto__', 'toString', 'constructor'].map((key) => budget.admit(key))).toEqual(['__proto__', 'toString', otherKey])
})
