import { expect, test } from 'bun:test'
import { nearest } from './nearest.ts'

const words = ['open', 'openat', 'openat2', 'read', 'readv', 'clone']

test('one wrong letter finds the word', () => {
  expect(nearest('opennat', words)).toBe('openat')
  expect(nearest('reav', words)).toBe('read')
})

test('two swapped letters are one slip', () => {
  expect(nearest('colne', words)).toBe('clone')
})

test('a word that resembles nothing gets no suggestion', () => {
  expect(nearest('mount', words)).toBeUndefined()
  expect(nearest('x', words)).toBeUndefined()
})

test('the exact word is the nearest', () => {
  expect(nearest('read', words)).toBe('read')
})

test('of equally near words the first is taken', () => {
  expect(nearest('ac', ['ab', 'ad'])).toBe('ab')
})
