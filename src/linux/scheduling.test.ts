import { expect, test } from 'bun:test'
import { rlimitNumber } from './rlimits.ts'
import { bitMask, setMempolicy } from './scheduling.ts'

test('a mask is as long as its highest bit needs, in words of 64 bits', () => {
  expect(bitMask([{ first: 0, last: 0 }])).toEqual(new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]))
  expect(bitMask([{ first: 62, last: 65 }])).toEqual(
    new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0xc0, 3, 0, 0, 0, 0, 0, 0, 0]),
  )
})

test('whole bytes of a mask are as right as its edges', () => {
  for (const [first, last] of [
    [0, 7],
    [1, 6],
    [3, 20],
    [8, 15],
    [8, 23],
    [7, 8],
    [5, 8191],
    [0, 8191],
  ] as const) {
    const bits = [...bitMask([{ first, last }])].flatMap((byte) =>
      Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1),
    )
    expect(bits).toEqual(bits.map((_, bit) => (bit >= first && bit <= last ? 1 : 0)))
  }
})

test('the kernel is told one node more than the mask has, as it looks at one less', () => {
  const { args } = setMempolicy({ mode: 'MPOL_BIND', flags: ['MPOL_F_STATIC_NODES'], nodes: [{ first: 1, last: 1 }] })
  expect(args).toEqual([2 | (1 << 15), new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0]), 65])
  expect(setMempolicy({ mode: 'MPOL_LOCAL', flags: [], nodes: [] }).args).toEqual([4, 0, 0])
})

test('limits have the numbers of the kernel', () => {
  expect(rlimitNumber('RLIMIT_CPU')).toBe(0)
  expect(rlimitNumber('RLIMIT_NOFILE')).toBe(7)
  expect(rlimitNumber('RLIMIT_RTTIME')).toBe(15)
})
