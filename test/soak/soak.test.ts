import { expect, setDefaultTimeout, test } from 'bun:test'
import { soak } from './soak.ts'
import type { Measured } from './worker.ts'

setDefaultTimeout(300_000)

const MEBIBYTE = 2 ** 20

test('300 containers, eight at a time, of which many lose a process to SIGKILL, leave nothing and let nobody grow', async () => {
  const { containers, kills, faults, leaks, measured } = await soak({ count: 300, killEveryMs: 50 })
  expect({ faults, leaks }).toEqual({ faults: [], leaks: [] })
  expect(Object.values(containers)).toEqual([50, 50, 50, 50, 50, 50])
  // Each of them was hit, so there was something to survive.
  expect(Object.values(kills).every((count) => count > 0)).toBe(true)
  for (const program of Object.values(measured)) {
    const [first, last] = [program[0], program.at(-1)] as [Measured, Measured]
    expect(last.descriptors).toBe(first.descriptors)
    expect(last.residentBytes - first.residentBytes).toBeLessThan(32 * MEBIBYTE)
  }
})
