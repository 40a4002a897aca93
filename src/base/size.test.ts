import { expect, test } from 'bun:test'
import { sizeText } from './size.ts'

test('a size has three digits that count, and the unit in which it is below a thousand', () => {
  expect([0, 512, 999, 1000, 4_261_550, 77_834_513, 1_234_567_890].map(sizeText)).toEqual([
    '0B',
    '512B',
    '999B',
    '1kB',
    '4.26MB',
    '77.8MB',
    '1.23GB',
  ])
})
