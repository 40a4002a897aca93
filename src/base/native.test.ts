import { expect, test } from 'bun:test'
import { native } from './native.ts'

test('outside of the coffer binary there is no native front', () => {
  expect(native).toThrow('cannot make a system call: this code runs only in the coffer binary')
})
