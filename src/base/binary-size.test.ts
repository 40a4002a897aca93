import { expect, test } from 'bun:test'
import { binarySizeText } from './binary-size.ts'

test('memory is said in powers of 1024, with four digits', () => {
  const sizes = [0, 1023, 1536, 64 << 20, 1_234_567_890]
  expect(sizes.map(binarySizeText)).toEqual(['0B', '1023B', '1.5KiB', '64MiB', '1.15GiB'])
})
