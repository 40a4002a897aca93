import { expect, test } from 'bun:test'
import { DEFAULT_LIMITS, exactLimits, sizeOf } from './limits.ts'

test('sizes count in 1024, and in 1000 where they end in B alone', () => {
  expect(['64', '64k', '64KiB', '64kB', '1.5g'].map((text) => sizeOf('memory', text))).toEqual([
    64,
    65_536,
    65_536,
    64_000,
    1.5 * 1024 ** 3,
  ])
})

test('what is not given has its default, and unlimited is none', () => {
  const limits = exactLimits({ memory: 'unlimited', pids: 5 })
  expect(limits).toEqual({ ...DEFAULT_LIMITS, memory: undefined, pids: 5 })
})

test('a limit that is no limit is refused by its name', () => {
  expect(() => exactLimits({ memory: '12 apples' })).toThrow('limits.memory is "12 apples"')
  expect(() => exactLimits({ pids: 1.5 })).toThrow('limits.pids is 1.5')
  expect(() => exactLimits({ cpus: Number.NaN })).toThrow('limits.cpus is NaN')
  expect(() => exactLimits({ ram: 1 } as object)).toThrow('limits.ram is no limit')
})
