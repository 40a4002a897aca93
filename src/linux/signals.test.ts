import { expect, test } from 'bun:test'
import { constants } from 'node:os'
import { parseSignal, signalName, signalNumber } from './signals.ts'

test('every signal of this system has the same number here', () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    if (name === 'SIGUNUSED') continue
    expect([name, parseSignal(name)]).toEqual([name, number])
  }
})

test('a signal may be named with SIG, without it, in small letters, or by number', () => {
  expect(['SIGKILL', 'KILL', 'kill', 'sigkill', '9', '09'].map(parseSignal)).toEqual([9, 9, 9, 9, 9, 9])
})

test('real-time signals count from either end', () => {
  expect(parseSignal('SIGRTMIN')).toBe(34)
  expect(parseSignal('RTMIN+3')).toBe(37)
  expect(parseSignal('SIGRTMAX-2')).toBe(62)
  expect(parseSignal('rtmax')).toBe(64)
  expect(parseSignal('SIGRTMIN+31')).toBeUndefined()
  expect(parseSignal('SIGRTMAX+1')).toBeUndefined()
  expect(parseSignal('SIGRTMAX-31')).toBeUndefined()
})

test('what is no signal has no number', () => {
  expect(['', '0', '65', '-9', '9.0', 'SIG', 'SIGNOTHING', 'SIGSIGKILL', '100'].map(parseSignal)).toEqual(
    Array(9).fill(undefined),
  )
})

test('every name leads back to its number', () => {
  for (let number = 1; number <= 64; number++) {
    const name = signalName(number)
    if (name.startsWith('SIG')) expect(parseSignal(name)).toBe(number)
    else expect([32, 33]).toContain(number)
  }
})

test('names are those of kill -l', () => {
  expect([1, 9, 31, 34, 37, 49, 50, 64].map(signalName)).toEqual([
    'SIGHUP',
    'SIGKILL',
    'SIGSYS',
    'SIGRTMIN',
    'SIGRTMIN+3',
    'SIGRTMIN+15',
    'SIGRTMAX-14',
    'SIGRTMAX',
  ])
  expect(signalName(32)).toBe('signal 32')
  expect(signalNumber('SIGTERM')).toBe(15)
})
