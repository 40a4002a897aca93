import { expect, test } from 'bun:test'
import { parsePressure } from './pressure.ts'

test('both lines of a pressure file are read', () => {
  const text =
    'some avg10=11.17 avg60=2.24 avg300=0.47 total=1436252\nfull avg10=8.51 avg60=1.53 avg300=0.32 total=1428349\n'
  expect(parsePressure(text)).toEqual({
    some: { avg10: 11.17, avg60: 2.24, avg300: 0.47, totalMicros: 1436252 },
    full: { avg10: 8.51, avg60: 1.53, avg300: 0.32, totalMicros: 1428349 },
  })
})

test('the CPU of a kernel before 5.13 has no line for full', () => {
  expect(parsePressure('some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n')).toEqual({
    some: { avg10: 0, avg60: 0, avg300: 0, totalMicros: 5 },
  })
})

test('a file that is not there tells nothing', () => {
  expect(parsePressure('')).toBeUndefined()
})
