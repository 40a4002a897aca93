import { expect, test } from 'bun:test'
import { printedIn } from './log-tail.ts'

const record = (text: string, stream = 1): readonly number[] => {
  const bytes = new TextEncoder().encode(text)
  const head = new Uint8Array(16)
  new DataView(head.buffer).setUint32(0, bytes.length, true)
  head[4] = stream
  return [...head, ...bytes]
}
const printed = (...bytes: readonly number[]): string => new TextDecoder().decode(printedIn(Uint8Array.from(bytes)))

test('both streams come in the order in which they were printed', () => {
  expect(printed(...record('out\n'), ...record('err\n', 2))).toBe('out\nerr\n')
})

test('a piece that begins in the midst of a record is read from the next one on', () => {
  for (const cut of [1, 7, 15, 16, 19])
    expect(printed(...record('first\n').slice(cut), ...record('second\n'))).toBe('second\n')
})

test('a record that is being written, and what is none, are nothing', () => {
  expect(printed(...record('whole\n').slice(0, 18))).toBe('')
  expect(printed(...record('x', 3))).toBe('')
})
