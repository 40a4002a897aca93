import { expect, test } from 'bun:test'
import { addCounts, multiplyCount, parseCount, parseCounts, parseRanges, stringifyExact, UNLIMITED } from './count.ts'

test('a count is exact to its last digit up to 64 bits', () => {
  expect(parseCount('9007199254740991\n')).toBe(9007199254740991)
  expect(parseCount('9223372036854771712\n')).toBe(9223372036854771712n)
  expect(parseCount('max\n')).toBe(18446744073709551615n)
})

test('a counter below 0 is 0, and so is what is no number', () => {
  expect([parseCount('-3'), parseCount(''), parseCount('x')]).toEqual([0, 0, 0])
})

test('sums and products stay exact, and end at no limit', () => {
  expect(addCounts(9007199254740991, 2)).toBe(9007199254740993n)
  expect(addCounts(9007199254740993n, 0)).toBe(9007199254740993n)
  expect(addCounts(UNLIMITED, 4096)).toBe(UNLIMITED)
  expect(multiplyCount(9007199254741, 1000)).toBe(9007199254741000n)
  expect(multiplyCount(12, 1000)).toBe(12000)
})

test('keys without a value are passed over', () => {
  expect([...parseCounts('a 1\nb\n\nc 3\n')]).toEqual([
    ['a', 1],
    ['c', 3],
  ])
})

test('a list of ranges is the numbers in it', () => {
  expect(parseRanges('0-2,5,7-8\n')).toEqual([0, 1, 2, 5, 7, 8])
  expect(parseRanges('\n')).toEqual([])
  expect(parseRanges('65534-99999999999999')).toEqual([65_534, 65_535])
})

test('JSON has 64-bit integers with all their digits, and strings as they are', () => {
  expect(stringifyExact({ limit: UNLIMITED, text: '12n', list: [2n ** 63n] })).toBe(
    '{"limit":18446744073709551615,"text":"12n","list":[9223372036854775808]}',
  )
})
