import { expect, test } from 'bun:test'
import { constants } from 'node:os'
import { errnoName, errnoNumber, isErrno } from './errno.ts'

test('every error number of this system has the same name here', () => {
  for (const [name, number] of Object.entries(constants.errno)) {
    expect(isErrno(name)).toBe(true)
    if (isErrno(name)) expect(errnoNumber(name)).toBe(number)
  }
})

test('a name leads to its number and back', () => {
  for (let number = 1; number <= 133; number++) {
    const name = errnoName(number)
    if (isErrno(name)) expect(errnoNumber(name)).toBe(number)
    else expect([41, 58]).toContain(number)
  }
})

test('a number without a name says its number', () => {
  expect(errnoName(0)).toBe('errno 0')
  expect(errnoName(58)).toBe('errno 58')
  expect(errnoName(134)).toBe('errno 134')
})

test('aliases are numbers of other names', () => {
  expect(errnoName(errnoNumber('EWOULDBLOCK'))).toBe('EAGAIN')
  expect(errnoName(errnoNumber('ENOTSUP'))).toBe('EOPNOTSUPP')
  expect(errnoName(errnoNumber('EDEADLOCK'))).toBe('EDEADLK')
})

test('other words are no names', () => {
  expect(['-', '', 'EPERMS', 'eperm', 'errno 41'].some(isErrno)).toBe(false)
})
